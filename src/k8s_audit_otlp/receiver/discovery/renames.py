"""Follows each live file, and each copy of one, until a listing shows it.

One that was made and deleted between two listings leaves no trace: all others are as if it had
never been. Only inotify tells of it, to a frozen process when it goes on.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from k8s_audit_otlp.receiver.inotify import Change
from k8s_audit_otlp.receiver.listing import Entry, live_path, same_files
from k8s_audit_otlp.receiver.names import GZIP, parse
from k8s_audit_otlp.receiver.segments import KnownSegments

_ATTEMPTS = 4  # to list a directory in which nothing changes meanwhile


class Renames:
    """Used by the thread that scans. `changes` tells what inotify has told since the last call."""

    def __init__(self, known: KnownSegments, listing: Callable[[Path], list[Entry]]) -> None:
        self.changes: Callable[[], list[Change] | None] = list
        self._known, self._list = known, listing
        self._first_new = 0
        self._fresh: set[str] = set()  # names of files that are in no listing yet
        self._missing = 0  # of these how many are gone
        self._last: tuple[Path, str, list[Entry]] | None = None  # listing, of which log

    def begin(self) -> None:
        """Note when a scan begins, and which segments are known before it."""
        self._known.scan_ns, self._first_new = self._known.clock_ns(), self._known.manifest.next_seq

    def listed(self, log: Path, live: str) -> list[Entry]:
        """List *log*, whose live file is called *live*, while nothing changes.

        Where something always does, nobody knows what else it would show: nothing is followed on.
        """
        self._follow(self.changes(), live)
        for _ in range(_ATTEMPTS):
            entries = self._list(log)
            self._last = log, live, entries
            if not self._changed(live):
                return entries
        self._fresh.clear()
        return entries

    def is_outdated(self) -> bool:
        """Say whether the directory has changed since the last listing."""
        if self._last is None:
            return False
        log, live, entries = self._last
        return self._changed(live) or not same_files(self._list(log), entries)

    def _changed(self, live: str) -> bool:
        changes = self.changes()
        self._follow(changes, live)
        return changes != []

    def _follow(self, changes: list[Change] | None, live: str) -> None:
        if changes is None:
            self._fresh.clear()
        for before, now in changes or ():
            fresh = before in self._fresh
            self._fresh.discard(before)
            self._missing += now in self._fresh  # another file has its name now
            if fresh and not now:
                self._missing += before + GZIP not in self._fresh  # it was packed
            elif fresh or self._is_new(before, now, live):
                self._fresh.add(now)

    def _is_new(self, before: str, now: str, live: str) -> bool:
        """Say whether a file holds what no listing has shown: live, a copy, or packed from it."""
        name = parse(live, now)
        if name is None or (before and not name.live):
            return False
        return not name.compressed or name.base in self._fresh

    def _is_no_file(self, name: str) -> bool:
        """Say whether it is something else, as a pipe, that has no events."""
        path = live_path(self._last[0]).with_name(name) if self._last else ""
        return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113 - no error where it is closed

    def tell_missing(self, entries: Sequence[Entry], name: str) -> None:
        """Add a gap if a file that was called *name* is in no listing, unless one is told now."""
        missing, self._missing = self._missing, 0
        unlisted = self._fresh - {entry.name.name for entry in entries}
        self._fresh = {name for name in unlisted if not self._is_no_file(name)}
        old = [s for s in self._known if s.seq < self._first_new and not s.state.lost]
        new = [s for s in self._known if s.seq >= self._first_new]
        if not missing or any(s.is_gap_behind(old[-1] if old else None) for s in new):
            return
        since_ns = old[-1].state.since_ns if old else self._known.manifest.empty_ns
        until_ns = next((s.state.first_ns for s in new if s.live), 0)
        why = f"a file called {name} was there and gone before anybody could open it"
        key = f"{name} {self._first_new} {self._known.clock_ns()}".encode()
        self._known.add_lost("unseen", name, key, (since_ns, until_ns), detail=why)
