"""Estimates how long a log is kept, and how long an exporter has until it loses something. Pure.

The runway of an exporter is the time until the oldest byte that it has not delivered is deleted,
or is older than its back end takes. It is never estimated too long: the file that holds the byte
is taken to be as old as the byte, and to hold nothing newer.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DAY_S = 86_400.0
_MIB = 1 << 20
DEFAULT_SEGMENT_BYTES = 100 * _MIB  # of lumberjack, where --audit-log-maxsize is 0 or absent
_WINDOW_S = 300.0  # what was written longer ago hardly counts


@dataclass(frozen=True, slots=True)
class Retention:
    """What rotation keeps beside the live file: bytes, and seconds. None: no such bound."""

    kept_bytes: int | None = None
    max_age_s: float | None = None

    @property
    def bounded(self) -> bool:
        return self.kept_bytes is not None or self.max_age_s is not None


def retention_of_flags(flags: Mapping[str, str]) -> Retention:
    """Read kube-apiserver's flags; what is absent or 0 sets no bound (k8s.io/apiserver audit)."""
    segment = segment_bytes_of_flags(flags)
    backups = _number(flags, "audit-log-maxbackup")
    days = _number(flags, "audit-log-maxage")
    return Retention(segment * backups or None, days * DAY_S or None)


def segment_bytes_of_flags(flags: Mapping[str, str]) -> int:
    """Return the size at which the log is rotated."""
    return _number(flags, "audit-log-maxsize") * _MIB or DEFAULT_SEGMENT_BYTES


def _number(flags: Mapping[str, str], name: str) -> int:
    text = flags.get(name, "")
    return int(text) if text.isdecimal() else 0


def observed_retention(sizes: Iterable[int], *, deleted: bool) -> Retention:
    """Take what lies there for what is kept, once something was deleted.

    *sizes* are those of the backups; 0 is a size that is not known, a compressed file that nobody
    read, and counts as the others do on average.
    """
    listed = list(sizes)
    known = [size for size in listed if size]
    if not deleted or not known:
        return Retention()
    return Retention(sum(known) * len(listed) // len(known))


def runway_s(
    retention: Retention,
    rate: float | None,
    *,
    backlog_bytes: int,
    backlog_s: float,
    window_s: float | None = None,
) -> float | None:
    """Return the seconds left; None where nothing bounds them or too little is known.

    *rate*: bytes written a second. *backlog_s*: age of the oldest byte that is not delivered.
    *window_s*: age that the back end takes.
    """
    bounds = []
    if retention.kept_bytes is not None and (left := retention.kept_bytes - backlog_bytes) <= 0:
        bounds.append(0.0)  # whatever the rate: a spool that is full takes nothing, so it is 0
    elif retention.kept_bytes is not None and rate is not None:
        bounds.append(left / rate if rate > 0 else math.inf)
    ages = (retention.max_age_s, window_s or None)
    bounds += [max(0.0, age - backlog_s) for age in ages if age is not None]
    shortest = min(bounds, default=math.inf)
    return shortest if math.isfinite(shortest) else None


class WriteRate:
    """Bytes a second, as a mean that forgets: what was written five minutes ago counts a third."""

    def __init__(self) -> None:
        self._at: float | None = None
        self.watched_s = 0.0  # between the first look and the last
        self._sizes: dict[int, int] = {}
        self._weight = 0.0
        self._sum = 0.0

    def look(self, now_s: float, sizes: Mapping[int, int]) -> None:
        """Take in the sizes of the log's segments, by their sequence numbers."""
        grown = sum(max(0, size - self._sizes.get(seq, 0)) for seq, size in sizes.items())
        self._sizes = dict(sizes)
        before, self._at = self._at, now_s
        if before is None or now_s <= before:
            return  # what lay there at the first look says nothing about how fast it came
        self.watched_s += now_s - before
        kept = math.exp((before - now_s) / _WINDOW_S)
        rate = grown / (now_s - before)
        self._sum = self._sum * kept + rate * (1 - kept)
        self._weight = self._weight * kept + (1 - kept)

    @property
    def bytes_per_s(self) -> float | None:
        """None before the second look."""
        return self._sum / self._weight if self._weight else None
