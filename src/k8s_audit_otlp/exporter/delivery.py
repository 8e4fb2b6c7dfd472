"""Delivers batches: sends a request, does what `retry_decisions` says about the answer, and so on.

Also retries the records in quarantine, about once a second.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from threading import Event
from typing import Protocol

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.exporter.bisect import Bisect
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.learned_limits import AgeWindow, LearnedLimit
from k8s_audit_otlp.exporter.quarantine import Quarantine, Quarantined
from k8s_audit_otlp.exporter.reasons import describe, reason_of, why_of
from k8s_audit_otlp.exporter.retry_decisions import MAX_QUARANTINED, SYSTEMIC, Next
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge
from k8s_audit_otlp.transport.sender import ExportRequest, Sender

_SETTING_ATTEMPT = 8  # the back-off of a wrong setting begins as after so many failures
_QUARANTINE_MAX_S = 300.0  # between questions about one record: it may crash the back end
_QUARANTINE, _DEAD_LETTER = "quarantine", "dead letter"  # who may stall an exporter


class DeadLetters(Protocol):
    """Where a record goes that a back end will never take."""

    error: str  # why nothing could be written last time, for people

    def dead_letter(self, in_flight: InFlight, records: Sequence[bytes], why: str) -> bool:
        """Write them so that a crash cannot lose them; False when there is no room."""

    def note_refused(
        self, in_flight: InFlight, records: Sequence[bytes], count: int, why: str
    ) -> bool:
        """Write that *count* of *records* were refused and nobody said which."""


class DeliveryEvents(Protocol):
    """What a delivery reports to whoever counts. `answered` comes first, with the time it took."""

    def answered(
        self, outcome: Outcome, records: Sequence[bytes], size: int, seconds: float
    ) -> None: ...
    def accepted(self, records: int, size: int, last_ns: int, *, notices: bool) -> None: ...
    def retrying(self, why: str, delay_s: float, reason: str) -> None: ...
    def set_aside(self, why: str, delay_s: float, reason: str) -> None: ...
    def taken_back(self) -> None: ...
    def stalled(self, why: str) -> None: ...
    def refused(self, count: int, why: str, *, notices: bool) -> None: ...
    def dead_lettered(self, why: str, *, notices: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    backoff: Backoff = field(default_factory=Backoff)
    max_elapsed_s: float = 0.0  # 0: for ever
    bisect_partial: bool = False  # after a partial success, search for the refused records


@dataclass(eq=False, repr=False)
class Delivery:
    """Delivers batches for one exporter. Threads share it; each works on its own batch.

    *window*: which ages are sent; *split_record* returns a record in a smaller form.

    *wait* sleeps so many seconds and says whether the agent stops.
    """

    sender: Sender
    gate: Gate
    limit: LearnedLimit
    dead_letters: DeadLetters
    events: DeliveryEvents
    options: DeliveryOptions
    _: KW_ONLY
    stop: Event
    window: AgeWindow | None = None
    split_record: Callable[[bytes], bytes | None] = lambda _: None
    monotonic: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    wait: Callable[[float], bool] | None = None

    def __post_init__(self) -> None:
        self._wait = self.wait or self.stop.wait
        backoff = self.options.backoff
        self._quarantine_backoff = Backoff(
            backoff.initial_s, _QUARANTINE_MAX_S, 2.0, backoff.randomization
        )
        self.quarantine = Quarantine()

    def prepare(self, in_flight: InFlight) -> None:
        """Make the request of a whole batch ahead of its delivery, without what is too old."""
        if self.window is not None:
            in_flight.leave_out(*self.window.split(in_flight.batch))
        batch = in_flight.batch
        if batch.records:
            in_flight.request = self.sender.prepare(batch.receiver, batch.records)

    def deliver(self, in_flight: InFlight) -> None:
        """Decide or set aside every record of a batch, or return early when the agent stops."""
        too_old, in_flight.too_old = in_flight.too_old, ()  # quarantine may keep the rest for long
        if self.window is not None and too_old:
            self._dead_letter(in_flight, too_old, self.window.why)
        search = Bisect(in_flight.batch.records, self.limit.too_large)
        started, attempt = self.monotonic(), 0
        request, in_flight.request = in_flight.request, None
        while search.left and not self.stop.is_set():
            part = search.part
            request = request or self.sender.prepare(in_flight.batch.receiver, part)
            outcome = self._send(in_flight, request, part)
            too_large = isinstance(outcome, TooLarge) and len(part) == 1
            smaller = self.split_record(part[0]) if too_large else None
            step = search.decide(
                outcome,
                refused_in_a_row=self.quarantine.refused_in_a_row,
                can_shrink=smaller is not None,
                out_of_time=0 < self.options.max_elapsed_s <= self.monotonic() - started,
            )
            if step.next is Next.GIVE_UP:
                self._dead_letter(in_flight, search.left, f"max_elapsed_time: {why_of(outcome)}")
                return
            if step.next is Next.SET_ASIDE:
                self._set_aside(in_flight, search, outcome)
            if step.next is Next.SHRUNK and smaller is not None:
                in_flight.replaced(part[0], smaller)
            search.choose(step.next, request.size, smaller)
            if step.next is not Next.SAME:
                request = None
            if step.wait:
                self._back_off(outcome, attempt)
                attempt += 1
            elif isinstance(outcome, Delivered):
                attempt = 0

    # -- one request ---------------------------------------------------------------------------

    def _send(
        self, in_flight: InFlight, request: ExportRequest, records: Sequence[bytes]
    ) -> Outcome:
        number, begin = self.quarantine.begin(), self.monotonic()
        with self.gate.asking():
            outcome = self._outcome(request)
        self.events.answered(outcome, records, request.size, self.monotonic() - begin)
        if isinstance(outcome, Delivered):
            self._accepted(in_flight, records, request.size, outcome)
            self.quarantine.accepted(number)
        elif isinstance(outcome, TooLarge) and len(records) > 1:
            self.limit.too_large(request.size)
        return outcome

    def _outcome(self, request: ExportRequest) -> Outcome:
        try:
            outcome = self.sender.send(request)
        except Exception as error:  # noqa: BLE001 - no answer of a back end may stop the trail
            return Retry(f"the answer cannot be read: {describe(error)}")
        if isinstance(outcome, Delivered) and outcome.rejected and self.options.bisect_partial:
            return Rejected(f"partial success, {outcome.rejected} refused: {outcome.message}")
        return outcome

    def _accepted(
        self, in_flight: InFlight, records: Sequence[bytes], size: int, outcome: Delivered
    ) -> None:
        self.limit.accepted(size)
        self.gate.acknowledged()
        refused = min(max(outcome.rejected, 0), len(records))
        count, notices = len(records) - refused, in_flight.notices
        self.events.accepted(count, size, in_flight.batch.last_ns, notices=notices)
        if refused:
            why = outcome.message or "partial success"
            self.events.refused(refused, why, notices=notices)
            if not self._until_written(
                lambda: self.dead_letters.note_refused(in_flight, records, refused, why)
            ):
                return
            in_flight.not_delivered(records, refused)
        in_flight.decided(delivered=count, refused=refused)

    def _back_off(self, outcome: Outcome, attempt: int) -> None:
        after_s = outcome.after_s if isinstance(outcome, Retry) else None
        if isinstance(outcome, Misconfigured | Rejected | TooLarge):
            attempt = max(attempt, _SETTING_ATTEMPT)  # waiting will not mend it soon
        delay = self.options.backoff.delay_s(attempt, self.jitter(), after_s)
        why = why_of(outcome)
        if self.quarantine.refused_in_a_row >= SYSTEMIC:
            why = f"every record is refused, so a setting is wrong and not the records: {why}"
        with self.gate.backing_off(why, delay):
            self.events.retrying(why, delay, reason_of(outcome))
            self._wait(delay)

    # -- quarantine ----------------------------------------------------------------------------

    def _set_aside(self, in_flight: InFlight, search: Bisect, outcome: Outcome) -> None:
        record, (sent,), why, now = search.single, search.part, why_of(outcome), self.monotonic()
        delay = self._quarantine_backoff.delay_s(0, self.jitter())
        final = isinstance(outcome, TooLarge | Rejected)
        in_flight.set_aside(record)
        self.quarantine.add(
            Quarantined(
                in_flight, record, sent, why, final, now, now + delay, search.others_accepted
            )
        )
        self.events.set_aside(why, delay, reason_of(outcome))

    def retry_quarantined(self) -> None:
        """Retry the quarantined records that are due; dead-letter what will never be accepted.

        Stops at the first answer that decides nothing: a back end may hang, and senders are few.
        """
        now = self.monotonic()
        while not self.stop.is_set() and (quarantined := self.quarantine.due(now)) is not None:
            if not self._retry(quarantined):
                break
        full = f"{MAX_QUARANTINED} records are refused and wait for their end"
        if self.quarantine.full:
            self.events.stalled(full)
        self.gate.stall(_QUARANTINE, full if self.quarantine.full else "")

    def _retry(self, quarantined: Quarantined) -> bool:
        """Send one quarantined record again; say whether it is decided now."""
        in_flight = quarantined.in_flight
        request = self.sender.prepare(in_flight.batch.receiver, [quarantined.sent])
        outcome = self._send(in_flight, request, [quarantined.sent])
        if isinstance(outcome, Delivered):
            self.quarantine.release(quarantined)
            self.events.taken_back()
            return True
        now = self.monotonic()
        if not isinstance(outcome, Retry) or outcome.reached:
            quarantined.refused(why_of(outcome), final=isinstance(outcome, TooLarge | Rejected))
            if self.quarantine.should_dead_letter(quarantined, now, idle=not self.gate.waiting):
                self._dead_letter(in_flight, [quarantined.record], quarantined.why)
                self.quarantine.release(quarantined)
                return True
        after_s = outcome.after_s if isinstance(outcome, Retry) else None
        delay = self._quarantine_backoff.delay_s(quarantined.attempts, self.jitter(), after_s)
        self.quarantine.keep(quarantined, now, delay)
        return False

    def _dead_letter(self, in_flight: InFlight, records: Sequence[bytes], why: str) -> None:
        if self._until_written(lambda: self.dead_letters.dead_letter(in_flight, records, why)):
            for _ in records:
                self.events.dead_lettered(why, notices=in_flight.notices)
            in_flight.not_delivered(records, len(records))
            in_flight.decided(dead_lettered=len(records))

    def _until_written(self, write: Callable[[], bool]) -> bool:
        """Stall until the dead letter takes it; False when the agent stops before."""
        try:
            while not write():
                why = f"the dead letter takes nothing: {self.dead_letters.error}; make room, "
                why += "or purge or replay it"
                self.gate.stall(_DEAD_LETTER, why)
                self.events.stalled(why)
                if self._wait(1.0):
                    return False
            return True
        finally:
            self.gate.stall(_DEAD_LETTER, "")
