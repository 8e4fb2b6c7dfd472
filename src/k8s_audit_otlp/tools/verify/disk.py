"""The segments of a log on disk with the place of every event, named as the agent names them.

Nothing is read from the agent's state: names and identities follow from the files alone. Frames are
taken off as the agent does where the receiver's `format` is `auto`.
"""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.event.decode import REFUSED, decode, is_event, read_line
from k8s_audit_otlp.event.foreign import LOOKED_AT, seems
from k8s_audit_otlp.event.times import stage_ns
from k8s_audit_otlp.exporter.wrapped_lines import UnwrappingEncoder
from k8s_audit_otlp.model import AuditEvent, Block, EncodedBlock
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.tools.offline import OfflineSegment, files_of, segments
from k8s_audit_otlp.tools.verify.exports.uids import line_of, place_of

NOTHING = 1 << 64  # after every place
_PLACE = struct.Struct("<Qq")  # and the time, nanoseconds since the epoch


@dataclass(frozen=True, slots=True)
class DiskSegment:
    """A segment on disk. `places` is in file order, eight bytes for each event."""

    name: str
    identity: str
    live: bool
    size: int  # decompressed bytes of whole lines
    places: "array[int]"
    begin: int = 0  # the place from which records are asked for
    damage: str = ""  # why nothing more could be read
    begins_with_event: bool = True  # else another log may have the same identity

    @property
    def wanted(self) -> bool:
        return self.begin < NOTHING

    def index_of(self, place: int) -> int:
        """Return which of its events is there, -1 where none is."""
        index = bisect_left(self.places, place)
        return index if index < len(self.places) and self.places[index] == place else -1


class DiskLog:
    """The segments of one log, oldest first, read one at a time.

    `since_ns`: nothing before the first event with that time is asked for.
    """

    def __init__(self, path: Path, *, since_ns: int = 0, with_live: bool = True) -> None:
        self._path = path
        self._since_ns = since_ns
        self._with_live = with_live
        self.bytes_on_disk = 0
        self.damage: dict[str, str] = {}  # by name, why a file makes no segment

    def files(self) -> list[Entry]:
        """Return the files of the log.

        Raise OSError where the directory is missing or may not be read.
        """
        entries = files_of(self._path)
        self.bytes_on_disk = sum(e.size for e in entries)
        return entries

    def seems(self, entries: list[Entry]) -> str:
        """Say what the newest file with anything in it is, if it is no audit log; else ''."""
        for segment in segments(entries[::-1], {}):
            if isinstance(segment, OfflineSegment):
                block = next(segment.blocks(), None)
                return seems(block.data.split(b"\n", LOOKED_AT)) if block else ""
        return ""

    def segments(
        self, entries: list[Entry], advance: Callable[[int], None] = lambda _: None
    ) -> Iterator[DiskSegment]:
        """Read every segment; a file that is gone meanwhile is left out, as what has `damage`."""
        encode = UnwrappingEncoder(_places_in, "auto", lambda *_: b"")  # they come in order
        for found in segments(entries, self.damage):
            entry = found if isinstance(found, Entry) else found.entry
            if isinstance(found, OfflineSegment):
                yield self._read(found, encode)
            advance(entry.size)

    def _read(self, segment: OfflineSegment, encode: UnwrappingEncoder) -> DiskSegment:
        name, places = segment.entry.name.name, array("Q")
        if segment.live and not self._with_live:
            return DiskSegment(name, segment.identity, segment.live, 0, places, NOTHING)
        begin = NOTHING if self._since_ns else 0
        for block in segment.blocks():
            for place, when_ns in map(_PLACE.unpack, encode(block).records):
                if begin == NOTHING and when_ns >= self._since_ns:
                    begin = line_of(place)
                if begin < NOTHING:
                    places.append(place)
        identity, live, size = segment.identity, segment.live, segment.size
        is_event = bool(segment.first.when_ns)
        return DiskSegment(name, identity, live, size, places, begin, segment.damage, is_event)


def _places_in(block: Block) -> EncodedBlock:
    """Put the place and the time of every event where its record would be."""
    records, ends, at = list[bytes](), list[int](), block.span.start
    for line in block.data.removesuffix(b"\n").split(b"\n"):
        end = at + len(line) + 1
        for start, item, event in events_of(line):
            records.append(_PLACE.pack(place_of(at + start, item), stage_ns(event)))
            ends.append(end)
        at = end
    return EncodedBlock(block.span, records, ends)


def events_of(line: bytes) -> Iterator[tuple[int, int, AuditEvent]]:
    """Yield (place in the line, index in its list or -1, event) for every record it makes."""
    try:
        event = decode(line)
        if is_event(event):
            yield 0, -1, event
            return
    except REFUSED:
        pass
    for read in read_line(line):
        yield read.at, read.item, read.event
