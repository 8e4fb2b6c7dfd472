"""The files of a log as tools read them: the segments, blocks and identities that the agent has.

Nothing is taken from the agent's state and nothing is written: names and identities follow from
the files alone. A log that was cut while the agent read it has more segments there than here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.receiver.discovery.same_segment import same_content
from k8s_audit_otlp.receiver.identity import Identity, read_identity
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.lines import Lines, Stretch
from k8s_audit_otlp.receiver.listing import Entry, list_log, without_packed_twins
from k8s_audit_otlp.receiver.log_file import LogFile, open_log_file
from k8s_audit_otlp.receiver.names import GZIP, LogName
from k8s_audit_otlp.receiver.segments import MAX_LINE_BYTES
from k8s_audit_otlp.receiver.troubles import WAITING, explain


def files_of(path: Path) -> list[Entry]:
    """Return the files of the log at *path*, oldest first; a path that ends in `.gz` is one file.

    Raise OSError where the file or its directory is missing or may not be read.
    """
    if not path.name.endswith(GZIP):
        return without_packed_twins(list_log(path))
    name = LogName(path.name, path.name, compressed=True, live=False, age=(0, ""))
    info = path.stat()
    return [Entry(path, name, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)]


@dataclass(slots=True, eq=False)
class OfflineSegment:
    """One segment. `damage` says, once it was read, why nothing follows."""

    entry: Entry
    number: int
    identity: str
    source: LogFile
    first: Identity
    damage: str = ""
    size: int = 0  # decompressed bytes of whole lines, once it was read

    @property
    def live(self) -> bool:
        return self.entry.name.live

    def blocks(self, *, now_ns: int = 0, with_rest: bool = False) -> Iterator[Block]:
        """Read the segment. What no newline ends is a line of a file to which nothing is added.

        *with_rest*: in the live file too, if it looks like a whole event.
        """
        self.size = 0
        try:
            while (found := self._next(with_rest=with_rest)) is not None:
                span, self.size = Span(self.number, self.size, found.end), found.end
                yield Block(span, self.identity, self.entry.name.name, found.data, now_ns)
        except OSError as error:
            self.damage = error.strerror or str(error)
        if not self.source.has_end:
            self.damage = self.damage or f"breaks off at byte {self.size}"

    def _next(self, *, with_rest: bool) -> Stretch | None:
        found = Lines(self.source, MAX_LINE_BYTES, last=False).block_at(self.size)
        if found.end == self.size and self._written_out(with_rest=with_rest):
            found = Lines(self.source, MAX_LINE_BYTES, last=True).block_at(self.size)
        if found.damage:
            self.damage = f"damaged from byte {found.end + found.unfinished} on: {found.damage}"
        return found if found.end > self.size else None

    def _written_out(self, *, with_rest: bool) -> bool:
        if self.source.compressed or not self.live:
            return self.source.has_end
        return with_rest and self.source.read_at(self.source.stat().st_size - 1, 1) == b"}"


def segments(entries: list[Entry], damage: dict[str, str]) -> Iterator[OfflineSegment | Entry]:
    """Open one file after the other; a file that makes no segment of its own comes as its entry.

    That is one that is gone meanwhile, has no line yet, is a copy of another or, as *damage* says
    under its name, cannot be read.
    """
    taken: dict[str, list[OfflineSegment]] = {}
    number = 0
    for entry in entries:
        try:
            source = open_log_file(entry.path, compressed=entry.name.compressed)
            first = read_identity(
                source, finished=not entry.name.live, max_line_bytes=MAX_LINE_BYTES
            )
        except FileNotFoundError:
            first = None
        except CorruptGzipError as error:
            damage[entry.name.name], first = str(error), None
        except OSError as error:
            damage[entry.name.name], first = explain(error).removesuffix(WAITING), None
        else:
            if first is None and not source.has_end:
                damage[entry.name.name] = "breaks off before its first line ends"
        alike = taken.setdefault(first.name, []) if first else []
        # A log and the copy that copytruncate makes of it are one segment.
        copies = (one for one in alike if first and one.first.head == first.head)
        if first is None or any(same_content(source, one.source) for one in copies):
            yield entry
            continue
        number += 1
        name = f"{first.name}.{len(alike) + 1}" if alike else first.name
        alike.append(OfflineSegment(entry, number, name, source, first))
        yield alike[-1]
