"""What happens to the log and the agent in, notices in the outboxes out.

A notice reaches the exporter that it is about and, unless that exporter wants only its own, every
other exporter of the log: who cannot be reached cannot be told that it misses something.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from k8s_audit_otlp import __version__
from k8s_audit_otlp.evidence import notices
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.receiver.blocks import Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.start_at import EVERYTHING
from k8s_audit_otlp.state.outbox import Notice
from k8s_audit_otlp.telemetry.journal import ExporterJournal


@dataclass(frozen=True, slots=True)
class _Member:
    subscription: Subscription
    journal: ExporterJournal
    wants: Literal["own", "all"]


class Evidence:
    """Writes notices and receipts for all exporters."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._members: list[_Member] = []

    def enter(
        self, subscription: Subscription, journal: ExporterJournal, wants: Literal["own", "all"]
    ) -> "GapNotices":
        """Take in one (log, exporter); return where its gaps are to be told."""
        member = _Member(subscription, journal, wants)
        self._members.append(member)
        return GapNotices(self, member)

    def encode(self, notice: Notice) -> bytes:
        return notices.encode(notice, self._now_ns())

    def gap(self, member: "_Member", log: AuditLog, segment: Segment, gap: Gap) -> None:
        """Tell of a gap. Called before its span settles, so that no position passes it untold."""
        exporter = member.subscription.exporter
        notice = notices.gap(exporter, segment.state, gap, now_ns=self._now_ns())
        self._tell(log, member, notice)
        member.journal.gap(log, segment, gap)

    def _tell(self, log: AuditLog, about: "_Member", notice: Notice) -> None:
        about.subscription.outbox.add(notice)
        for other in self._members:
            if other is not about and other.subscription.log is log and other.wants == "all":
                other.subscription.outbox.add(notice)

    def refused(self, exporter: str, count: int, why: str) -> None:
        """Tell that a back end will never take some records; many become one notice."""
        notice = notices.refused(exporter, count, why, now_ns=self._now_ns())
        self._tell_all(
            [m for m in self._members if m.subscription.exporter == exporter or m.wants == "all"],
            notice,
        )

    def skipped(self, subscription: Subscription, size: int) -> None:
        """Tell what `start_at` leaves out."""
        if size:
            path = str(subscription.log.path)
            notice = notices.skipped(subscription.exporter, path, size, now_ns=self._now_ns())
            subscription.outbox.add(notice)

    def missed(self, subscription: Subscription, segments: int) -> None:
        """Tell what an exporter that was parked can never get."""
        subscription.outbox.add(
            notices.missed(
                subscription.exporter,
                str(subscription.log.path),
                segments,
                now_ns=self._now_ns(),
            )
        )

    def silence(self, log: AuditLog, since_ns: int, *, ended: bool) -> None:
        """Tell everyone that a log is silent, or no longer."""
        self._tell_all(
            [m for m in self._members if m.subscription.log is log],
            notices.silence(str(log.path), since_ns=since_ns, now_ns=self._now_ns(), ended=ended),
        )

    def agent(self, event: str, body: str, attributes: dict[str, str | int | float | bool]) -> None:
        """Tell everyone about the agent."""
        notice = notices.agent(
            event,
            body,
            {"service.version": __version__, **attributes},
            now_ns=self._now_ns(),
        )
        self._tell_all(self._members, notice)

    @staticmethod
    def _tell_all(members: Iterable[_Member], notice: Notice) -> None:
        for member in members:
            member.subscription.outbox.add(notice)

    def write_receipts(self) -> None:
        """Write a receipt for every segment that has come to its end since the last call."""
        for member in self._members:
            subscription = member.subscription
            for segment in _finished(subscription):
                self._write_receipt(subscription, segment)

    def _write_receipt(self, subscription: Subscription, segment: Segment) -> None:
        state = segment.state
        settled, tallies = subscription.ledger.snapshot()
        if settled.get(state.seq, 0) >= EVERYTHING:
            return  # start_at leaves it out: nothing was promised
        subscription.receipts += 1
        subscription.receipted[state.seq] = state.size
        subscription.outbox.add(
            notices.receipt(
                subscription.exporter,
                state,
                tallies[state.seq],
                number=subscription.receipts,
                size=state.size,
                now_ns=self._now_ns(),
            )
        )


def _finished(subscription: Subscription) -> Iterator[Segment]:
    """Yield the segments that are settled to their end and have no receipt for that size."""
    for segment in subscription.log.segments():
        state = segment.state
        if not state.complete or subscription.receipted.get(state.seq) == state.size:
            continue
        if subscription.ledger.settled_offset(state.seq) >= state.size:
            yield segment


@dataclass(frozen=True, slots=True)
class GapNotices:
    """Where one feed tells of its gaps."""

    evidence: Evidence
    member: _Member

    def gap(self, log: AuditLog, segment: Segment, gap: Gap) -> None:
        self.evidence.gap(self.member, log, segment, gap)
