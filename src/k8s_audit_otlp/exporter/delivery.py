"""One batch in; it is repeated, split and decided until nothing of it is left.

The rules, in this order:
1. Accepted is delivered. A partial success is delivered less what was refused.
2. What may pass (throttling, no connection, 5xx, a wrong key) waits and is sent again, for ever.
3. What names the request's own fault (400, 413) is split until the single record is found; so is a
   request that keeps failing five times, whatever the code: one string that trips a firewall must
   not stop the trail.
4. A single record that is refused is set aside. Once the back end accepts others, it goes to the
   dead letter. When eight in a row are refused and nothing is accepted, no record is at fault:
   everything is kept and the exporter backs off.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Protocol, assert_never

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.flight import Flight
from k8s_audit_otlp.exporter.gate import Gate
from k8s_audit_otlp.exporter.limit import LearnedLimit
from k8s_audit_otlp.exporter.quarantine import SYSTEMIC, Parked, Quarantine
from k8s_audit_otlp.exporter.sender import Request, Sender
from k8s_audit_otlp.model import (
    Delivered,
    Misconfigured,
    Outcome,
    Rejected,
    Retry,
    TooLarge,
)

SUSPICIOUS_AFTER = 5  # failures of one request before its records are suspected


class DeadLetters(Protocol):
    """Where a record goes that a back end will never take."""

    def bury(self, flight: Flight, record: bytes, why: str) -> bool:
        """Write it so that a crash cannot lose it; False when there is no room."""

    def note_refused(self, flight: Flight, records: Sequence[bytes], count: int, why: str) -> bool:
        """Write that *count* of *records* were refused and nobody said which."""


class DeliveryEvents(Protocol):
    """What a delivery tells whoever counts."""

    def accepted(self, records: int, size: int) -> None: ...
    def retrying(self, why: str, delay_s: float, reason: str) -> None: ...
    def refused(self, count: int, why: str) -> None: ...
    def dead_lettered(self, why: str) -> None: ...


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
    ) -> None:
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
        self.quarantine = Quarantine()

    def deliver(self, flight: Flight) -> None:
        """Decide every record of *flight*, or return early when the agent stops."""
        records: Sequence[bytes] = flight.batch.records
        started = self._monotonic()
        failures = attempt = 0
        request = self._sender.prepare(flight.batch.receiver, records)
        while records and not self._stop.is_set():
            outcome = self._send(flight, request, records)
            if isinstance(outcome, Delivered):
                return
            failures += not (isinstance(outcome, Retry) and not outcome.reached)
            final = isinstance(outcome, TooLarge | Rejected)
            if final or failures >= SUSPICIOUS_AFTER:
                left = self._isolate(flight, records, outcome)
                if len(left) != len(records):
                    records, failures = left, 0
                    if records:
                        request = self._sender.prepare(flight.batch.receiver, records)
                    else:
                        return
            if self._out_of_time(started):
                self._give_up(flight, records, outcome)
                return
            self._back_off(outcome, attempt)
            attempt += 1

    def _out_of_time(self, started: float) -> bool:
        longest = self._options.max_elapsed_s
        return longest > 0 and self._monotonic() - started >= longest

    def _give_up(self, flight: Flight, records: Sequence[bytes], outcome: Outcome) -> None:
        """`max_elapsed_time` is over: the dead letter, never the floor."""
        for record in records:
            self._bury(flight, record, f"max_elapsed_time: {why_of(outcome)}")

    # -- one request ---------------------------------------------------------------------------

    def _send(self, flight: Flight, request: Request, records: Sequence[bytes]) -> Outcome:
        outcome = self._sender.send(request)
        if isinstance(outcome, Delivered) and outcome.rejected and self._options.bisect_partial:
            return Rejected(f"partial success, {outcome.rejected} refused: {outcome.message}")
        if isinstance(outcome, Delivered):
            self._accepted(flight, request, records, outcome)
        elif isinstance(outcome, TooLarge):
            self._limit.too_large(request.size)
        return outcome

    def _accepted(
        self, flight: Flight, request: Request, records: Sequence[bytes], outcome: Delivered
    ) -> None:
        self._limit.accepted()
        self._gate.acknowledged()
        self.quarantine.accepted()
        refused = min(max(outcome.rejected, 0), len(records))
        self._events.accepted(len(records) - refused, request.size)
        if refused:
            why = outcome.message or "partial success"
            self._events.refused(refused, why)
            while not self._dead_letters.note_refused(flight, records, refused, why):
                if not self._wait_for_room():
                    return
            flight.refused(refused)
        flight.delivered(len(records) - refused)

    def _back_off(self, outcome: Outcome, attempt: int) -> None:
        after_s = outcome.after_s if isinstance(outcome, Retry) else None
        backoff = self._options.backoff
        if isinstance(outcome, Misconfigured | Rejected | TooLarge):
            attempt = max(attempt, 8)  # waiting will not mend it soon
        delay = backoff.delay_s(attempt, self._roll(), after_s)
        self._gate.enter_backoff(why_of(outcome), delay)
        self._events.retrying(why_of(outcome), delay, reason_of(outcome))
        try:
            self._stop.wait(delay)
        finally:
            self._gate.leave_backoff()

    # -- finding the record that is refused ----------------------------------------------------

    def _isolate(
        self, flight: Flight, records: Sequence[bytes], outcome: Outcome
    ) -> Sequence[bytes]:
        """Send halves of *records*, which were refused together; return those undecided.

        A single record that is refused is set aside. The search ends when so many were that no
        record can be at fault.
        """
        if self._stop.is_set() or self.quarantine.unproven >= SYSTEMIC:
            return records
        if len(records) == 1:
            return self._single(flight, records[0], outcome)
        middle = len(records) // 2
        left_undecided, left_accepted = self._half(flight, records[:middle])
        right = records[middle:]
        if left_accepted and isinstance(outcome, Rejected) and len(right) > 1:
            # The fault is deterministic and not in the left half: no need to ask again.
            return [*left_undecided, *self._isolate(flight, right, outcome)]
        right_undecided, _ = self._half(flight, right)
        return [*left_undecided, *right_undecided]

    def _half(self, flight: Flight, records: Sequence[bytes]) -> tuple[Sequence[bytes], bool]:
        if self._stop.is_set() or self.quarantine.unproven >= SYSTEMIC:
            return records, False
        request = self._sender.prepare(flight.batch.receiver, records)
        outcome = self._send(flight, request, records)
        if isinstance(outcome, Delivered):
            return (), True
        if isinstance(outcome, Retry) and (not outcome.reached or outcome.after_s is not None):
            return records, False  # the back end asks for time: this teaches nothing
        return self._isolate(flight, records, outcome), False

    def _single(self, flight: Flight, record: bytes, outcome: Outcome) -> Sequence[bytes]:
        if isinstance(outcome, TooLarge) and (smaller := self._halve(record)) is not None:
            request = self._sender.prepare(flight.batch.receiver, [smaller])
            answer = self._send(flight, request, [smaller])
            if isinstance(answer, Delivered):
                return ()
            return self._single(flight, smaller, answer)
        if isinstance(outcome, Delivered):
            return ()
        now = self._monotonic()
        self.quarantine.park(
            Parked(
                flight,
                record,
                why_of(outcome),
                final=isinstance(outcome, TooLarge | Rejected),
                since_s=now,
                due_s=now + self._options.backoff.delay_s(0, self._roll()),
            )
        )
        return ()

    # -- what is set aside ---------------------------------------------------------------------

    def look_after_parked(self) -> None:
        """Try again what is due, and bury what is hopeless. Called about once a second."""
        now = self._monotonic()
        while not self._stop.is_set() and (parked := self.quarantine.due(now)) is not None:
            self._try_again(parked)
        self._gate.stall(self.quarantine.stalls)

    def _try_again(self, parked: Parked) -> None:
        flight = parked.flight
        request = self._sender.prepare(flight.batch.receiver, [parked.record])
        outcome = self._send(flight, request, [parked.record])
        if isinstance(outcome, Delivered):
            return
        final = isinstance(outcome, TooLarge | Rejected)
        reached = not isinstance(outcome, Retry) or outcome.reached
        now = self._monotonic()
        if parked.failed(why_of(outcome), final=final, reached=reached, now_s=now):
            self._bury(flight, parked.record, parked.why)
            return
        after_s = outcome.after_s if isinstance(outcome, Retry) else None
        delay = self._options.backoff.delay_s(parked.attempts, self._roll(), after_s)
        parked.due_s = now + delay
        self._events.retrying(parked.why, delay, reason_of(outcome))
        self.quarantine.park(parked)

    def _bury(self, flight: Flight, record: bytes, why: str) -> None:
        while not self._dead_letters.bury(flight, record, why):
            if not self._wait_for_room():
                return
        self._events.dead_lettered(why)
        flight.dead_lettered(1)

    def _wait_for_room(self) -> bool:
        """Stall until the dead letter takes more; False when the agent stops before."""
        self._gate.stall("the dead letter is full or cannot be written; purge or replay it")
        stopped = self._stop.wait(1.0)
        self._gate.stall("")
        return not stopped


def why_of(outcome: Outcome) -> str:
    """Return the reason of an outcome, for people."""
    return outcome.message if isinstance(outcome, Delivered) else outcome.why


def reason_of(outcome: Outcome) -> str:
    """Return the reason of an outcome from a closed set, for counters."""
    match outcome:
        case Delivered():
            return "delivered"
        case Retry(reached=False):
            return "connection"
        case Retry():
            return "retryable"
        case TooLarge():
            return "too_large"
        case Rejected():
            return "rejected"
        case Misconfigured():
            return "misconfigured"
        case _ as never:
            assert_never(never)
