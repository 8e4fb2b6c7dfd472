"""The log that `explain` is given, as blocks of whole lines with progress; nothing is written.

A path that ends with `.gz` is that one file. Any other is a live file with its backups, compressed
ones included, and a file without backups is simply a log of one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from k8s_audit_otlp.event.foreign import LOOKED_AT, seems
from k8s_audit_otlp.exporter.wrapped_lines import UnwrappingEncoder
from k8s_audit_otlp.model import Block, EncodedBlock
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.log_file import GzipLogFile
from k8s_audit_otlp.tools.offline import OfflineSegment, files_of, segments
from k8s_audit_otlp.tools.text import counted

Advance = Callable[[int], None]  # takes how many bytes on disk have been passed


@dataclass(slots=True)
class LogFiles:
    """The files of one log; `damage` says what of them could not be read, and why."""

    files: tuple[Entry, ...]
    damage: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, path: Path) -> "LogFiles":
        """Find the files of the log at *path*; none where there are none.

        Raise OSError where the file or its directory is missing or may not be read.
        """
        return cls(tuple(files_of(path)))

    @property
    def names(self) -> list[str]:
        """Return the files by name, a log with backups as one."""
        if len(self.files) == 1:
            return [str(self.files[0].path)]
        return [f"{self.files[-1].path} and {counted(len(self.files) - 1, 'older file')}"]

    @property
    def size(self) -> int:
        """Return the bytes on disk."""
        return sum(file.size for file in self.files)

    def blocks(self, first_segment: int, advance: Advance, now_ns: int) -> Iterator[Block]:
        """Read every file; one that is gone meanwhile counts as damage."""
        damage: dict[str, str] = {}
        unframe = UnwrappingEncoder(_as_text, "auto", lambda *_: b"")  # they come in order
        for found in segments(list(self.files), damage):
            if isinstance(found, Entry):
                advance(found.size)
                continue
            for block in _with_progress(found, now_ns, advance):
                number = first_segment + found.number - 1
                if not block.span.start and (kind := seems(block.data.split(b"\n", LOOKED_AT))):
                    name = found.entry.name.name
                    self.damage.append(f"{name}: this is no audit log, it seems to be {kind}")
                text = b"\n".join(unframe(block).records)
                yield replace(block, data=text, span=block.span._replace(segment=number))
            if found.damage:
                before = "; what comes before it was counted" if found.size else ""
                damage[found.entry.name.name] = f"{found.damage}{before}"
        self.damage += [f"{name}: {why}" for name, why in damage.items()]


def _as_text(block: Block) -> EncodedBlock:
    """Leave what no frame is around as it is: one event of many, or a block of lines."""
    return EncodedBlock(block.span, [block.data], [block.span.end])


def _with_progress(segment: OfflineSegment, now_ns: int, advance: Advance) -> Iterator[Block]:
    source, size, reported = segment.source, segment.entry.size, 0
    whole = source.promised_size() if isinstance(source, GzipLogFile) else size
    for block in segment.blocks(now_ns=now_ns, with_rest=True):
        yield block
        passed = min(size, block.span.end * size // max(1, whole))
        advance(max(0, passed - reported))
        reported = max(reported, passed)
    advance(size - reported)
