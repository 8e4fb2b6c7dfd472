"""The files of a log in, its segments with the place of every event out: as the agent names them.

Nothing is read from the agent's state: names and identities follow from the files alone.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.event.decode import REFUSED, decode, is_event, read_line
from k8s_audit_otlp.event.times import stage_ns
from k8s_audit_otlp.model import AuditEvent
from k8s_audit_otlp.receiver.identity import Identity, identify
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.listing import Entry, list_log, without_packed_twins
from k8s_audit_otlp.receiver.segments import MAX_LINE_BYTES
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource, open_source
from k8s_audit_otlp.tools.verify.uids import place_of

NOTHING = 1 << 64  # after every place
_STEP = 1024 * 1024
_COMPARED = 1024 * 1024  # bytes that must agree before two files count as one segment


@dataclass(frozen=True, slots=True)
class DiskSegment:
    """A segment on disk. `places` is in file order, eight bytes for each event."""

    name: str
    identity: str
    live: bool
    size: int  # decompressed bytes of whole lines
    lines: int
    places: "array[int]"
    begin: int = 0  # the place from which records are asked for
    damage: str = ""  # why nothing more could be read

    @property
    def wanted(self) -> bool:
        return self.begin < NOTHING


@dataclass(slots=True)
class _File:
    entry: Entry
    source: PlainSource | GzipSource
    identity: Identity


class DiskLog:
    """The segments of one log, oldest first, read one at a time.

    `since_ns`: nothing before the first event with that time is asked for.
    """

    def __init__(self, path: Path, *, since_ns: int = 0, with_live: bool = True) -> None:
        self._path = path
        self._since_ns = since_ns
        self._with_live = with_live
        self.bytes_on_disk = 0

    def files(self) -> list[Entry]:
        """Return the files of the log.

        Raises:
            OSError: the directory is missing or may not be read.

        """
        entries = without_packed_twins(list_log(self._path))
        self.bytes_on_disk = sum(e.size for e in entries)
        return entries

    def segments(
        self, entries: list[Entry], advance: Callable[[int], None] = lambda _: None
    ) -> Iterator[DiskSegment]:
        """Read every segment; a file that is gone meanwhile is left out."""
        taken: dict[str, list[_File]] = {}
        for entry in entries:
            file = self._open(entry)
            if file is not None:
                known = taken.setdefault(file.identity.name, [])
                if not any(_same(file, other) for other in known):
                    known.append(file)
                    number = f".{len(known)}" if len(known) > 1 else ""
                    yield self._read(file, file.identity.name + number)
            advance(entry.size)

    def _open(self, entry: Entry) -> _File | None:
        path = self._path.with_name(entry.name.name)
        try:
            source = open_source(path, compressed=entry.name.compressed)
        except FileNotFoundError:
            return None
        identity = _identity_of(source, finished=not entry.name.live)
        return None if identity is None else _File(entry, source, identity)

    def _read(self, file: _File, identity: str) -> DiskSegment:
        name, places = file.entry.name, array("Q")
        if name.live and not self._with_live:
            return DiskSegment(name.name, identity, name.live, 0, 0, places, NOTHING)
        reader = _Lines(file.source, finished=not name.live)
        lines, begin = 0, NOTHING if self._since_ns else 0
        for start, line in reader:
            found = list(events_of(line))
            if begin == NOTHING and any(stage_ns(event) >= self._since_ns for _, _, event in found):
                begin = place_of(start)
            if begin < NOTHING:
                lines += 1
                places.extend(place_of(start + at, item) for at, item, _ in found)
        return DiskSegment(
            name.name, identity, name.live, reader.size, lines, places, begin, reader.damage
        )


def events_of(line: bytes) -> Iterator[tuple[int, int, AuditEvent]]:
    """Yield (place in the line, index in its list or -1, event) for every record it makes."""
    if len(line) > MAX_LINE_BYTES:
        yield 0, -1, AuditEvent()
        return
    try:
        event = decode(line)
        if is_event(event):
            yield 0, -1, event
            return
    except REFUSED:
        pass
    for read in read_line(line):
        yield read.at, read.item, read.event


class _Lines:
    """The lines of a source, each with its offset and without its newline.

    The last one counts only if it is whole, or *finished* says that nothing will be added.
    """

    def __init__(self, source: PlainSource | GzipSource, *, finished: bool) -> None:
        self._source = source
        self._finished = finished
        self.damage = ""
        self.size = 0  # bytes up to the end of the last line that counts

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        start, rest = 0, b""
        while data := self._read(start + len(rest), max(_STEP, len(rest))):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            for line in lines:
                yield start, line
                start += len(line) + 1
            hole = len(rest) - len(rest.lstrip(b"\0"))
            start, rest = start + hole, rest[hole:]  # what a truncating tool leaves may be huge
        self.size = start
        if rest and self._finished and not self.damage:
            self.size += len(rest)
            yield start, rest

    def _read(self, offset: int, length: int) -> bytes:
        try:
            data = self._source.read_at(offset, length)
        except CorruptGzipError as error:
            self.damage = f"damaged from byte {error.offset} on: {error}"
            return b""
        if not data and isinstance(self._source, GzipSource) and self._source.end is None:
            self.damage = f"breaks off at byte {offset}"
        return data


def _identity_of(source: PlainSource | GzipSource, *, finished: bool) -> Identity | None:
    length = 64 * 1024
    while True:
        try:
            data = source.read_at(0, length)
        except CorruptGzipError:
            return None
        found = identify(data, finished=finished and len(data) < length)
        if found is not None or len(data) < length or length > MAX_LINE_BYTES:
            return found
        length *= 4


def _same(one: _File, other: _File) -> bool:
    """Say whether two files hold one segment, as a log and the copy that copytruncate makes."""
    if one.identity.head != other.identity.head:
        return False
    mine, theirs = one.source.read_at(0, _COMPARED), other.source.read_at(0, _COMPARED)
    shared = min(len(mine), len(theirs))
    return mine[:shared] == theirs[:shared]
