"""Equal things are said at most once a minute: an outage must not fill the log's disk."""

import time
from collections.abc import Callable
from threading import Lock

_ONCE_S = 60.0


class OnceAMinute:
    """Lets the first of equal things through and then one a minute."""

    def __init__(
        self, *, seconds: float = _ONCE_S, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._last: dict[str, tuple[float, int]] = {}
        self._lock = Lock()

    def admit(self, key: str) -> tuple[bool, int]:
        """Say whether to speak about *key*, and how often it was suppressed since the last time."""
        now = self._monotonic()
        with self._lock:
            last, suppressed = self._last.get(key, (now - self._seconds, 0))
            if now - last < self._seconds:
                self._last[key] = (last, suppressed + 1)
                return False, 0
            self._last[key] = (now, 0)
            return True, suppressed

    def forget(self, key: str) -> None:
        with self._lock:
            self._last.pop(key, None)
