"""Accounts for each time that the live file lost its name, as inotify tells.

A rotation renames it, and a listing shows it under its new name. One that was made and deleted
between two listings leaves no trace: all others are as if it had never been.
"""

from collections.abc import Sequence

from k8s_audit_otlp.receiver.listing import Entry
from k8s_audit_otlp.receiver.segments import KnownSegments

_LATE_NS = 10_000_000_000  # within which inotify tells of what a listing shows already


class Renames:
    """`note` is for the thread that hears of renames and deletions, the rest for who scans."""

    def __init__(self, known: KnownSegments) -> None:
        self._known = known
        self._noted = self._due = self._accounted = 0
        self._early: list[int] = []  # when files were found of whose departure nobody has told
        self._listed: Sequence[Entry] = ()
        self._first_new = 0

    def note(self, change: int) -> None:
        """Note that the live file was renamed or deleted: 1; -1 where one got its name."""
        self._noted += change

    def begin(self) -> None:
        """Expect the next listing to show all that was noted until now."""
        self._due, self._first_new = self._noted, self._known.manifest.next_seq

    def tell_missing(self, entries: Sequence[Entry], name: str) -> None:
        """Add a gap if a file that was called *name* is in no listing, unless one is told now."""
        missing = self._missing(entries)
        old = [s for s in self._known if s.seq < self._first_new and not s.state.lost]
        new = [s for s in self._known if s.seq >= self._first_new]
        if not missing or any(segment.state.lost for segment in new):
            return
        since_ns = old[-1].state.since_ns if old else self._known.manifest.empty_ns
        until_ns = next((s.state.first_ns for s in new if s.live), 0)
        why = f"a file called {name} was there and gone before anybody could open it"
        key = f"{name} {self._first_new} {self._known.clock_ns()}".encode()
        self._known.add_lost("unseen", name, key, (since_ns, until_ns), detail=why)

    def _missing(self, entries: Sequence[Entry]) -> int:
        before, self._listed = self._listed, entries
        noted, self._accounted = self._due - self._accounted, self._due
        if not before:
            return 0
        keys, bases = {e.key for e in before}, {e.name.base for e in before}
        backups = [e for e in entries if not e.name.live and e.key not in keys]
        found = len(_live(before) - _live(entries)) + sum(e.name.base not in bases for e in backups)
        now_ns = self._known.clock_ns()
        early = [when for when in self._early if 0 <= now_ns - when < _LATE_NS]
        early += [now_ns] * (found - min(0, noted))
        self._early = early[max(0, noted) :]
        return max(0, noted - len(early))


def _live(entries: Sequence[Entry]) -> set[tuple[int, int]]:
    return {entry.key for entry in entries if entry.name.live}
