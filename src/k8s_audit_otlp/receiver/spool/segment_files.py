"""The directory of a spool: the live file that is written and the backups behind it.

It looks as a kube-apiserver would leave it: `audit.log`, and lumberjack's names by the time of
rotation. Not thread-safe: the spool's lock guards it.
"""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from os.path import samestat
from pathlib import Path

from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.state.files import Fsync, make_private_directory, open_private, sync_directory

logger = logging.getLogger("k8s_audit_otlp")

LIVE = "audit.log"
_STEP = 1 << 20  # how the live file is read at the start
_STAMP = "%Y-%m-%dT%H-%M-%S"


class SpoolFullError(Exception):
    """There is no room, or the disk fails; nothing of it was acknowledged. Says why."""


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """Bytes. A line is never parted, so a segment may be larger by one request."""

    max_bytes: int = 4 << 30
    segment_bytes: int = 64 << 20
    min_free_disk_bytes: int = 256 << 20


class SegmentFiles:
    """Appends whole lines; `live_bytes` and `backup_bytes` are what the directory holds."""

    def __init__(
        self,
        directory: Path,
        limits: SpoolLimits,
        *,
        fsync: Fsync,
        free_disk: Callable[[Path], int],
        now: Callable[[], datetime],
        truncate: Callable[[int, int], None] = os.ftruncate,
    ) -> None:
        self._directory = directory
        self._path = directory / LIVE
        self._limits = limits
        self._fsync, self._free_disk, self._now = fsync, free_disk, now
        self._truncate = truncate
        self._fd = -1
        self._torn = False  # the live file ends within a line that could not be cut
        self._last_backup = ""
        self.live_bytes = self.backup_bytes = 0
        self.write_error = ""  # why the disk took less than was written

    def open(self) -> Iterator[bytes]:
        """Take up what is there and yield the lines of the live file; a torn one is cut.

        Raise OSError where the directory cannot be written.
        """
        self._take_up()
        yield from self._whole_lines()
        self._fsync(self._fd)
        sync_directory(self._directory, fsync=self._fsync)

    def _take_up(self) -> None:
        """Make the directory where it is missing, count its backups and open the live file."""
        make_private_directory(self._directory)
        self._last_backup = max(self._count_backups(), self._last_backup)
        self._open_live()

    def _count_backups(self) -> str:
        """Count the bytes of the backups; return the name of the newest, '' without one."""
        with os.scandir(self._directory) as entries:
            sizes = {e.name: e.stat().st_size for e in entries if _is_backup(e.name)}
        self.backup_bytes = sum(sizes.values())
        return max(sizes, default="")

    @property
    def removed(self) -> bool:
        """Say whether the live file is not in its place any more: nobody would find it again."""
        try:
            return self._fd >= 0 and not samestat(self._path.stat(), os.fstat(self._fd))
        except (FileNotFoundError, NotADirectoryError):
            return True

    def _open_live(self) -> None:
        self._fd = open_private(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self.live_bytes = os.fstat(self._fd).st_size

    def _whole_lines(self) -> Iterator[bytes]:
        whole, rest = 0, b""
        while data := os.pread(self._fd, _STEP, whole + len(rest)):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                whole += len(line) + 1
                yield line + b"\n"
        if whole != self.live_bytes:
            torn = self.live_bytes - whole
            logger.warning("%s: cut %d bytes of an unacknowledged line", self._path, torn)
            self._cut(whole)

    def _cut(self, size: int) -> None:
        self._truncate(self._fd, size)
        self.live_bytes = size

    def check_room(self, size: int) -> None:
        """Refuse what does not fit, before any of it is written.

        Raise SpoolFullError where the bound of the spool or of the disk is reached.
        """
        if self._would_overflow(size):
            self._count_backups()  # somebody may have made room
        if self._would_overflow(size):
            used = self.backup_bytes + self.live_bytes
            raise SpoolFullError(
                f"{used} bytes wait for the exporters, and the spool holds at most "
                f"{self._limits.max_bytes}"
            )
        free = self._free_disk(self._directory)
        if free - size < self._limits.min_free_disk_bytes:
            raise SpoolFullError(
                f"the disk has {free} bytes free, and min_free_disk is "
                f"{self._limits.min_free_disk_bytes}"
            )

    def _would_overflow(self, size: int) -> bool:
        return self.backup_bytes + self.live_bytes + size > self._limits.max_bytes

    def wants_rotation(self, size: int) -> bool:
        full = self.live_bytes + size > self._limits.segment_bytes
        return self._torn or (self.live_bytes > 0 and full)

    def write(self, data: bytes) -> int:
        """Append *data*; return how much of it stays, which is less only when the disk failed.

        What stays then ends with a whole line: a reader may have taken it already. Where the rest
        cannot be cut either, the next line must go to another file, not behind half a line.
        """
        if self._fd < 0:
            self._open_live()
        start = self.live_bytes
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.write_error = error.strerror or str(error)
            size = os.fstat(self._fd).st_size - start
            kept = data.rfind(b"\n", 0, size) + 1
            try:
                self._cut(start + kept)
            except OSError:
                self._torn, self.live_bytes = kept < size, start + size
            return kept
        self.live_bytes += len(data)
        return len(data)

    def sync_handle(self) -> int:
        """Return a descriptor of the live file for the caller, who syncs and closes it."""
        return os.dup(self._fd)

    def sync(self) -> None:
        """Bring the live file to the disk."""
        self._fsync(self._fd)

    def rotate(self) -> None:
        """Give the live file its backup name and begin another; one that holds nothing stays.

        What somebody has removed is made again. Raise OSError where the directory cannot be
        written; call it again before the next write.
        """
        if self.removed:
            make_private_directory(self._directory)
            self.close()
        if self._fd < 0:
            self._take_up()
        if self.live_bytes:
            backup = self._backup_name()
            self._path.rename(self._path.with_name(backup))
            self._last_backup = backup
            self.backup_bytes += self.live_bytes
            self.close()
        if self._fd < 0:
            self._open_live()
        sync_directory(self._directory, fsync=self._fsync)

    def _backup_name(self) -> str:
        """Return a name later than the last one, whatever the clock says."""
        name = _named(self._now())
        if name <= self._last_backup:
            stamp, milliseconds = self._last_backup[6:-8], int(self._last_backup[-7:-4])
            last = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            name = _named(last + timedelta(milliseconds=milliseconds + 1))
        return name

    def delete(self, name: str) -> None:
        """Delete a backup; the live file and what is no part of the log stay.

        Raise OSError where it cannot be deleted.
        """
        path = self._directory / name
        if _is_backup(name) and path.exists():
            size = path.stat().st_size
            path.unlink()
            self.backup_bytes -= size

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd, self.live_bytes, self._torn = self._fd, -1, 0, False
            os.close(fd)


def _named(when: datetime) -> str:
    return f"audit-{when.strftime(_STAMP)}.{when.microsecond // 1000:03}.log"


def _is_backup(name: str) -> bool:
    found = parse(LIVE, name)
    return found is not None and not found.live and not found.compressed
