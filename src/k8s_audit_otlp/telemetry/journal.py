"""What the stations tell when something happens, as log lines and counts.

A log line about the same thing is written at most once a minute, with how often it happened since:
an outage must not fill the disk that the audit log lives on.
"""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from k8s_audit_otlp.evidence.once_a_minute import OnceAMinute
from k8s_audit_otlp.exporter.gate import Gate
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.receiver.blocks import Gap
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.telemetry.measured import RequestCounts

# What a back end answers stays with its exporter: other back ends get the notice too.
_REFUSED = "its back end does not take them; its own dead letter says why"


@dataclass(slots=True)
class ExporterCounts:
    """Counts of one exporter since the start of the process."""

    delivered: int = 0
    delivered_bytes: int = 0
    requests: int = 0
    refused: int = 0
    dead_lettered: int = 0
    notices_refused: int = 0  # of the agent's own records, in no other count
    retries: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    last_retry: str = ""  # its reason
    sent: RequestCounts = field(default_factory=RequestCounts)


class ExporterJournal:
    """What one exporter tells: implements the delivery's events, and takes its gaps."""

    def __init__(
        self,
        exporter: str,
        logger: logging.Logger,
        once: OnceAMinute,
        gate: Gate,
        *,
        on_refused: Callable[[int, str], None] = lambda _count, _why: None,
    ) -> None:
        """*on_refused* tells in the stream how many records are refused for good, in our words."""
        self.exporter = exporter
        self._on_refused = on_refused
        self._gate = gate
        self.counts = ExporterCounts()
        self._logger = logger
        self._once = once
        self._lock = Lock()
        self._troubled = False

    def accepted(self, records: int, size: int) -> None:
        with self._lock:
            counts = self.counts
            counts.delivered += records
            counts.delivered_bytes += size
            counts.requests += 1
            recovered = self._troubled and not self._gate.waiting
            self._troubled = self._troubled and not recovered
        if recovered:
            self._once.forget(f"retry {self.exporter}")
            self._logger.info("%s: delivering again", self.exporter)

    def retrying(self, why: str, delay_s: float, reason: str) -> None:
        with self._lock:
            self.counts.retries[reason] += 1
            self.counts.last_retry = reason
            self._troubled = True
        speak, suppressed = self._once.admit(f"retry {self.exporter}")
        if speak:
            self._logger.warning(
                "%s: %s; nothing is lost, trying again in %.0f s%s",
                self.exporter,
                why,
                delay_s,
                f" ({suppressed} more such failures)" if suppressed else "",
            )

    def refused(self, count: int, why: str, *, notices: bool) -> None:
        with self._lock:
            if notices:
                self.counts.notices_refused += count
            else:
                self.counts.refused += count
        if not notices:  # a notice about a notice would be refused like it
            self._on_refused(count, _REFUSED)
        speak, _ = self._once.admit(f"refused {self.exporter}")
        if speak:
            self._logger.error(
                "%s: the back end refused %d records of a request it accepted (%s); "
                "their places are in the dead letter",
                self.exporter,
                count,
                why,
            )

    def dead_lettered(self, why: str, *, notices: bool) -> None:
        with self._lock:
            if notices:
                self.counts.notices_refused += 1
            else:
                self.counts.dead_lettered += 1
        if not notices:
            self._on_refused(1, _REFUSED)
        speak, suppressed = self._once.admit(f"dead {self.exporter}")
        if speak:
            self._logger.error(
                "%s: a record is refused for good and went to the dead letter: %s%s",
                self.exporter,
                why,
                f" ({suppressed} more)" if suppressed else "",
            )

    def gap(self, subscription: Subscription, segment: Segment, gap: Gap) -> None:
        with self._lock:
            self.counts.gaps[gap.reason] += 1
        self._logger.error(
            "%s: %s: %d bytes of %s are lost to this exporter (%s%s)",
            self.exporter,
            subscription.log.path,
            gap.span.end - gap.span.start,
            segment.state.name,
            gap.reason,
            f": {gap.why}" if gap.why else "",
        )


class LogJournal:
    """What the logs tell: implements the receiver's events."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def discovered(self, log: LogKey, segment: SegmentState) -> None:
        self._logger.debug("%s: new segment %s as %s", log, segment.identity, segment.name)

    def trouble(self, log: LogKey, message: str) -> None:
        if message:
            self._logger.warning("%s", message)
        else:
            self._logger.info("%s: readable again", log)
