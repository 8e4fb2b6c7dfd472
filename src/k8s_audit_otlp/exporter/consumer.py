"""The threads of one exporter: one reads and encodes, `senders` threads send and settle.

New requests are dispatched only while none is in back-off, within a number of requests and the
process-wide byte budget. While a request is under way small batches wait to become larger; when
none is they go at once. A lone exporter's thread that reads sends itself to a back end that answers
at once: to hand a request over costs more than to wait.

After an unexpected error the exporter rewinds to its position and begins again after a back-off;
no other exporter is touched.
"""

import contextlib
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from threading import Event, Lock, Thread

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.backpressure import Budget, Gate
from k8s_audit_otlp.exporter.delivery import Delivery
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.reasons import describe
from k8s_audit_otlp.exporter.subscription_reader import SubscriptionReader
from k8s_audit_otlp.model import Batch
from k8s_audit_otlp.state.ledger import Ledger, Tally, Ticket

_FAILURE = "failure"  # who stalls the gate
_RESTART = Backoff(1.0, 60.0, 2.0, 0.0)
_IDLE_S = 1.0  # the longest wait without a look; wake-ups come earlier
_SOON_S = 0.005  # about the time that it takes to make a request
_WAITING = 0.01  # of its time the reading thread waits at most for answers that come later
_BY_SENDERS_S = 600.0  # then it tries again, however late an answer was


@dataclass(eq=False, repr=False)
class Consumer:
    """Runs until `stop`; then what is in flight may finish, and nothing new begins.

    *senders*: so many requests are under way at once.

    *alone*: there is no other exporter, for which this one's threads would have to wait.

    *on_failure* is told the exporter and what went wrong where.

    *wait* sleeps so many seconds and says whether the agent stops.
    """

    name: str
    readers: Sequence[SubscriptionReader]
    delivery: Delivery
    gate: Gate
    budget: Budget
    senders: int
    _: KW_ONLY
    wake: Event
    stop: Event
    on_failure: Callable[[str, str], None]
    alone: bool = False
    wait: Callable[[float], bool] | None = None
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._draining = Event()
        self._wait = self.wait or self.stop.wait
        self._failed = False  # and not begun again yet
        self._failures = 0  # in a row, with nothing settled between
        self._settlements = 0
        self._queue: queue.SimpleQueue[InFlight | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._turns = deque(self.readers)
        self._sending = 0  # requests dispatched and not given back by their thread
        self._connected = False
        self._by_senders_until = 0.0
        self._threads = [
            Thread(target=self._read, name=f"read {self.name}", daemon=True),
            *(
                Thread(target=self._send, name=f"send {self.name} {i}", daemon=True)
                for i in range(self.senders)
            ),
        ]

    def start(self) -> None:
        for reader in self.readers:
            reader.log.listen(self.wake.set)
            reader.subscription.outbox.listen(self.wake.set)
        for thread in self._threads:
            thread.start()

    def drain(self) -> None:
        """Dispatch nothing new."""
        self._draining.set()
        self.wake.set()

    def close(self) -> None:
        """End the threads; call after `stop` is set."""
        self.wake.set()
        for _ in self._threads:
            self._queue.put(None)

    @property
    def in_flight(self) -> int:
        """Requests that are not settled: on their way, in back-off or set aside."""
        return sum(reader.ledger.in_flight() for reader in self.readers)

    @property
    def sending(self) -> int:
        """Requests that a sender works on."""
        with self._lock:
            return self._sending

    # -- the reading thread --------------------------------------------------------------------

    def _read(self) -> None:
        while not self._stopping:
            try:
                if self._failed:
                    self._recover()
                else:
                    self._round()
            except Exception as error:  # noqa: BLE001 - what nobody foresaw must not end the trail
                self._note_failure(error)

    @property
    def _stopping(self) -> bool:
        return self.stop.is_set() or self._draining.is_set()

    def _round(self) -> None:
        """Let each log in turn send one request, as long as one may be sent."""
        self.wake.clear()
        more = False
        for _ in self.readers:
            if not self._can_dispatch or self._stopping:
                break
            reader = self._turns[0]
            self._turns.rotate(-1)
            more |= self._send_from(reader)
        if not more and not self._failed:
            self.wake.wait(self._idle_wait_s())

    # -- after an unexpected error -------------------------------------------------------------

    def _note_failure(self, error: Exception) -> None:
        """Close the gate, report the error, and let the reading thread begin again."""
        why = describe(error)
        self.gate.stall(_FAILURE, f"{why}; it begins again where it was")
        self._failed = True
        self.on_failure(self.name, why)
        self.wake.set()

    def _recover(self) -> None:
        """Back off, then read and send again from what is settled; requests under way may end."""
        settlements = sum(reader.ledger.settlements for reader in self.readers)
        if settlements != self._settlements:
            self._settlements, self._failures = settlements, 0
        delay_s = _RESTART.delay_s(self._failures, 0.5)
        self._failures += 1
        if self._wait(delay_s):
            return
        with contextlib.suppress(queue.Empty):
            while True:
                if (in_flight := self._queue.get_nowait()) is not None:
                    self._abandon(in_flight)
                    self._request_done()
        for in_flight in self.delivery.quarantine.clear():
            self._abandon(in_flight)
        for reader in self.readers:
            reader.ledger.rewind()
            reader.subscription.outbox.resend_all()
        self._failed = False
        self.gate.stall(_FAILURE, "")

    def _abandon(self, in_flight: InFlight) -> None:
        self.budget.release(self.name, in_flight.abandon())

    def _idle_wait_s(self) -> float:
        if not self._can_dispatch:
            return _IDLE_S
        waits = [w for r in self.readers if (w := r.flush_in_s()) is not None]
        return min([_IDLE_S, *waits])

    @property
    def _can_dispatch(self) -> bool:
        """A further request may be dispatched."""
        return self.sending < self.senders and self.gate.open

    def _send_from(self, reader: SubscriptionReader) -> bool:
        """Let one log send a request; say whether it may have more."""
        if (notices := reader.notices()) is not None:
            self._put(notices)
            return True
        reader.read_ahead()
        batch = reader.take(flush_now=self.sending == 0)
        if batch is not None:
            self._dispatch(reader.ledger, batch)
        return batch is not None or not reader.at_end

    def _dispatch(self, ledger: Ledger, batch: Batch) -> None:
        size = sum(map(len, batch.records))
        read = len(batch.records) + sum(batch.dropped.values())
        settle = partial(self._settle, ledger, ledger.open(batch.span, batch.mark, read))
        in_flight = InFlight(batch, settle, size, self._release_budget)
        while not self.budget.admit(self.name, size):
            if self.stop.wait(0.01):
                return
        if in_flight.settle_if_empty():
            return
        try:  # in this thread: senders would compete for the interpreter
            self.delivery.prepare(in_flight)
        except Exception:
            self._abandon(in_flight)
            raise
        self._put(in_flight)

    def _put(self, in_flight: InFlight) -> None:
        with self._lock:
            self._sending += 1
        begin = self.monotonic()
        if not self.alone or not self._connected or begin < self._by_senders_until:
            self._connected = True  # by the first one, whose time says nothing
            self._queue.put(in_flight)
            return
        self._deliver(in_flight)
        took = self.monotonic() - begin
        if took >= _SOON_S:
            self._by_senders_until = begin + min(took / _WAITING, _BY_SENDERS_S)

    # -- the sending threads -------------------------------------------------------------------

    def _send(self) -> None:
        while not self.stop.is_set():
            try:
                in_flight = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                self._retry_quarantined()
                continue
            if in_flight is None:
                return
            self._deliver(in_flight)
            self._retry_quarantined()

    def _deliver(self, in_flight: InFlight) -> None:
        try:
            self.delivery.deliver(in_flight)
        except Exception as error:  # noqa: BLE001 - neither may what nobody foresaw end a sender
            self._abandon(in_flight)
            self._note_failure(error)
        finally:
            self._request_done()

    def _request_done(self) -> None:
        with self._lock:
            self._sending -= 1
        self.wake.set()

    def _retry_quarantined(self) -> None:
        try:
            self.delivery.retry_quarantined()
        except Exception as error:  # noqa: BLE001 - as above
            self._note_failure(error)

    def _release_budget(self, size: int) -> None:
        """Release the budget of decided records while a few of the batch are in quarantine."""
        self.budget.release(self.name, size)
        self.wake.set()

    def _settle(self, ledger: Ledger, ticket: Ticket, in_flight: InFlight, tally: Tally) -> None:
        ledger.settle(ticket, tally, in_flight.digests())
        self.budget.release(self.name, in_flight.size)
        self.wake.set()

    def __repr__(self) -> str:
        return f"<Consumer {self.name} {self.sending} sending {self.gate!r} {self.readers}>"
