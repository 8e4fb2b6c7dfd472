"""Tells which names in a directory have changed, in order, as the kernel does: at once."""

import ctypes
import os
import select
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_OVERFLOW, _DIRECTORY = 0x4000, 0x40000000
_HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_READ = 64 * 1024  # bytes, more than any one change has


class Change(NamedTuple):
    """A file that was called `before` is called `now`; '' where it had or has no name here."""

    before: str
    now: str


class DirectoryWatch:
    """An inotify instance. One thread waits, and one asks what has changed."""

    def __init__(self, directory: Path) -> None:
        """Raise OSError where inotify is denied or used up, or the directory is not there."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(directory), mask) < 0:
            number = ctypes.get_errno()
            self.close()
            raise OSError(number, os.strerror(number), str(directory))
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def wait(self, seconds: float) -> bool:
        """Wait for a change at most so long; say whether there is one."""
        return bool(self._poll.poll(seconds * 1000))

    def changes(self) -> list[Change] | None:
        """Return what has changed since the last call; None where there was too much to know."""
        found: list[Change] = []
        cookies: dict[int, int] = {}  # of files that have left: where in *found*
        for mask, cookie, name in self._events():
            if mask & _OVERFLOW:
                return None
            if mask & _MOVED_TO and cookie in cookies:
                at = cookies.pop(cookie)
                found[at] = found[at]._replace(now=name)
            elif mask & (_MOVED_TO | _CREATE):
                found.append(Change("", name))
            elif mask & (_MOVED_FROM | _DELETE):
                cookies[cookie] = len(found)
                found.append(Change(name, ""))
        return found

    def _events(self) -> Iterator[tuple[int, int, str]]:
        with suppress(BlockingIOError):  # there are no more
            while True:
                data, at = os.read(self._fd, _READ), 0
                while at < len(data):
                    _, mask, cookie, length = _HEADER.unpack_from(data, at)
                    at += _HEADER.size + length
                    if not mask & _DIRECTORY:  # as kubelet makes for a mount that is missing
                        yield mask, cookie, os.fsdecode(data[at - length : at].rstrip(b"\0"))

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
