"""What a back end takes: how large a request, as its answers tell, and records of which time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Literal

from k8s_audit_otlp.model import Batch
from k8s_audit_otlp.otlp.limits import Limits
from k8s_audit_otlp.otlp.wire import time_of

_RECOVER_AFTER = 200  # accepted requests in a row before a little more is tried
_RECOVER_BY = 1.1
_LEAST = 16 * 1024


class LearnedLimit:
    """Bytes that a request may have: falls at every `too large`, recovers slowly.

    It falls to the largest accepted size, at most by half: so it stays close to a fixed limit.
    """

    def __init__(self, configured: int) -> None:
        self._configured = configured
        self._lock = Lock()
        self._accepted = 0
        self._largest = 0  # accepted request, until one of its size is refused
        self.bytes = configured

    def too_large(self, size: int) -> None:
        """Learn that *size* bytes of several records were too many."""
        with self._lock:
            self._accepted = 0
            if self._largest >= size:
                self._largest = 0  # the back end has lowered its limit
            lower = max(size // 2, self._largest, min(_LEAST, self._configured))
            self.bytes = min(self.bytes, lower)

    def accepted(self, size: int) -> None:
        with self._lock:
            self._largest = max(self._largest, size)
            if self.bytes >= self._configured:
                return
            self.bytes = min(self._configured, max(self.bytes, size))
            self._accepted += 1
            if self._accepted >= _RECOVER_AFTER:
                self._accepted = 0
                self.bytes = min(self._configured, int(self.bytes * _RECOVER_BY))

    def __repr__(self) -> str:
        return f"<LearnedLimit {self.bytes} of {self._configured}>"


# The log is in the order in which events were written, so times in a batch are about in order.
_DISORDER_NS = 600 * 10**9


class AgeWindow:
    """The times that a back end accepts, as of now."""

    def __init__(self, limits: Limits, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._limits = limits
        self._now_ns = now_ns
        ahead = f" or more than {limits.max_ahead_s:g} s ahead"
        self.why = f"older than the {limits.max_age_s:g} s that the back end takes"
        self.why += ahead if limits.max_ahead_s else ""

    def split(self, batch: Batch) -> tuple[Batch, Sequence[bytes]]:
        """Return the batch without records of other times, and those; one without a time stays."""
        now_ns = self._now_ns()
        oldest, newest = self._limits.oldest_ns(now_ns), self._limits.newest_ns(now_ns)
        if batch.first_ns > oldest + _DISORDER_NS and batch.last_ns < newest - _DISORDER_NS:
            return batch, ()
        others = [r for r in batch.records if (ns := time_of(r)) and not oldest <= ns <= newest]
        if not others:
            return batch, ()
        known = set(map(id, others))
        return replace(batch, records=[r for r in batch.records if id(r) not in known]), others


def window_of(limits: Limits, on_too_old: Literal["send", "dead_letter"]) -> AgeWindow | None:
    """Return the age window of an exporter; None where everything is sent."""
    bounded = limits.max_age_s or limits.max_ahead_s
    return AgeWindow(limits) if bounded and on_too_old == "dead_letter" else None
