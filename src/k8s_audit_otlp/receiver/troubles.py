"""Reports what keeps a log from being read: once when it begins, and once when all is over."""

import errno
import os
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Protocol

from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.state.manifest import SegmentState

UNVERIFIED = "lacks its checksum or length; all its lines are read, and nothing verifies them"
WAITING = "; waiting for it"  # what ends the trouble of a log that is not there
UNPACKED = "cannot be unpacked (yet); waiting for it"

_HINTS = {
    errno.EACCES: "run as the log's owner or let the agent's user read it",
    errno.EPERM: "run as the log's owner or let the agent's user read it",
    errno.EMFILE: "raise the limit of open files (LimitNOFILE)",
}


def explain(error: OSError) -> str:
    """Say what went wrong and what helps."""
    code = error.errno or 0
    if code == errno.ENOENT:
        return f"is not there yet{WAITING}"
    if code == errno.EMEDIUMTYPE:
        return f"{error.strerror}; unpack it, or pack it with gzip"
    return f"{os.strerror(code)}; {_HINTS.get(code, 'waiting for it')}"


class LogEvents(Protocol):
    """What the log tells whoever listens; the core only says what happened."""

    def discovered(self, log: LogKey, segment: SegmentState) -> None: ...
    def trouble(self, log: LogKey, message: str) -> None:
        """Something that may pass stands in the way; '' when nothing does any more."""


class Troubles:
    """The troubles of one log, each under a name. The watcher and the readers tell of them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """*say* is called with each new trouble, and with '' when the last one has passed."""
        self._say = say
        self._lock = Lock()  # guards all four
        self._absence = ""
        self._now: dict[str, str] = {}
        self._since: dict[str, str] = {}  # added by readers since the last scan
        self._once: set[str] = set()

    @property
    def now(self) -> list[str]:
        with self._lock:
            return list(self._now.values())

    @property
    def absence(self) -> str:
        """Say that the live file is away; what is there of the log can be read all the same."""
        return self._absence

    def away(self, message: str) -> None:
        """Tell that the live file is away, '' when it is back; once, and not beside another."""
        with self._lock:
            changed = bool(message) != bool(self._absence) and not self._now
            self._absence = message
        if changed:
            self._say(message)

    def add(self, name: str, message: str) -> None:
        """Tell of one; it counts until a scan and the readers after it no longer meet it."""
        with self._lock:
            new = self._now.get(name) != message
            self._now[name] = self._since[name] = message
        if new:
            self._say(message)

    def replace(self, troubles: dict[str, str]) -> None:
        """Tell what a scan has met; readers' troubles are kept for one scan."""
        with self._lock:
            before = self._now
            self._now, self._since = {**self._since, **troubles}, {}
            new = {name: why for name, why in self._now.items() if before.get(name) != why}
            passed = bool(before) and not self._now and not self._absence
        self._say_each(new)
        if passed:
            self._say("")

    def _say_each(self, new: Mapping[str, str]) -> None:
        """Say what stands in the way of many files for one reason in one line."""
        by_reason: dict[str, list[str]] = {}
        for name, message in new.items():
            reason = message.rpartition(f"{name}: ")[2] if name else message
            by_reason.setdefault(reason, []).append(message)
        for first, *others in by_reason.values():
            self._say(f"{first} (others like it: {len(others):,})" if others else first)

    def once(self, message: str) -> None:
        """Say something once that is no trouble but should be known."""
        with self._lock:
            new = message not in self._once
            self._once.add(message)
        if new:
            self._say(message)
