"""Rates of the last minutes, for the page's charts; apart from it, as it is measured always."""

from collections import deque
from collections.abc import Mapping

_EVERY_S = 5.0
_SAMPLES = 60  # five minutes


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
