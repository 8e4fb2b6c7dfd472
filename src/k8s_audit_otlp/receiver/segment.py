"""One generation of the log, open for reading: its manifest entry, its file, where it ends."""

import errno
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.receiver.inflate import MAGIC
from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.log_file import GzipLogFile, LogFile, open_log_file
from k8s_audit_otlp.receiver.marks import begins, holds, verified
from k8s_audit_otlp.receiver.names import GZIP, LogName, may_become
from k8s_audit_otlp.receiver.troubles import explain
from k8s_audit_otlp.state.ledger import Place
from k8s_audit_otlp.state.manifest import SegmentState


@dataclass(slots=True, eq=False)
class Segment:
    """A known generation and what holds it now.

    All fields are guarded by the lock of the log. A source is read without it: who reads keeps a
    reference of its own, and a file is closed with the last one.
    """

    state: SegmentState
    name: LogName | None = None  # None while no directory entry leads to it
    path: Path | None = None  # of the directory entry that it had last
    source: LogFile | None = None
    changed_ns: int = 0  # when it was last seen to grow
    disk_size: int = -1  # of the file at the last look
    stamp: tuple[int, int, int, int] | None = None  # of its directory entry at the last listing
    trouble: str = ""  # why its file cannot be read now

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
        return self.source is not None and self.source.compressed

    @property
    def unlinked(self) -> bool:
        """Only our descriptor keeps the data on disk."""
        return self.source is not None and self.source.unlinked

    @property
    def appearance(self) -> object:
        state, own = self.state, (self.seq, self.name, self.key, self.trouble, self.disk_size)
        return (*own, state.size, state.complete, state.gone)

    @property
    def least_size(self) -> int:
        """What its file has at least: as a cut left it, or it was looked at or, if plain, read."""
        if self.state.cut:
            return self.state.cut  # what was read behind it is gone, whoever has read it
        plain = not self.state.truncated and not self.compressed
        return max(self.disk_size, self.state.farthest if plain else 0)

    def is_gap_behind(self, other: "Segment | None") -> bool:
        """Say whether it stands for what nobody has seen, and not for what came before *other*."""
        older = other is not None and 0 < self.state.last_ns <= other.state.first_ns
        return bool(self.state.lost) and not older

    def is_still_in(self, source: LogFile) -> bool:
        """Say whether *source*, which holds it, was neither cut nor written anew since.

        A backup may lack what was read of it: it is read as far as it goes. A packed one is not
        unpacked again to see that.
        """
        if source.compressed and not self.live:
            return True
        least = self.least_size  # first: it may be read on meanwhile
        if source.stat().st_size < least:
            return False
        if not source.compressed:
            return holds(source, self.state) if self.live else begins(source, self.state)
        return source.raw(0, len(MAGIC)) == MAGIC

    def is_listed_as(self, entry: Entry) -> bool:
        """Say whether a listed file is this one: by its date, or as nobody wrote to it since.

        An inode number alone proves nothing: that of a deleted file is soon another one's.
        """
        state = self.state
        if entry.is_dated_as(*state.names):
            return True
        same_file = self.key == entry.key and may_become(state.name, entry.name)
        return same_file and not state.gone and state.modified_ns == entry.mtime_ns

    def holds(self, place: Place) -> bool:
        """Say whether the bytes before *place* are what they were; without a mark nobody knows."""
        source, at = self.file(), (place.offset, place.mark)
        return bool(source and place.mark and verified(source, [at]) == (place.offset, True))

    def file(self) -> LogFile | None:
        """Return its file, opened again where it was closed; None where that cannot be had now."""
        try:
            return self.source or reopened(self)
        except OSError:
            return None

    def unchanged_for(self, seconds: float, now_ns: int) -> bool:
        """Look at the file; say whether it has not changed for so long."""
        self.look(now_ns)
        self.changed_ns = min(self.changed_ns, now_ns)  # the clock may be set back
        return now_ns - self.changed_ns >= seconds * 1e9

    def look(self, now_ns: int) -> bool:
        """Take the size from the disk; say whether the segment has grown."""
        if self.source is None:
            return False
        info = self.source.stat()
        size = info.st_size
        if size == self.disk_size:
            return False
        if not self.compressed and not holds(self.source, self.state):
            return False  # cut and written anew: the size is another segment's
        first = self.disk_size < 0  # what was packed long ago is not waited for once more
        self.changed_ns = min(now_ns, info.st_mtime_ns) if first and self.compressed else now_ns
        self.disk_size = size
        self.state.modified_ns = info.st_mtime_ns
        if self.compressed:
            self.state.complete &= first or not self.live  # another member may follow
        elif size > self.state.size and not self.state.cut:
            self.state.size, self.state.complete = size, False
        return True

    def hold(self, source: LogFile, now_ns: int) -> None:
        """Read from *source* from now on."""
        self.source = source
        self.state.device, self.state.inode = source.device, source.inode
        self.state.gone = self.state.open_end = False
        self.trouble = ""
        self.state.truncated = not source.compressed and source.stat().st_size < self.state.size
        self.state.promised = 0
        if isinstance(source, GzipLogFile):
            self.state.promised = max(1, source.promised_size())
        self.disk_size = -1
        self.look(now_ns)

    def failed(self, error: OSError) -> None:
        """Note why it cannot be read now; a stale descriptor never can be, its file may be."""
        self.trouble = f"{self.path or self.state.name}: {explain(error)}"
        if error.errno == errno.ESTALE:
            self.release()

    def gone(self) -> None:
        """Note that no file holds it any more; what came after the last look is not known."""
        state = self.state
        read = state.marks[0][0] if state.marks else state.begin
        if not state.complete and state.promised and state.size <= read:
            state.size = state.torn = read + 1  # nobody unpacked the rest: one byte stands for it
        state.open_end |= not state.complete or state.truncated
        state.gone = state.complete = True

    def let_go(self) -> None:
        """Give up a file that only our descriptor holds."""
        self.release()
        self.state.let_go = True
        self.gone()

    def release(self) -> None:
        """Let the file go; it stays open for who reads from it just now."""
        self.source = None

    def __repr__(self) -> str:
        where = self.name.name if self.name else ("unlinked" if self.source else "gone")
        why = f" {self.trouble!r}" if self.trouble else ""
        return f"<Segment {self.seq} {self.state.identity} {where} size={self.state.size}{why}>"


def reopened(segment: Segment) -> LogFile | None:
    """Open the file of a known segment again, packed or not; None where it is not to be found.

    Raise OSError where it is there and cannot be read.
    """
    if segment.path is None:
        return None
    for path in (segment.path, segment.path.with_name(segment.path.name + GZIP)):
        try:
            source = open_log_file(path, compressed=path.suffix == GZIP)
        except FileNotFoundError:
            continue
        if holds(source, segment.state) or not source.readable:
            return source  # who reads what is damaged tells what is missing
    return None
