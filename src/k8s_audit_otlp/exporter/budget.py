"""One byte budget for all requests in flight."""

from collections import defaultdict
from threading import Lock


class Budget:
    """Bounds the bytes of records that wait or are on their way, over all exporters.

    Whoever holds nothing is always let in: so a record larger than the budget goes alone, and an
    exporter that is down cannot starve the others.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._used = 0
        self._held: defaultdict[str, int] = defaultdict(int)
        self._lock = Lock()

    def admit(self, who: str, size: int) -> bool:
        with self._lock:
            if self._held[who] and self._used + size > self._max:
                return False
            self._used += size
            self._held[who] += size
            return True

    def release(self, who: str, size: int) -> None:
        with self._lock:
            self._used -= size
            self._held[who] -= size

    def __repr__(self) -> str:
        return f"<Budget {self._used}/{self._max}>"
