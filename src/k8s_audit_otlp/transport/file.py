"""Writes requests as OTLP JSON lines to a file or to the standard output.

Source: opentelemetry.io/docs/specs/otel/protocol/file-exporter; a Collector reads such a file with
its OTLP JSON file receiver. A request counts as delivered when its line is written and fsynced.
"""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from k8s_audit_otlp.config.exporters import OtlpFile
from k8s_audit_otlp.model import Delivered, Outcome, Retry, TooLarge
from k8s_audit_otlp.otlp.hourly_scopes import request_of
from k8s_audit_otlp.transport.otlp_json import to_line
from k8s_audit_otlp.transport.sender import ExportRequest

STDOUT = "-"
_TAIL = 64 * 1024
_HINTS = {
    errno.ENXIO: "a pipe that nobody reads; start its reader",
    errno.ELOOP: "a symbolic link is not followed; write the path it leads to",
    errno.ENOENT: "its directory is not there; make it, or write create_directory: true",
}
# As fileexporter of the Collector names what it puts aside (natefinch/lumberjack)
_ASIDE = "%Y-%m-%dT%H-%M-%S"


class FileSender:
    """Writes a line or more for each request. Threads share it; lines are not mixed."""

    def __init__(
        self,
        exporter: OtlpFile,
        resource_scopes: Mapping[str, tuple[bytes, bytes]],
        *,
        stdout: int = 1,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """*resource_scopes*: per receiver the encoded resource and scope; *stdout*: its number."""
        self._exporter = exporter
        self._resource_scopes = resource_scopes
        self._stdout = stdout
        self._now = now
        self._lock = Lock()  # guards the file
        self._path = Path(exporter.path)
        self._fd = -1

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        lines = self._lines(receiver, records)
        return ExportRequest(lines, len(lines), receiver)

    def _lines(self, receiver: str, records: Sequence[bytes]) -> bytes:
        line = to_line(request_of(self._resource_scopes, receiver, records))
        if len(line) <= (self._exporter.max_line_bytes or len(line)) or len(records) == 1:
            return line
        middle = len(records) // 2
        return self._lines(receiver, records[:middle]) + self._lines(receiver, records[middle:])

    def send(self, request: ExportRequest) -> Outcome:
        most = self._exporter.max_line_bytes
        if most and request.size > most:
            longest = max(map(len, request.body.splitlines(keepends=True)))
            if longest > most:
                return TooLarge(f"a line has {longest} bytes; max_line_bytes is {most}")
        with self._lock:
            try:
                if self._exporter.path == STDOUT:
                    _write_all(self._stdout, request.body)
                else:
                    self._write(request.body)
            except (OSError, ValueError) as error:
                self._close()
                reason = getattr(error, "strerror", None) or type(error).__name__
                reason = _HINTS.get(getattr(error, "errno", None) or 0, reason)
                return Retry(f"{self._exporter.path}: {reason}", reached=False)
        return Delivered()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1

    def _write(self, lines: bytes) -> None:
        self._lock_file()
        end = self._cut_torn_line()
        rotation = self._exporter.rotation
        if rotation and end and end + len(lines) > rotation.max_bytes and self._put_aside():
            self._lock_file()
            end = self._cut_torn_line()
        try:
            self._append(lines)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, end)  # no reader may meet half a line
            raise
        fcntl.flock(self._fd, fcntl.LOCK_UN)  # else whoever closes the file lets go of it

    def _append(self, lines: bytes) -> None:
        _write_all(self._fd, lines)
        if self._path.is_file():  # a pipe or a terminal cannot be synced
            os.fdatasync(self._fd)
        if not self._is_ours():  # whoever did it may have packed it already
            raise OSError(errno.ESTALE, "it was put aside while it was written")

    def _lock_file(self) -> None:
        """Open the file of this name and keep other processes out: a replay writes to it too."""
        while True:
            if self._fd < 0:
                self._open()
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if self._is_ours():
                if os.fstat(self._fd).st_nlink > 1 and self._put_aside():
                    continue  # a hard link of whoever: what has the other name stays as it is
                return
            self._close()  # somebody has put it aside

    def _is_ours(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))

    def _open(self) -> None:
        if self._exporter.create_directory:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(self._path, flags, 0o600)
        info = os.fstat(self._fd)
        mode = info.st_mode
        if stat.S_ISFIFO(mode):
            self._close()  # whoever reads and writes a pipe is its only reader: all would be lost
            self._fd = os.open(self._path, flags & ~os.O_RDWR | os.O_WRONLY | os.O_NONBLOCK)
            os.set_blocking(self._fd, True)
        # Made by another program: events hold secrets.
        if stat.S_ISREG(mode) and mode & 0o077 and info.st_nlink == 1:
            os.fchmod(self._fd, stat.S_IMODE(mode) & 0o700)

    def _cut_torn_line(self) -> int:
        """Remove a line that a crash has cut: it was not acknowledged and comes again whole.

        Returns where the file ends.
        """
        size = end = os.fstat(self._fd).st_size  # 0 of a pipe or a terminal
        while end:
            start = max(0, end - _TAIL)
            if os.pread(self._fd, 1, end - 1) == b"\n":
                break
            at = os.pread(self._fd, end - start, start).rfind(b"\n")
            end = start if at < 0 else start + at + 1
        if end < size:
            os.ftruncate(self._fd, end)
        return end

    def _put_aside(self) -> bool:
        now = self._now()
        stamp = f"{now:{_ASIDE}}.{now.microsecond // 1000:03d}"
        aside = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        if aside.exists():
            return False  # twice within a millisecond: the file grows over its bound instead
        self._path.rename(aside)
        self._close()
        rotation = self._exporter.rotation
        if rotation and rotation.max_backups:
            pattern = f"{self._path.stem}-????-??-??T??-??-??.???{self._path.suffix}"
            for old in sorted(self._path.parent.glob(pattern))[: -rotation.max_backups]:
                old.unlink(missing_ok=True)
        return True


def _write_all(fd: int, lines: bytes) -> None:
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(fd, rest) :]
