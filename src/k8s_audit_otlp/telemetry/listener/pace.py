"""Bounds what an event loop takes of the interpreter that the delivery shares with it."""

import time
from collections.abc import Callable
from selectors import DefaultSelector, SelectorKey

_SHARE = 0.05  # of a core, for whoever asks the listener
_AT_ONCE_S = 0.05  # a scrape, a page and the probes of one moment never wait
_LONGEST_S = 0.25  # however many ask: a probe is answered


class PacedSelector(DefaultSelector):
    """Lets the loop rest where its thread took more than its share; what comes meanwhile waits.

    The clocks, in seconds, are those of the wall and of the thread's CPU.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.thread_time,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__()
        self._wall = wall
        self._used = used
        self._sleep = rest
        self._last_reading = wall(), used()
        self._allowance_s = _AT_ONCE_S

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Wait for what is ready, after a rest where one is due."""
        wall, used = self._wall(), self._used()
        earned = _SHARE * (wall - self._last_reading[0]) - (used - self._last_reading[1])
        self._allowance_s = min(self._allowance_s + earned, _AT_ONCE_S)
        self._last_reading = wall, used
        if self._allowance_s < 0:
            self._sleep(min(-self._allowance_s / _SHARE, _LONGEST_S))
            self._allowance_s = 0.0
            self._last_reading = self._wall(), used
        return super().select(timeout)
