"""Sets aside the records of a batch that are older than the back end takes.

A back end with an age window refuses such records or, worse, takes them and shows them nowhere.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from k8s_audit_otlp.exporter.delivery import Delivery
from k8s_audit_otlp.exporter.in_flight import InFlight
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


class DeliveryInWindow(Delivery):
    """Delivers what is young enough. It looks once, before the first request of a batch."""

    def __init__(self, window: AgeWindow, *edges: Any, **options: Any) -> None:
        """Take what Delivery takes, behind *window*."""
        super().__init__(*edges, **options)
        self._window = window

    def deliver(self, in_flight: InFlight) -> None:
        if not in_flight.notices:  # what they are about may be old: that is their news
            young, old = self._window.parted(in_flight.batch)
            if old:
                in_flight.request = None  # it was made of all of them
                self._dead_letter(in_flight, old, self._window.why)
            in_flight.batch = young
        super().deliver(in_flight)


def delivery_for(
    limits: Limits, on_too_old: Literal["send", "dead_letter"]
) -> Callable[..., Delivery]:
    """Return what makes an exporter's delivery; without an age window nothing is looked at."""
    if limits.max_age_s and on_too_old == "dead_letter":
        return partial(DeliveryInWindow, AgeWindow(limits))
    return Delivery
