"""Marks the line that is being worked on, so that it is known after a crash.

    state_dir/marker.json

Only a process that keeps dying writes it: before each line of the stretch in which it died. The
kernel keeps what was written when a process is killed, so nothing needs to be synced.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from k8s_audit_otlp.state.files import open_private, read_file

_SIZE = 512  # bytes that every write fills, so that a shorter one leaves nothing of the last


class _Marks(msgspec.Struct, omit_defaults=True):
    current: str = ""  # the line under way, `<identity>-<offset>`
    crash_count: dict[str, int] = {}  # how often the process died in it


class Marker:
    """The marks of one state directory. One thread at a time."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "marker.json"
        self._marks = _Marks()
        self._fd = -1

    def load(self) -> bool:
        """Read what the last process left; say whether one died in a line that is not passed."""
        with suppress(OSError, msgspec.MsgspecError):
            self._marks = msgspec.json.decode(read_file(self._path), type=_Marks)
        died_in, self._marks.current = self._marks.current, ""
        counts = self._marks.crash_count
        if died_in:
            counts[died_in] = counts.get(died_in, 0) + 1
        return bool(counts)

    def crash_count(self, identity: str, offset: int) -> int:
        """Return how often a process has died in the line at *offset*."""
        return self._marks.crash_count.get(f"{identity}-{offset:x}", 0)

    def enter(self, identity: str, offset: int) -> None:
        self._write(f"{identity}-{offset:x}")

    def leave(self) -> None:
        self._write("")

    def forget(self) -> None:
        """Forget all lines: the range where it crashed is passed."""
        self._path.unlink(missing_ok=True)
        self._marks = _Marks()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, current: str) -> None:
        self._marks.current = current
        data = msgspec.json.encode(self._marks)
        try:
            if self._fd < 0:
                self._fd = open_private(self._path, os.O_WRONLY | os.O_CREAT)
            # JSON may end in blanks.
            os.pwrite(self._fd, data.ljust(_SIZE), 0)
            os.ftruncate(self._fd, max(_SIZE, len(data)))
        except OSError:
            return  # without a marker a crash is not explained, but nothing is lost
