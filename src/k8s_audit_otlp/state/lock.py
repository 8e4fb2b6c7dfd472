"""Locks a state directory: one agent each.

The lock is `flock`, so the kernel lets it go when the process dies, however it dies.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from k8s_audit_otlp.state.files import open_private


class StateLockedError(Exception):
    """Another process works with this state directory."""


class StateLock:
    """Held from `acquire` to `release`; a successor waits for it up to *timeout_s* seconds."""

    def __init__(self, state_dir: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._path = state_dir / "lock"
        self._sleep = sleep
        self._fd = -1

    def acquire(self, timeout_s: float = 0.0, on_wait: Callable[[str], None] | None = None) -> None:
        """Take the lock; where it is held already nothing happens.

        Raise StateLockedError where it is still held after *timeout_s*.
        """
        if self._fd >= 0:
            return
        fd = open_private(self._path, os.O_RDWR | os.O_CREAT)
        waited = 0.0
        while holder := _locked_by_other(fd, fcntl.LOCK_EX):
            if waited == 0.0 and on_wait:
                on_wait(holder)
            if waited >= timeout_s:
                os.close(fd)
                raise StateLockedError(
                    f"{self._path.parent}: in use by process {holder}; "
                    "stop that agent or give this one its own state directory (--state-dir)"
                )
            self._sleep(0.1)
            waited += 0.1
        with contextlib.suppress(OSError):  # a full disk: it is ours, whoever reads the number
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def holder(self) -> str | None:
        """Return the process that holds the lock now; None if nobody does.

        Raise OSError where the lock may not be opened.
        """
        try:
            fd = open_private(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return _locked_by_other(fd, fcntl.LOCK_SH)
        finally:
            os.close(fd)

    def is_open_in(self, process: str, proc: Path = Path("/proc")) -> bool:
        """Say whether *process* has the file open, holding the lock or not, as far as is shown."""
        with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours to see
            wanted = self._path.stat()
            for link in (proc / process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    named = link.readlink().name == self._path.name
                    if named and os.path.samestat(link.stat(), wanted):
                        return True
        return False

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _locked_by_other(fd: int, kind: int) -> str | None:
    """Take a lock of this *kind*; return the process that has it, None where it is ours now."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(fd, 20, 0).decode("ascii", "replace") or "unknown"
    return None
