"""Finds the heaviest keys in a table that never grows beyond its bound. Pure.

When the table is full, the lighter half is forgotten. A key that is forgotten and comes back starts
anew, so its sums may be too low, by at most `error` bytes: the heaviest forgotten of every time
together. As long as nothing was forgotten, everything is exact.
"""

from collections.abc import Hashable
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

MOST_KEYS = 16_384  # some 10 MB; clients choose users and paths, so they must not choose the size

K = TypeVar("K", bound=Hashable)


class Sums(NamedTuple):
    """What came under one key: in the log, and what of it would be sent."""

    events: int
    log_bytes: int
    sent_events: int
    sent_bytes: int


class Heaviest(Generic[K]):
    """Adds up by key; the weight is what a key has in the log, in bytes."""

    def __init__(self, most: int = MOST_KEYS) -> None:
        self._most = most
        self._table: dict[K, list[int]] = {}
        self.error = 0

    def __len__(self) -> int:
        return len(self._table)

    def add(self, key: K, log_bytes: int, sent_bytes: int | None) -> None:
        """Count one event; *sent_bytes* is None for one that is not sent."""
        row = self._table.get(key)
        if row is None:
            if len(self._table) >= self._most:
                self._forget()
            row = self._table[key] = [0, 0, 0, 0]
        row[0] += 1
        row[1] += log_bytes
        if sent_bytes is not None:
            row[2] += 1
            row[3] += sent_bytes

    def _forget(self) -> None:
        rows = sorted(self._table.items(), key=lambda item: item[1][1], reverse=True)
        kept = self._most // 2
        self._table = dict(rows[:kept])
        self.error += rows[kept][1][1]

    def top(self, count: int) -> list[tuple[K, Sums]]:
        """Return the heaviest by what would be sent, then by what is in the log."""
        rows = sorted(self._table.items(), key=lambda item: _weight(item[1]), reverse=True)
        return [(key, Sums(*row)) for key, row in rows[:count]]


_weight = itemgetter(3, 1)
