"""What the stations tell when something happens, as log lines and counts."""

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.evidence.notices import GAP_REASONS
from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.exporter.reasons import describe, reason_of
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import Delivered, LogKey, Outcome
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.metrics.measured import RequestCounts
from k8s_audit_otlp.telemetry.tap import Tap
from k8s_audit_otlp.telemetry.views import Incident, IncidentKind

_RECENT: Final = 20  # of the newest incidents
# What a back end answers stays with its exporter: other back ends get the notice too.
_REFUSED = "its back end does not take them; its own dead letter says why"
_NOTICE_S: Final = 60.0  # between two notices of the same failure
_MAX_FAILURES: Final = 512  # different ones that are remembered


@dataclass(slots=True)
class ExporterCounts:
    """Counts of one exporter since the start of the process; a reload takes them along."""

    delivered: int = 0
    delivered_bytes: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    redactions: Counter[str] = field(default_factory=Counter)  # events, by rule
    last_retry: str = ""  # its reason
    last_retry_at: float = 0.0  # seconds since the epoch
    troubled_since: float = 0.0  # of a clock that nobody sets; 0 where all is well
    acknowledged_at: float = 0.0  # seconds since the epoch
    lag_s: float | None = None  # age of the newest event in the last request that held any
    sent: RequestCounts = field(default_factory=RequestCounts)
    recent: deque[Incident] = field(default_factory=lambda: deque(maxlen=_RECENT))


class ExporterJournal:
    """What one exporter tells: implements the delivery's events, and takes its gaps."""

    def __init__(
        self,
        exporter: str,
        gate: Gate,
        *,
        endpoint: str = "",
        counts: ExporterCounts | None = None,
        on_refused: Callable[[int, str], None] = lambda _count, _why: None,
        tap: Tap | None = None,
    ) -> None:
        """*on_refused* tells in the stream how many records are refused for good, in our words.

        *endpoint*: host and port, for the log lines. *counts*: what to go on with. *tap* shows
        what is delivered.
        """
        self.exporter = exporter
        self.counts = counts or ExporterCounts()
        for apart in [one for one in self.counts.recent if one.kind == "quarantine"]:
            self.counts.recent.remove(apart)  # by an agent before: the record is read again
        self._on_refused = on_refused
        self._tap = tap
        self._gate = gate
        self.endpoint = endpoint
        self._lock = Lock()
        gate.last_acknowledged_at = self.counts.acknowledged_at

    def _say(self, write: Callable[..., None], event: str, text: str, **more: object) -> None:
        """Write a line about this exporter; one for the same reason is equal, but of a gap."""
        where = {"endpoint": self.endpoint} if self.endpoint else {}
        once = "" if event == "gap" else f"{event} {self.exporter} {more.get('reason', '')}"
        write(event, f"{self.exporter}: {text}", once=once, exporter=self.exporter, **where, **more)

    def answered(
        self, outcome: Outcome, records: Sequence[bytes], size: int, seconds: float
    ) -> None:
        """Count a request of *size* bytes, and show who watches what was delivered."""
        with self._lock:
            sent = self.counts.sent
            sent.durations[reason_of(outcome)].add(seconds)
            sent.sizes.add(size)
            sent.records.add(len(records))
        if self._tap is not None and self._tap.watched and isinstance(outcome, Delivered):
            self._tap.publish(self.exporter, records)

    def accepted(self, records: int, size: int, last_ns: int, *, notices: bool) -> None:
        """Count an acknowledged request; *last_ns*: time of its newest event, 0 where it has none.

        *notices*: it holds none of the log's records.
        """
        with self._lock:
            counts = self.counts
            if not notices:
                counts.delivered += records
            if last_ns and not notices:
                counts.lag_s = max(0.0, time.time() - last_ns / 1e9)
            counts.delivered_bytes += size
            counts.acknowledged_at = self._gate.last_acknowledged_at
            recovered = counts.troubled_since > 0 and not self._gate.waiting
            seconds = time.monotonic() - counts.troubled_since
            if counts.last_retry_at > time.time():  # the clock was set back
                counts.last_retry_at = counts.acknowledged_at
            if recovered:
                counts.troubled_since = 0.0
        if recovered:
            text = f"delivering again after {seconds:.1f} s"
            self._say(logger.info, "recovered", text, seconds=round(seconds, 3))

    def retrying(self, why: str, delay_s: float, reason: str) -> None:
        with self._lock:
            self.counts.retries[reason] += 1
            self.counts.last_retry = reason
            self.counts.last_retry_at = time.time()
            self.counts.troubled_since = self.counts.troubled_since or time.monotonic()
        when = f"in {delay_s:.0f} s" if delay_s >= 0.95 else "within a second"
        text = f"{why}; nothing is lost, trying again {when}"
        self._say(logger.warning, "retrying", text, reason=reason, delay_s=round(delay_s, 3))

    def set_aside(self, why: str, delay_s: float, reason: str) -> None:
        """Tell that one record waits apart: it keeps failing while others pass."""
        self._note("quarantine", f"one record failed alone and is tried again ({reason})")
        self.retrying(f"one record is set aside: {why}", delay_s, reason)

    def taken_back(self) -> None:
        """Tell that a record that waited apart has arrived."""
        self._note("quarantine", "one record that had failed alone is delivered")

    def stalled(self, why: str) -> None:
        self._say(logger.error, "stalled", f"nothing is sent: {why}")

    def refused(self, count: int, why: str, *, notices: bool) -> None:
        if not notices:  # a notice about a notice would be refused like it
            self._on_refused(count, _REFUSED)
            self._note("refused", f"{count:,} records of a request that was accepted")
        text = (
            f"the back end refused {count} records of a request it accepted ({why}); "
            "their places are in the dead letter"
        )
        self._say(logger.error, "refused", text, count=count)

    def dead_lettered(self, why: str, *, notices: bool) -> None:
        if not notices:
            self._on_refused(1, _REFUSED)
            self._note("dead letter", "one record is refused for good")
        text = f"a record is refused for good and went to the dead letter: {why}"
        self._say(logger.error, "dead_lettered", text, count=1)

    def redacted(self, rules: Mapping[str, int]) -> None:
        """Count the events in which each rule of the redaction has replaced something."""
        with self._lock:
            self.counts.redactions.update(rules)

    def gap(self, subscription: Subscription, segment: Segment, gap: Gap) -> None:
        size, name = gap.span.end - gap.span.start, segment.state.name
        what, lost = f"{size:,} bytes of {name}", "are lost"
        if gap.reason == "unseen":
            what, size, lost = f"events before {name}", 0, "may be lost"
        with self._lock:
            self.counts.gaps[gap.reason] += 1
        self._note("gap", f"{what} {lost} ({gap.reason})")
        log, why = subscription.log, gap.why or GAP_REASONS.get(gap.reason, "")
        self._say(
            logger.error,
            "gap",
            f"{log.path}: {what} {lost} to this exporter ({gap.reason}: {why})",
            receiver=log.key.receiver,
            reason=gap.reason,
            segment=name,
            identity=segment.state.identity,
            number=segment.seq,
            offset=gap.span.start,
            bytes=size,
        )

    def lost_at_source(self, source: str, what: str, messages: int) -> None:
        """Count what a service deleted before it was read as a gap."""
        with self._lock:
            self.counts.gaps["deleted"] += 1
        self._note("gap", f"{source}: {what}")
        text = f"{source}: {what}: lost to this exporter"
        more = {"receiver": source, "reason": "deleted", "messages": messages}
        self._say(logger.error, "gap", text, **more)

    def _note(self, kind: IncidentKind, text: str) -> None:
        """Remember it; the same again only moves the time."""
        with self._lock:
            recent = self.counts.recent
            for same in [one for one in recent if one[1:] == (kind, text)]:
                recent.remove(same)
            recent.append(Incident(time.time(), kind, text))


class LogJournal:
    """What the logs tell: implements the receiver's events."""

    def discovered(self, log: LogKey, segment: SegmentState) -> None:
        text = f"{log}: new segment {segment.identity} as {segment.name}"
        logger.debug("segment", text, receiver=log.receiver)

    def trouble(self, log: LogKey, message: str) -> None:
        of = {"receiver": log.receiver, "log": log.path}
        if message:
            why = message.partition(": ")[2] or message  # of whichever of its files
            logger.warning("log_trouble", message, once=f"trouble of {log} {why}", **of)
        else:
            logger.info("log_readable", f"{log}: readable again", **of)


class Failures:
    """Tells of failures in the log and in the stream; there, of equal ones once a minute."""

    def __init__(self, evidence: Evidence, *, monotonic: Callable[[], float]) -> None:
        self._evidence = evidence
        self._monotonic = monotonic
        self._last_reported: dict[str, float] = {}  # when, by what

    def say(self, part: str, why: str) -> None:
        """Tell that *part* of the agent has failed, and that it goes on."""
        text, now = f"{part}: {why}", self._monotonic()
        logger.error("failed", text, part=part, reason=why)
        if now - self._last_reported.get(text, -_NOTICE_S) >= _NOTICE_S:
            if len(self._last_reported) >= _MAX_FAILURES:
                self._last_reported.clear()
            self._last_reported[text] = now
            self._evidence.agent("failed", text, {"k8s.audit.agent.part": part})

    def guard(self, part: str, act: Callable[[], object]) -> bool:
        """Do *act*, which must not end whoever does it; say whether it came to its end."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - what nobody foresaw ends no process
            self.say(part, describe(error))
            return False
        return True
