"""Gate: may an exporter send something new? Budget: how many bytes are in flight over all of them.

While a request is in back-off nothing new is dispatched: so repeats after a crash stay bounded and
the order is kept.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class Gate:
    """Closed while a request is in back-off or somebody stalls; keeps the last error for people."""

    def __init__(
        self, on_open: Callable[[], None], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._on_open = on_open
        self._clock = clock
        self._lock = Lock()
        self._retries: list[float] = []  # when each request in back-off is repeated
        self._sent_at: list[float] = []  # when each request that is not answered yet was sent
        self._stalled: dict[str, str] = {}  # by who stalls
        self.last_error = ""
        self.last_error_at = 0.0
        self.last_acknowledged_at = 0.0

    @property
    def open(self) -> bool:
        with self._lock:
            return not self._retries and not self._stalled

    @property
    def waiting(self) -> int:
        """Requests in back-off."""
        with self._lock:
            return len(self._retries)

    @property
    def retry_at(self) -> float:
        """When the next request is repeated, seconds since the epoch; 0 where none waits."""
        with self._lock:
            return min(self._retries, default=0.0)

    @property
    def stalled(self) -> str:
        """Why nothing is sent at all, '' when something is."""
        with self._lock:
            return next(iter(self._stalled.values()), "")

    @property
    def unanswered_s(self) -> float | None:
        """How long nothing has come back; None where no request is under way."""
        with self._lock:
            if not self._sent_at:
                return None
            return max(0.0, self._clock() - max(min(self._sent_at), self.last_acknowledged_at))

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Note that a request is under way."""
        asked_at = self._clock()
        with self._lock:
            self._sent_at.append(asked_at)
        try:
            yield
        finally:
            with self._lock:
                self._sent_at.remove(asked_at)

    @contextmanager
    def backing_off(self, why: str, delay_s: float) -> Iterator[None]:
        """Stay closed while a request waits for *delay_s* to be repeated."""
        with self._lock:
            self.last_error, self.last_error_at = why, self._clock()
            retry_at = self.last_error_at + delay_s
            self._retries.append(retry_at)
        try:
            yield
        finally:
            with self._lock:
                self._retries.remove(retry_at)
                opened = not self._retries and not self._stalled
            if opened:
                self._on_open()

    def stall(self, who: str, why: str) -> None:
        """Close the gate because of *why*; '' ends the stall of *who*."""
        with self._lock:
            if why:
                self._stalled[who] = why
                self.last_error, self.last_error_at = why, self._clock()
                return
            opened = self._stalled.pop(who, None) is not None and not self._stalled
            opened = opened and not self._retries
        if opened:
            self._on_open()

    def acknowledged(self) -> None:
        with self._lock:
            self.last_acknowledged_at = self._clock()

    def __repr__(self) -> str:
        state = "open" if self.open else (self.stalled or f"{self.waiting} in back-off")
        return f"<Gate {state}>"


class Budget:
    """Bounds the bytes of records that wait or are on their way, over all exporters.

    An exporter that holds nothing is always admitted: so a record larger than the budget goes
    alone, and an exporter that is down cannot starve the others.
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
