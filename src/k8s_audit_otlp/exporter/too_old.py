"""Sets aside the records of a batch that are older than the back end takes.

A back end with an age window refuses such records or, worse, takes them and shows them nowhere.
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
    """Knows what is too old by now."""

    def __init__(self, limits: Limits, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._limits = limits
        self._now_ns = now_ns
        self.why = f"older than the {limits.max_age_s:g} s that the back end takes"

    def parted(self, batch: Batch) -> tuple[Batch, Sequence[bytes]]:
        """Return the batch without what is too old, and that; what tells no time stays."""
        oldest = self._limits.oldest_ns(self._now_ns())
        if batch.first_ns > oldest + _DISORDER_NS:
            return batch, ()
        old = [record for record in batch.records if 0 < time_of(record) < oldest]
        if not old:
            return batch, ()
        young = [r for r in batch.records if not 0 < time_of(r) < oldest]
        return replace(batch, records=young), old


def window_of(limits: Limits, on_too_old: Literal["send", "dead_letter"]) -> AgeWindow | None:
    """Return what an exporter looks at; None where everything is sent."""
    return AgeWindow(limits) if limits.max_age_s and on_too_old == "dead_letter" else None
