"""The path of a log in, its blocks of whole lines out, oldest first; nothing is written anywhere.

A path that ends with `.gz` is that one file. Any other is a live file with its backups, compressed
ones included, and a file without backups is simply a log of one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.receiver.identity import identify
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.lines import without_bodies
from k8s_audit_otlp.receiver.listing import list_log, without_packed_twins
from k8s_audit_otlp.receiver.names import GZIP
from k8s_audit_otlp.receiver.segments import MAX_LINE_BYTES
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource, open_source

BLOCK_BYTES = 256 * 1024
_TAIL_KEPT = 256 * 1024  # of a longer line: the timestamps come last
_STEP = 1024 * 1024

Advance = Callable[[int], None]  # takes how many bytes on disk have been passed


@dataclass(frozen=True, slots=True)
class LogFile:
    """One file of a log and its bytes on disk."""

    path: Path
    size: int
    compressed: bool
    live: bool = False


@dataclass(slots=True)
class LogFiles:
    """The files of one log; `damage` says what of them could not be read, and why."""

    files: tuple[LogFile, ...]
    damage: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> "LogFiles":
        """Find the files of the log at *path*; none where there are none.

        Raises:
            OSError: the file or its directory is missing or may not be read.

        """
        if path.name.endswith(GZIP):
            return cls((LogFile(path, path.stat().st_size, compressed=True),))
        entries = without_packed_twins(list_log(path))
        found = [
            LogFile(path.with_name(e.name.name), e.size, e.name.compressed, e.name.live)
            for e in entries
        ]
        return cls(tuple(found))

    @property
    def names(self) -> list[str]:
        """Return the files by name, a log with backups as one."""
        if len(self.files) == 1:
            return [str(self.files[0].path)]
        return [f"{self.files[-1].path} and {len(self.files) - 1} older files"]

    @property
    def size(self) -> int:
        """Return the bytes on disk."""
        return sum(file.size for file in self.files)

    def blocks(self, first_segment: int, advance: Advance, now_ns: int) -> Iterator[Block]:
        """Read every file; one that is gone meanwhile counts as damage."""
        for number, file in enumerate(self.files, first_segment):
            try:
                yield from _Reader(file, number, now_ns, advance).blocks()
            except (OSError, CorruptGzipError) as error:
                why = (isinstance(error, OSError) and error.strerror) or str(error)
                self.damage.append(f"{file.path}: {why}; what comes before it was counted")


def _unpacked_size(file: LogFile) -> int:
    """Read the size that a gzip file gives at its end: good enough to show how far we are."""
    with file.path.open("rb") as packed:
        packed.seek(max(0, file.size - 4))
        return int.from_bytes(packed.read(4), "little")


class _Reader:
    """Reads one file forward, in blocks that end where a line ends."""

    def __init__(self, file: LogFile, segment: int, now_ns: int, advance: Advance) -> None:
        self._file = file
        self._segment = segment
        self._now_ns = now_ns
        self._advance = advance
        self._told = 0
        self._plain_size = _unpacked_size(file) if file.compressed else file.size
        self._identity = ""

    def blocks(self) -> Iterator[Block]:
        source = open_source(self._file.path, compressed=self._file.compressed)
        try:
            offset = 0
            while (found := self._next(source, offset)) is not None:
                data, end = found
                yield self._block(data, offset, end)
                offset = end
                passed = min(1.0, offset / max(1, self._plain_size))
                self._tell(int(passed * self._file.size))
            if isinstance(source, GzipSource) and source.end is None:
                raise CorruptGzipError(offset, f"the file breaks off at byte {offset}")
        finally:
            self._tell(self._file.size)
            source.close()

    def _tell(self, upto: int) -> None:
        self._advance(max(0, upto - self._told))
        self._told = max(upto, self._told)

    def _next(self, source: PlainSource | GzipSource, offset: int) -> tuple[bytes, int] | None:
        """Return whole lines and the offset after them; the last one may lack its newline."""
        data = source.read_at(offset, BLOCK_BYTES)
        wanted = BLOCK_BYTES
        while len(data) == wanted and b"\n" not in data:
            if wanted >= MAX_LINE_BYTES:
                return self._oversized(source, offset, data)
            wanted = min(MAX_LINE_BYTES, max(2 * wanted, _STEP))
            data = source.read_at(offset, wanted)
        if not data:
            return None
        end = len(data)
        if len(data) == wanted or (self._file.live and not data.endswith(b"}")):
            end = data.rfind(b"\n") + 1  # the rest is read again, or still being written
        return (data[:end], offset + end) if end else None

    @staticmethod
    def _oversized(source: PlainSource | GzipSource, offset: int, head: bytes) -> tuple[bytes, int]:
        """Keep of a line over the limit what its record is made of, as the agent does."""
        position, tail = offset + len(head), head[-_TAIL_KEPT:]
        while chunk := source.read_at(position, _STEP):
            end = chunk.find(b"\n") + 1 or len(chunk)
            tail = (tail + chunk[:end])[-_TAIL_KEPT:]
            position += end
            if chunk[end - 1 : end] == b"\n":
                break
        return without_bodies(head[:_TAIL_KEPT], tail), position

    def _block(self, data: bytes, offset: int, end: int) -> Block:
        if not self._identity:
            found = identify(data, finished=True)
            self._identity = found.name if found else "0" * 16
        span = Span(self._segment, offset, end)
        return Block(span, self._identity, self._file.path.name, data, self._now_ns)
