"""Splits the records off a batch that are older than the back end accepts.

A back end with an age window refuses such records or, worse, accepts them and shows them nowhere.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from k8s_audit_otlp.model import Batch
from k8s_audit_otlp.otlp.limits import Limits
from k8s_audit_otlp.otlp.wire import time_of

# The log is in the order in which events were written, so times in a batch are about in order.
_DISORDER_NS = 600 * 10**9


class AgeWindow:
    """The oldest time that a back end accepts, as of now."""

    def __init__(self, limits: Limits, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._limits = limits
        self._now_ns = now_ns
        self.why = f"older than the {limits.max_age_s:g} s that the back end takes"

    def split(self, batch: Batch) -> tuple[Batch, Sequence[bytes]]:
        """Return the batch without its too old records, and those; one without a time stays."""
        oldest = self._limits.oldest_ns(self._now_ns())
        if batch.first_ns > oldest + _DISORDER_NS:
            return batch, ()
        old = [record for record in batch.records if 0 < time_of(record) < oldest]
        if not old:
            return batch, ()
        recent = [r for r in batch.records if not 0 < time_of(r) < oldest]
        return replace(batch, records=recent), old


def window_of(limits: Limits, on_too_old: Literal["send", "dead_letter"]) -> AgeWindow | None:
    """Return the age window of an exporter; None where everything is sent."""
    return AgeWindow(limits) if limits.max_age_s and on_too_old == "dead_letter" else None
