"""One batch in; it is repeated, split and decided until nothing of it is left.

The rules, in this order:
1. Accepted is delivered. A partial success is delivered less what was refused.
2. What may pass (throttling, no connection, 5xx, a wrong key) waits and is sent again, for ever.
3. What names the request's own fault (400, 413) is split until the single record is found; so is a
   request that keeps failing five times, whatever the code: one string that trips a firewall must
   not stop the trail. One record of it is asked about first: when that is refused too, it is an
   outage for now.
4. A single record that is refused is set aside. Once the back end accepts others, it goes to the
   dead letter. When eight are refused and nothing is accepted, no record is at fault: everything
   is kept and the exporter backs off.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.bisect import Bisect
from k8s_audit_otlp.exporter.gate import Gate
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.limit import LearnedLimit
from k8s_audit_otlp.exporter.quarantine import MAX_QUARANTINED, SYSTEMIC, Quarantine, Quarantined
from k8s_audit_otlp.exporter.reasons import describe, reason_of, why_of
from k8s_audit_otlp.model import (
    Delivered,
    Misconfigured,
    Outcome,
    Rejected,
    Retry,
    TooLarge,
)
from k8s_audit_otlp.transport.sender import ExportRequest, Sender

_LONG = 8  # a wrong setting is waited for as if it had failed so often already
_SELDOM_S = 300.0  # between questions about one record, which may be what crashes the back end
_QUARANTINE, _DEAD_LETTER = "quarantine", "dead letter"  # who may stall an exporter


class DeadLetters(Protocol):
    """Where a record goes that a back end will never take."""

    def dead_letter(self, flight: InFlight, records: Sequence[bytes], why: str) -> bool:
        """Write them so that a crash cannot lose them; False when there is no room."""

    def note_refused(
        self, flight: InFlight, records: Sequence[bytes], count: int, why: str
    ) -> bool:
        """Write that *count* of *records* were refused and nobody said which."""


class DeliveryEvents(Protocol):
    """What a delivery tells whoever counts."""

    def accepted(self, records: int, size: int) -> None: ...
    def retrying(self, why: str, delay_s: float, reason: str) -> None: ...
    def refused(self, count: int, why: str, *, notices: bool) -> None: ...
    def dead_lettered(self, why: str, *, notices: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    backoff: Backoff = field(default_factory=Backoff)
    max_elapsed_s: float = 0.0  # 0: for ever
    bisect_partial: bool = False  # send again in halves what was refused in part


class Delivery:
    """Delivers flights for one exporter. Threads share it; each works on its own flight."""

    def __init__(  # noqa: PLR0913 - the edges of one exporter, each named
        self,
        sender: Sender,
        gate: Gate,
        limit: LearnedLimit,
        dead_letters: DeadLetters,
        events: DeliveryEvents,
        options: DeliveryOptions,
        *,
        stop: Event,
        halve: Callable[[bytes], bytes | None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
        roll: Callable[[], float] = random.random,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """*wait* sleeps so many seconds and says whether the agent stops."""
        self._sender = sender
        self._gate = gate
        self._limit = limit
        self._dead_letters = dead_letters
        self._events = events
        self._options = options
        self._stop = stop
        self._halve = halve
        self._monotonic = monotonic
        self._roll = roll
        self._wait = wait or stop.wait
        backoff = options.backoff
        self._seldom = Backoff(backoff.initial_s, _SELDOM_S, 2.0, backoff.randomization)
        self.quarantine = Quarantine()

    def deliver(self, flight: InFlight) -> None:
        """Decide or set aside every record of *flight*, or return early when the agent stops."""
        search = Bisect(flight.batch.records)
        started = self._monotonic()
        attempt = 0
        request: ExportRequest | None = None
        while search.left and not self._stop.is_set():
            part = search.part
            if request is None:
                request = self._sender.prepare(flight.batch.receiver, part)
            outcome = self._send(flight, request, part)
            if isinstance(outcome, Delivered):
                if cleared := search.accepted():
                    self._limit.too_large(cleared)
                request, attempt = None, 0
                continue
            if self._out_of_time(started):
                self._dead_letter(flight, search.left, f"max_elapsed_time: {why_of(outcome)}")
                return
            waits = self._learn(flight, search, request.size, outcome)
            if search.part != part:
                request = None
            if waits:
                self._back_off(outcome, attempt)
                attempt += 1

    def _out_of_time(self, started: float) -> bool:
        longest = self._options.max_elapsed_s
        return longest > 0 and self._monotonic() - started >= longest

    # -- one request ---------------------------------------------------------------------------

    def _send(self, flight: InFlight, request: ExportRequest, records: Sequence[bytes]) -> Outcome:
        number = self.quarantine.begin()
        outcome = self._outcome(request)
        if isinstance(outcome, Delivered) and outcome.rejected and self._options.bisect_partial:
            return Rejected(f"partial success, {outcome.rejected} refused: {outcome.message}")
        if isinstance(outcome, Delivered):
            self._accepted(flight, request, records, outcome)
            self.quarantine.accepted(number)
        elif isinstance(outcome, TooLarge) and len(records) > 1:
            self._limit.too_large(request.size)
        return outcome

    def _outcome(self, request: ExportRequest) -> Outcome:
        try:
            return self._sender.send(request)
        except Exception as error:  # noqa: BLE001 - no answer of a back end may stop the trail
            return Retry(f"the answer cannot be read: {describe(error)}")

    def _accepted(
        self, flight: InFlight, request: ExportRequest, records: Sequence[bytes], outcome: Delivered
    ) -> None:
        self._limit.accepted(request.size)
        self._gate.acknowledged()
        refused = min(max(outcome.rejected, 0), len(records))
        self._events.accepted(len(records) - refused, request.size)
        if refused:
            why = outcome.message or "partial success"
            self._events.refused(refused, why, notices=flight.notices)
            if not self._until_written(
                lambda: self._dead_letters.note_refused(flight, records, refused, why)
            ):
                return
            flight.refused(refused)
        if refused < len(records):
            flight.delivered(len(records) - refused)

    def _back_off(self, outcome: Outcome, attempt: int) -> None:
        after_s = outcome.after_s if isinstance(outcome, Retry) else None
        if isinstance(outcome, Misconfigured | Rejected | TooLarge):
            attempt = max(attempt, _LONG)  # waiting will not mend it soon
        delay = self._options.backoff.delay_s(attempt, self._roll(), after_s)
        why = why_of(outcome)
        if self.quarantine.unproven >= SYSTEMIC:
            why = f"every record is refused, so a setting is wrong and not the records: {why}"
        self._gate.enter_backoff(why, delay)
        self._events.retrying(why, delay, reason_of(outcome))
        try:
            self._wait(delay)
        finally:
            self._gate.leave_backoff()

    # -- finding the record that is refused ----------------------------------------------------

    def _learn(self, flight: InFlight, search: Bisect, size: int, outcome: Outcome) -> bool:
        """Decide what to ask next after a refusal; say whether to wait before it."""
        if isinstance(outcome, Retry) and not outcome.reached:
            return True
        asked_to_wait = isinstance(outcome, Retry) and outcome.after_s is not None
        final = isinstance(outcome, TooLarge | Rejected)
        if not final and not search.suspected:
            search.failed()
            if not search.suspected or len(search.left) > 1:
                return asked_to_wait or not search.suspected
        if len(search.part) == 1:
            return self._single(flight, search, outcome, final=final) or asked_to_wait
        if isinstance(outcome, TooLarge):
            search.too_large()
        else:
            search.refused_together(size)
        return asked_to_wait

    def _single(self, flight: InFlight, search: Bisect, outcome: Outcome, *, final: bool) -> bool:
        record = search.part[0]
        if isinstance(outcome, TooLarge) and (smaller := self._halve(record)) is not None:
            search.replace(smaller)
            return False
        unproven = self.quarantine.unproven
        guilty = final or search.proven or search.tried + 1 >= min(len(search.left), SYSTEMIC)
        if not guilty or unproven >= MAX_QUARANTINED:
            search.pass_over()
            return True
        # Beyond eight it goes on slowly: what comes next in the log may be what is accepted.
        self._park(flight, search.single, outcome, final=final, seen_up=search.proven)
        search.set_aside()
        return unproven >= SYSTEMIC - 1

    def _park(
        self, flight: InFlight, record: bytes, outcome: Outcome, *, final: bool, seen_up: bool
    ) -> None:
        now, why = self._monotonic(), why_of(outcome)
        delay = self._seldom.delay_s(0, self._roll())
        flight.set_aside(record)
        self.quarantine.add(Quarantined(flight, record, why, final, now, now + delay, seen_up))
        self._events.retrying(f"one record is set aside: {why}", delay, reason_of(outcome))

    # -- what is set aside ---------------------------------------------------------------------

    def look_after_quarantined(self) -> None:
        """Ask again about what is due; dead-letter what is hopeless. Called about once a second.

        It goes on while answers decide: a back end that hangs must not hold a sender for long.
        """
        now = self._monotonic()
        while not self._stop.is_set() and (quarantined := self.quarantine.due(now)) is not None:
            if not self._ask_again(quarantined):
                break
        full = f"{MAX_QUARANTINED} records are refused and wait for their end"
        self._gate.stall(_QUARANTINE, full if self.quarantine.full else "")

    def _ask_again(self, quarantined: Quarantined) -> bool:
        """Ask about one record; say whether it is decided now."""
        flight = quarantined.flight
        request = self._sender.prepare(flight.batch.receiver, [quarantined.record])
        outcome = self._send(flight, request, [quarantined.record])
        if isinstance(outcome, Delivered):
            self.quarantine.release(quarantined)
            return True
        now = self._monotonic()
        if not isinstance(outcome, Retry) or outcome.reached:
            quarantined.refused(why_of(outcome), final=isinstance(outcome, TooLarge | Rejected))
            if self.quarantine.should_dead_letter(quarantined, now, idle=not self._gate.waiting):
                self._dead_letter(flight, [quarantined.record], quarantined.why)
                self.quarantine.release(quarantined)
                return True
        after_s = outcome.after_s if isinstance(outcome, Retry) else None
        delay = self._seldom.delay_s(quarantined.asked, self._roll(), after_s)
        self.quarantine.again(quarantined, now, delay)
        return False

    def _dead_letter(self, flight: InFlight, records: Sequence[bytes], why: str) -> None:
        if self._until_written(lambda: self._dead_letters.dead_letter(flight, records, why)):
            for _ in records:
                self._events.dead_lettered(why, notices=flight.notices)
            flight.dead_lettered(len(records))

    def _until_written(self, write: Callable[[], bool]) -> bool:
        """Stall until the dead letter takes it; False when the agent stops before."""
        if write():
            return True
        why = "the dead letter is full or cannot be written; purge or replay it"
        self._gate.stall(_DEAD_LETTER, why)
        try:
            while not self._wait(1.0):
                if write():
                    return True
            return False
        finally:
            self._gate.stall(_DEAD_LETTER, "")
