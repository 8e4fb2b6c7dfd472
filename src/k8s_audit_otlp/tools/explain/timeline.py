"""Counts how much was written when, at a resolution that its bound allows. Pure.

A time is counted under the beginning of its text, so it need not be read.
"""

from datetime import UTC, datetime

from k8s_audit_otlp.event.times import unix_ns

MOST_MOMENTS = 20_000
# characters of 2026-01-02T03:04:05.678901Z that are a second, a minute, an hour, a day, and what
# makes a whole time of them
_RESOLUTIONS = ((19, "Z"), (16, ":00Z"), (13, ":00:00Z"), (10, "T00:00:00Z"))
_LENGTH = 27


def micro_text(ns: int) -> str:
    """Write a time as kube-apiserver does."""
    moment = datetime.fromtimestamp(ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ns // 1000 % 1_000_000:06}Z"


class Timeline:
    """Adds up bytes by time; `first` and `last` are texts of one form, so they compare."""

    def __init__(self) -> None:
        self._level = 0
        self._bytes: dict[str, int] = {}
        self.first = ""
        self.last = ""

    def add(self, text: str, size: int) -> None:
        """Count *size* bytes at a time of the form 2026-01-02T03:04:05.678901Z."""
        moment = text[: _RESOLUTIONS[self._level][0]]
        self._bytes[moment] = self._bytes.get(moment, 0) + size
        self.last = max(self.last, text)
        if text < self.first or not self.first:
            self.first = text
        if len(self._bytes) > MOST_MOMENTS:
            self._coarsen()

    def _coarsen(self) -> None:
        if self._level + 1 >= len(_RESOLUTIONS):
            return  # 54 years of days
        self._level += 1
        finer, self._bytes = self._bytes, {}
        for moment, size in finer.items():
            coarser = moment[: _RESOLUTIONS[self._level][0]]
            self._bytes[coarser] = self._bytes.get(coarser, 0) + size

    @property
    def seconds(self) -> float:
        """Return the time between the first and the last event."""
        return ((unix_ns(self.last) or 0) - (unix_ns(self.first) or 0)) / 1e9

    def bars(self, most: int) -> list[tuple[int, int]]:
        """Return up to *most* equal stretches as (start in ns, bytes), empty ones included."""
        start, end = unix_ns(self.first) or 0, unix_ns(self.last) or 0
        if not start or not self._bytes:
            return []
        tail = _RESOLUTIONS[self._level][1]
        step_ns = 10**9 * (1, 60, 3600, 86_400)[self._level]
        start -= start % step_ns
        count = min(most, (end - start) // step_ns + 1)
        width = -(-(end + 1 - start) // count)
        width = -(-width // step_ns) * step_ns  # whole moments, or bars would beat against them
        found = [0] * ((end - start) // width + 1)
        for moment, size in self._bytes.items():
            at = (unix_ns(moment + tail) or start) - start
            found[min(len(found) - 1, max(0, at // width))] += size
        return [(start + i * width, size) for i, size in enumerate(found)]


def is_micro_text(text: str | None) -> bool:
    return text is not None and len(text) == _LENGTH and text[26] == "Z"
