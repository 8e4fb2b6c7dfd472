"""Puts notices about the log and the agent into the outboxes of the subscriptions.

A notice goes to the exporter that it is about and to every other exporter of the log, unless that
one wants only its own: an exporter that is down cannot report that it misses something.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from k8s_audit_otlp import __version__
from k8s_audit_otlp.evidence import notices
from k8s_audit_otlp.evidence.chain import REPLAYED, begin, link, without_link
from k8s_audit_otlp.evidence.raw_hash import RawHashes
from k8s_audit_otlp.evidence.seal import SealKey
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.otlp.limits import Limits
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.outbox import Chain, Notice, Value


class Evidence:
    """Writes notices and receipts for all exporters."""

    def __init__(self, now_ns: Callable[[], int], *, replayed: bool = False) -> None:
        """*replayed*: what is sent is sent again, which every link says and commits to."""
        self._now_ns, self._replayed = now_ns, replayed
        self._subscriptions: list[Subscription] = []
        self._raw_hashes: dict[LogKey, RawHashes] = {}

    def add(self, subscription: Subscription, raw_hashes: RawHashes | None = None) -> None:
        """Write to *subscription* from now on; *raw_hashes* are those of its log."""
        self._subscriptions.append(subscription)
        if raw_hashes is not None:
            self._raw_hashes[subscription.log.key] = raw_hashes

    def encode(self, notice: Notice, *, limits: Limits) -> bytes:
        """Return its record, with the present time where its own is older than is taken."""
        now_ns = self._now_ns()
        if notice.time_ns < limits.oldest_ns(now_ns):
            notice = msgspec.structs.replace(notice, time_ns=now_ns)
        return notices.encode(notice, now_ns)

    def gap(self, subscription: Subscription, segment: Segment, gap: Gap) -> None:
        """Tell of what *subscription* has lost."""
        notice = notices.gap(
            subscription.exporter,
            segment.state,
            gap,
            since_ns=subscription.ledger.place(segment.seq).tally.last_ns,
            now_ns=self._now_ns(),
        )
        linked = self._link(subscription, notice)
        if linked is not None:
            others = (s for s in self._of(subscription.log) if s is not subscription)
            self._tell(without_link(linked), others, about=subscription.exporter)

    def _link(self, subscription: Subscription, notice: Notice) -> Notice | None:
        """Put *notice* into the outbox as the next link; None where it is there already."""
        with subscription.lock:
            if notice.uid in subscription.outbox:
                return None
            if self._replayed:
                attributes = {**notice.attributes, REPLAYED: True}
                notice = msgspec.structs.replace(notice, attributes=attributes)
            chain = subscription.chain
            if not chain.id:
                chain = self._new_chain(subscription, notice.uid)
            subscription.chain, linked = link(chain, notice)
            subscription.outbox.add(linked)
            return linked

    def _new_chain(self, subscription: Subscription, first: str) -> Chain:
        log, exporter = str(subscription.log.key), subscription.exporter
        return begin(first, log, exporter, self._now_ns())

    def seal(self, key: SealKey, *, stops: bool = False, only_new: bool = False) -> list[Notice]:
        """Seal every chain as it is stored; every exporter gets every seal, once. Return them.

        *stops*: the agent ends then, so that nobody waits for the next one. *only_new*: those
        alone that have a link or a segment which their last seal does not name.
        """
        seals = []
        for subscription in self._subscriptions:
            opened = subscription.open_segments()
            with subscription.lock:
                if opened and not subscription.chain.id:
                    subscription.chain = self._new_chain(subscription, opened[0].identity)
            chain = subscription.stored_chain
            names = {chain.hash, *(segment.identity for segment in opened)}
            if not chain.id or (only_new and names <= subscription.sealed):
                continue
            subscription.sealed = names
            places = ((segment, subscription.ledger.place(segment.seq)) for segment in opened)
            said = " ".join(notices.open_segment(*each) for each in places)
            log, exporter = str(subscription.log.key), subscription.exporter
            seal = key.seal(chain, log, exporter, self._now_ns(), opened=said, stops=stops)
            for one in self._one_of_each_exporter(subscription.log):
                one.outbox.add(seal)
            seals.append(seal)
        return seals

    def _of(self, log: AuditLog) -> list[Subscription]:
        return [s for s in self._subscriptions if s.log is log]

    def _one_of_each_exporter(self, log: AuditLog | None = None) -> Iterable[Subscription]:
        """Return one subscription of every exporter: that of *log* where it gets that log."""
        of_log_last = sorted(self._subscriptions, key=lambda s: s.log is log)
        return {s.exporter: s for s in of_log_last}.values()

    def refused(self, exporter: str, count: int, why: str) -> None:
        """Tell that a back end will never take some records; many become one notice."""
        notice = notices.refused(exporter, count, why, self._now_ns())
        self._tell(notice, self._one_of_each_exporter(), about=exporter)

    def skipped(self, subscription: Subscription, size: int) -> None:
        """Tell what `start_at` leaves out."""
        if size:
            log, now_ns = str(subscription.log.path), self._now_ns()
            subscription.outbox.add(notices.skipped(subscription.exporter, log, size, now_ns))

    def missed(self, subscription: Subscription, segments: int) -> None:
        """Tell what an exporter that was disabled can never get."""
        log, now_ns = str(subscription.log.path), self._now_ns()
        self._link(subscription, notices.missed(subscription.exporter, log, segments, now_ns))

    def lost_at_source(
        self, subscription: Subscription, number: int, what: str, messages: int
    ) -> None:
        """Tell what a service deleted before it was read."""
        exporter, log = subscription.exporter, str(subscription.log.path)
        lost = notices.lost_at_source(exporter, log, number, what, messages, self._now_ns())
        self._link(subscription, lost)

    def silence(self, log: AuditLog, since_ns: int, *, ended: bool) -> None:
        """Tell everyone that a log is silent, or no longer."""
        notice = notices.silence(str(log.path), since_ns, self._now_ns(), ended=ended)
        self._tell(notice, self._of(log))

    def agent(self, event: str, body: str, attributes: dict[str, Value]) -> None:
        """Tell everyone about the agent."""
        attributes = {"service.version": __version__, **attributes}
        notice = notices.agent(event, body, attributes, self._now_ns())
        self._tell(notice, self._one_of_each_exporter())

    @staticmethod
    def _tell(notice: Notice, concerned: Iterable[Subscription], *, about: str = "") -> None:
        """Put *notice* into the outboxes of who is *concerned*; *about*: the exporter it is about.

        Who wants only its own notices gets none about another exporter.
        """
        for subscription in concerned:
            if subscription.wants == "all" or about in ("", subscription.exporter):
                subscription.outbox.add(notice)

    def write_receipts(self) -> None:
        """Write a receipt for every segment that has come to its end since the last call."""
        for subscription in self._subscriptions:
            for segment in subscription.log.segments():
                if subscription.needs_receipt(segment.state) and not subscription.outbox.full:
                    self._write_receipt(subscription, segment)

    def _write_receipt(self, subscription: Subscription, segment: Segment) -> None:
        state = segment.state
        hashes = self._raw_hashes.get(subscription.log.key)
        raw_hash = ""
        if hashes is not None:
            raw_hash = hashes.of(segment)
            hashes.keep({known.seq for known in subscription.log.segments()})
        subscription.receipts += 1
        subscription.receipted[state.seq] = state.size
        subscription.write_place(state.seq)  # it was closed after it had settled
        self._link(
            subscription,
            notices.receipt(
                subscription.exporter,
                state,
                subscription.ledger.place(state.seq),
                number=subscription.receipts,
                raw_hash=raw_hash,
                now_ns=self._now_ns(),
            ),
        )


@dataclass(slots=True)
class _LastGrowth:
    written: int
    at_ns: int
    silent: bool = False


class Silence:
    """Watches logs that have a `silence_after`. `look` is called about once a second."""

    def __init__(
        self, evidence: Evidence, after_s: dict[LogKey, float], *, now_ns: Callable[[], int]
    ) -> None:
        """*after_s*: per log key; 0 is never."""
        self._evidence = evidence
        self._after_s = after_s
        self._now_ns = now_ns
        self._logs: dict[LogKey, _LastGrowth] = {}

    def look(self, logs: list[AuditLog]) -> None:
        for log in logs:
            after_s = self._after_s.get(log.key, 0.0)
            if after_s > 0:
                self._look_at(log, after_s)

    def _look_at(self, log: AuditLog, after_s: float) -> None:
        now, written = self._now_ns(), written_bytes(log)
        growth = self._logs.setdefault(log.key, _LastGrowth(written, now))
        if written != growth.written:
            if growth.silent:
                self._evidence.silence(log, growth.at_ns, ended=True)
            self._logs[log.key] = _LastGrowth(written, now)
        elif not growth.silent and now - growth.at_ns >= after_s * 1e9:
            growth.silent = True
            self._evidence.silence(log, growth.at_ns, ended=False)


def written_bytes(log: AuditLog) -> int:
    """Return what grows whenever something is written: all sizes there ever were, about."""
    return sum(s.state.size + s.seq for s in log.segments())
