"""What happens to the log and the agent in, notices in the outboxes out.

A notice reaches the exporter that it is about and, unless that exporter wants only its own, every
other exporter of the log: who cannot be reached cannot be told that it misses something.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from k8s_audit_otlp import __version__
from k8s_audit_otlp.agent.commit import Consumption
from k8s_audit_otlp.receiver.blocks import Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.start import EVERYTHING
from k8s_audit_otlp.state.outbox import Notice
from k8s_audit_otlp.telemetry import notices
from k8s_audit_otlp.telemetry.journal import ExporterJournal


@dataclass(frozen=True, slots=True)
class _Member:
    consumption: Consumption
    journal: ExporterJournal
    wants: Literal["own", "all"]


class Evidence:
    """Writes notices and receipts for all exporters."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._members: list[_Member] = []

    def enter(
        self, consumption: Consumption, journal: ExporterJournal, wants: Literal["own", "all"]
    ) -> "GapEvidence":
        """Take in one (log, exporter); return where its gaps are to be told."""
        member = _Member(consumption, journal, wants)
        self._members.append(member)
        return GapEvidence(self, member)

    def encode(self, notice: Notice) -> bytes:
        return notices.encode(notice, self._now_ns())

    def gap(self, member: "_Member", log: AuditLog, segment: Segment, gap: Gap) -> None:
        """Tell of a gap. Called before its span settles, so that no position passes it untold."""
        exporter = member.consumption.exporter
        notice = notices.gap(exporter, segment.state, gap, now_ns=self._now_ns())
        self._tell(log, member, notice)
        member.journal.gap(log, segment, gap)

    def _tell(self, log: AuditLog, about: "_Member", notice: Notice) -> None:
        about.consumption.outbox.add(notice)
        for other in self._members:
            if other is not about and other.consumption.log is log and other.wants == "all":
                other.consumption.outbox.add(notice)

    def refused(self, exporter: str, count: int, why: str) -> None:
        """Tell that a back end will never take some records; many become one notice."""
        notice = notices.refused(exporter, count, why, now_ns=self._now_ns())
        self._tell_all(
            [m for m in self._members if m.consumption.exporter == exporter or m.wants == "all"],
            notice,
        )

    def skipped(self, consumption: Consumption, size: int) -> None:
        """Tell what `start_at` leaves out."""
        if size:
            path = str(consumption.log.path)
            notice = notices.skipped(consumption.exporter, path, size, now_ns=self._now_ns())
            consumption.outbox.add(notice)

    def missed(self, consumption: Consumption, segments: int) -> None:
        """Tell what an exporter that was parked can never get."""
        consumption.outbox.add(
            notices.missed(
                consumption.exporter,
                str(consumption.log.path),
                segments,
                now_ns=self._now_ns(),
            )
        )

    def silence(self, log: AuditLog, since_ns: int, *, ended: bool) -> None:
        """Tell everyone that a log is silent, or no longer."""
        self._tell_all(
            [m for m in self._members if m.consumption.log is log],
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
            member.consumption.outbox.add(notice)

    def write_receipts(self) -> None:
        """Write a receipt for every segment that has come to its end since the last call."""
        for member in self._members:
            consumption = member.consumption
            for segment in _finished(consumption):
                self._write_receipt(consumption, segment)

    def _write_receipt(self, consumption: Consumption, segment: Segment) -> None:
        state = segment.state
        settled, tallies = consumption.ledger.snapshot()
        if settled.get(state.seq, 0) >= EVERYTHING:
            return  # start_at leaves it out: nothing was promised
        consumption.receipts += 1
        consumption.receipted[state.seq] = state.size
        consumption.outbox.add(
            notices.receipt(
                consumption.exporter,
                state,
                tallies[state.seq],
                number=consumption.receipts,
                size=state.size,
                now_ns=self._now_ns(),
            )
        )


def _finished(consumption: Consumption) -> Iterator[Segment]:
    """Yield the segments that are settled to their end and have no receipt for that size."""
    for segment in consumption.log.segments():
        state = segment.state
        if not state.complete or consumption.receipted.get(state.seq) == state.size:
            continue
        if consumption.ledger.settled_offset(state.seq) >= state.size:
            yield segment


@dataclass(frozen=True, slots=True)
class GapEvidence:
    """Where one feed tells of its gaps."""

    evidence: Evidence
    member: _Member

    def gap(self, log: AuditLog, segment: Segment, gap: Gap) -> None:
        self.evidence.gap(self.member, log, segment, gap)
