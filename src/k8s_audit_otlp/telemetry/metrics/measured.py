"""Counts of requests, their durations and sizes by outcome, and recent rates."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

OUTCOMES: Final = (
    "delivered", "connection", "retryable", "too_large", "rejected", "misconfigured"
)  # fmt: skip
DURATION_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZE_BYTES: Final = tuple(float(1 << n) for n in range(10, 25, 2))  # 1 KiB to 16 MiB
RECORDS: Final = (1.0, 10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)

_EVERY_S = 5.0  # between two samples of a History
_SAMPLES = 60  # five minutes


class Histogram:
    """Counts by upper bound. Whoever adds holds a lock; readers may see an addition half done."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class RequestCounts:
    """What became of the requests of one exporter since the start of the process."""

    def __init__(self) -> None:
        self.durations = {outcome: Histogram(DURATION_S) for outcome in OUTCOMES}
        self.sizes = Histogram(SIZE_BYTES)
        self.records = Histogram(RECORDS)


class History:
    """Events a second that each exporter delivered, over the last minutes."""

    def __init__(self) -> None:
        self._at = float("-inf")
        self._delivered: dict[str, int] = {}
        self._rates: dict[str, deque[float]] = {}

    def look(self, now_s: float, delivered: Mapping[str, int]) -> None:
        """Take in how much every exporter has delivered until now."""
        seconds = now_s - self._at
        if seconds < _EVERY_S:
            return
        for name, count in delivered.items():
            before = self._delivered.get(name, count)
            rates = self._rates.setdefault(name, deque(maxlen=_SAMPLES))
            rates.append(max(0, count - before) / seconds)
        self._at, self._delivered = now_s, dict(delivered)

    def rates(self, exporter: str) -> list[float]:
        return [round(rate, 1) for rate in self._rates.get(exporter, ())]
