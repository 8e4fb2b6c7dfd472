"""One generation of the log, open for reading: its manifest entry, its file, where it ends."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from k8s_audit_otlp.receiver.identity import fingerprint
from k8s_audit_otlp.receiver.names import LogName
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource
from k8s_audit_otlp.state.manifest import SegmentState

OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a fifo must not hang the agent


def open_source(path: Path, *, compressed: bool) -> PlainSource | GzipSource:
    """Open a file of the log.

    Raises:
        OSError: it is gone or may not be read.

    """
    fd = os.open(path, OPEN_FLAGS)
    return GzipSource(fd) if compressed else PlainSource(fd)


@dataclass(slots=True, eq=False)
class Segment:
    """A known generation and what holds it now.

    `name` is None while no directory entry leads to it. `lock` guards the source's read position;
    everything else is guarded by the lock of the AuditLog.
    """

    state: SegmentState
    name: LogName | None = None
    source: PlainSource | GzipSource | None = None
    changed_ns: int = 0  # when it was last seen to grow
    disk_size: int = -1  # of the file at the last look
    stamp: tuple[int, int, int, int] | None = None  # of its directory entry at the last listing
    lock: Lock = field(default_factory=Lock)

    @property
    def seq(self) -> int:
        return self.state.seq

    @property
    def key(self) -> tuple[int, int]:
        """Device and inode of the file that is read, or was at last."""
        return self.state.device, self.state.inode

    @property
    def live(self) -> bool:
        return self.name is not None and self.name.live

    @property
    def compressed(self) -> bool:
        return isinstance(self.source, GzipSource)

    @property
    def unlinked(self) -> bool:
        """Only our descriptor keeps the data on disk."""
        return self.source is not None and self.source.stat().st_nlink == 0

    def head_matches(self) -> bool:
        """Say whether the file still begins as this segment does. A rewritten file does not."""
        with self.lock:
            return self.source is not None and self.begins_as_known(self.source)

    def begins_as_known(self, source: PlainSource | GzipSource) -> bool:
        """Say the same of *source*; whoever asks holds the lock."""
        state = self.state
        return fingerprint(source.read_at(state.head_start, state.head_length)) == state.head

    def look(self, now_ns: int) -> bool:
        """Take the size from the disk; say whether the segment has grown."""
        if self.source is None:
            return False
        size = self.source.stat().st_size
        if size == self.disk_size:
            return False
        self.disk_size, self.changed_ns = size, now_ns
        if not self.compressed and size > self.state.size:
            self.state.size, self.state.complete = size, False
        return True

    def hold(self, source: PlainSource | GzipSource, now_ns: int) -> None:
        """Read from *source* from now on."""
        self.release()
        self.source = source
        self.state.device, self.state.inode = source.device, source.inode
        self.state.gone = False
        self.state.truncated = (
            isinstance(source, PlainSource) and source.stat().st_size < self.state.size
        )
        self.disk_size = -1
        self.look(now_ns)

    def release(self) -> None:
        """Let the file go."""
        if self.source is not None:
            with self.lock:
                self.source.close()
            self.source = None

    def __repr__(self) -> str:
        where = self.name.name if self.name else ("unlinked" if self.source else "gone")
        return f"<Segment {self.seq} {self.state.identity} {where} size={self.state.size}>"
