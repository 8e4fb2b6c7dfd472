"""One back end's consumer: batches from its logs in, settled spans out, at its own pace.

One thread reads and encodes, `senders` threads send. New requests are dispatched only while none
is in back-off, within a number of requests and the process-wide byte budget. While a request is
under way small batches wait to be joined; when the line is idle they go at once.
"""

import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event, Lock, Thread

from k8s_audit_otlp.exporter.budget import Budget
from k8s_audit_otlp.exporter.delivery import Delivery
from k8s_audit_otlp.exporter.gate import Gate
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.subscription_reader import SubscriptionReader
from k8s_audit_otlp.model import Batch
from k8s_audit_otlp.state.ledger import Ledger, Tally, Ticket

_IDLE_S = 1.0  # the longest wait without a look; wake-ups come earlier


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """`flush_s`: longest wait for more records while requests are under way, in seconds."""

    senders: int = 4
    flush_s: float = 0.2


class Consumer:
    """Runs until `stop`; then what is in flight may finish, and nothing new begins."""

    def __init__(  # noqa: PLR0913 - the edges of one exporter, each named
        self,
        name: str,
        readers: Sequence[SubscriptionReader],
        delivery: Delivery,
        gate: Gate,
        budget: Budget,
        options: ConsumerOptions,
        *,
        wake: Event,
        stop: Event,
        on_failure: Callable[[str, BaseException], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.readers = list(readers)
        self.gate = gate
        self.delivery = delivery
        self._budget = budget
        self._options = options
        self._wake = wake
        self._stop = stop
        self._draining = Event()
        self._on_failure = on_failure
        self._monotonic = monotonic
        self._queue: queue.SimpleQueue[InFlight | None] = queue.SimpleQueue()
        self._lock = Lock()
        self._sending = 0  # requests dispatched and not given back by their thread
        self._threads = [
            Thread(target=self._guard, args=(self._read,), name=f"read {name}", daemon=True),
            *(
                Thread(target=self._guard, args=(self._send,), name=f"send {name} {i}", daemon=True)
                for i in range(options.senders)
            ),
        ]

    def start(self) -> None:
        for reader in self.readers:
            reader.log.listen(self._wake.set)
            reader.subscription.outbox.listen(self._wake.set)
        for thread in self._threads:
            thread.start()

    def drain(self) -> None:
        """Dispatch nothing new."""
        self._draining.set()
        self._wake.set()

    def close(self) -> None:
        """End the threads; call after `stop` is set."""
        self._wake.set()
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

    def _guard(self, body: Callable[[], None]) -> None:
        try:
            body()
        except BaseException as error:  # noqa: BLE001 - a dead thread must not be silent
            self._on_failure(self.name, error)

    def _read(self) -> None:
        turn = 0
        while not self._stop.is_set() and not self._draining.is_set():
            self._wake.clear()
            dispatched = False
            for i in range(len(self.readers)):
                reader = self.readers[(turn + i) % len(self.readers)]
                dispatched |= self._turn(reader)
            turn += 1
            if not dispatched:
                self._wake.wait(self._patience_s())

    def _patience_s(self) -> float:
        if not self._free:
            return _IDLE_S
        waits = [w for r in self.readers if (w := r.waits_s(self._options.flush_s)) is not None]
        return min([_IDLE_S, *waits])

    @property
    def _free(self) -> bool:
        """A further request may be dispatched."""
        return self.sending < self._options.senders and self.gate.open

    def _turn(self, reader: SubscriptionReader) -> bool:
        """Let one log send what it has; say whether something was dispatched."""
        dispatched = False
        if self._free and (notices := reader.notices()) is not None:
            self._put(notices)
            dispatched = True
        while self._free and not self._draining.is_set():
            reader.gather()
            batch = reader.take(flush_now=self.sending == 0, flush_s=self._options.flush_s)
            if batch is None:
                if reader.at_end:
                    break
                continue  # there was much to pass and nothing to send
            if not self._dispatch(reader.ledger, batch):
                break
            dispatched = True
            if reader.at_end:
                break
        return dispatched

    def _dispatch(self, ledger: Ledger, batch: Batch) -> bool:
        size = sum(map(len, batch.records))
        settle = partial(self._settle, ledger, ledger.open(batch.span, batch.mark))
        flight = InFlight(batch, settle, size, self._freed)
        while not self._budget.admit(self.name, size):
            if self._stop.wait(0.01):
                return False
        if not flight.settle_if_empty():
            self._put(flight)
        return True

    def _put(self, flight: InFlight) -> None:
        with self._lock:
            self._sending += 1
        self._queue.put(flight)

    # -- the sending threads -------------------------------------------------------------------

    def _send(self) -> None:
        while not self._stop.is_set():
            try:
                flight = self._queue.get(timeout=_IDLE_S)
            except queue.Empty:
                self.delivery.look_after_parked()
                continue
            if flight is None:
                return
            try:
                self.delivery.deliver(flight)
            finally:
                with self._lock:
                    self._sending -= 1
                self._wake.set()
            if len(self.delivery.quarantine):
                self.delivery.look_after_parked()

    def _freed(self, size: int) -> None:
        """Take back the budget of what is decided while a few records are set aside."""
        self._budget.release(self.name, size)
        self._wake.set()

    def _settle(self, ledger: Ledger, ticket: Ticket, flight: InFlight, tally: Tally) -> None:
        ledger.settle(ticket, tally)
        self._budget.release(self.name, flight.size)
        self._wake.set()

    def __repr__(self) -> str:
        return f"<Consumer {self.name} {self.sending} sending {self.gate!r} {self.readers}>"
