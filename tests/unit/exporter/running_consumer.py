"""A consumer on a real log, and deliveries that fail in ways that nobody foresaw."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event, Lock, current_thread
from typing import Any

from k8s_audit_otlp.exporter.backpressure import Budget, Gate
from k8s_audit_otlp.exporter.batcher import Batcher, BatchLimits
from k8s_audit_otlp.exporter.consumer import Consumer
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.quarantine import Quarantine, Quarantined
from k8s_audit_otlp.exporter.shared import EncodedBlocks
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.exporter.subscription_reader import SubscriptionReader
from k8s_audit_otlp.model import Block, EncodedBlock, LogKey
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.outbox import Notice, Outbox
from tests.kit.agent import NobodyListens, encode_lines

SECRET = "s3cr3t-in-the-text"  # noqa: S105 - none


class UnforeseenError(Exception):
    """What nobody has thought of; its text quotes an event."""


def encode(block: Block) -> EncodedBlock:
    """Encode a record for each line, but nothing that holds the word `poison`."""
    if b"poison" in block.data:
        raise UnforeseenError(SECRET)
    return encode_lines(block)


class FailingDelivery:
    """Takes records, but raises in the place of the first answers."""

    def __init__(self, failures: int, unprepared: int = 0) -> None:
        """*unprepared*: so many requests cannot even be made."""
        self.failures = failures
        self.unprepared = unprepared
        self.taken: Counter[bytes] = Counter()
        self.threads: list[str] = []
        self.quarantine = Quarantine()
        self._lock = Lock()

    def prepare(self, _flight: InFlight) -> None:
        self.unprepared -= 1
        if self.unprepared >= 0:
            raise UnforeseenError(SECRET)

    def deliver(self, in_flight: InFlight) -> None:
        with self._lock:
            self.threads.append(current_thread().name.split()[0])
            self.failures -= 1
            if self.failures >= 0:
                raise UnforeseenError(SECRET)
            self.taken.update(in_flight.batch.records)
        in_flight.decided(delivered=len(in_flight.batch.records))

    def retry_quarantined(self) -> None:
        """Set nothing aside."""


class SettingAside(FailingDelivery):
    """Sets the first record aside, and then fails once."""

    def __init__(self, fails_with: int) -> None:
        """*fails_with*: which request, the first is the one that holds the record."""
        super().__init__(0)
        self._fails_with = fails_with
        self._delivered = count(1)

    def deliver(self, in_flight: InFlight) -> None:
        number = next(self._delivered)
        if number == 1:
            record, *others = in_flight.batch.records
            in_flight.set_aside(record)
            in_flight.decided(delivered=len(others))
            self.quarantine.add(Quarantined(in_flight, record, record, "no", True, 0.0, 0.0))
        if number == self._fails_with:
            raise UnforeseenError(SECRET)
        if number > 1:
            super().deliver(in_flight)


class QueuedBehind(FailingDelivery):
    """Fails with the second request while a third is queued: both senders wait for `go_on`."""

    def __init__(self) -> None:
        super().__init__(0)
        self.go_on = Event()
        self._third_comes = Event()
        self._prepared = count(1)
        self._delivered = count(1)

    def prepare(self, _flight: InFlight) -> None:
        if next(self._prepared) == 3:
            self._third_comes.set()

    def deliver(self, in_flight: InFlight) -> None:
        if next(self._delivered) == 2:
            assert self._third_comes.wait(30)
            raise UnforeseenError(SECRET)
        super().deliver(in_flight)

    def retry_quarantined(self) -> None:
        self.go_on.wait(30)


class IdleWaits(Event):
    """Notes at each wait whether there was something to do."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        super().__init__()
        self._busy = busy
        self.while_busy = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.while_busy += self._busy()
        return super().wait(timeout)


def _log(path: Path) -> AuditLog:
    key: Any = LogKey("k8s_audit", str(path))
    log = AuditLog(key, path, NobodyListens())
    log.scan()
    return log


def _reader(subscription: Subscription) -> SubscriptionReader:
    return SubscriptionReader(
        subscription,
        BlockReader(subscription.log),
        EncodedBlocks(encode, sharers=1),
        Batcher("k8s_audit", BatchLimits(max_records=4)),
        on_gap=lambda *_: None,
        encode_notice=lambda notice: notice.uid.encode(),
    )


class Running:
    """One consumer on a real log."""

    def __init__(
        self,
        folder: Path,
        delivery: Any,
        notices: Sequence[Notice] = (),
        consumers: int = 3,
        *,
        answer_s: float = 0.0,
        alone: bool = True,
        other: Path | None = None,
    ) -> None:
        """*other*: another log of the same exporter."""
        self.outbox = Outbox(notices)
        self.path = folder / "audit.log"
        self.lines = [b'{"auditID":"%d"}\n' % n for n in range(40)]
        self.path.write_bytes(b"".join(self.lines))
        self.log = _log(self.path)
        self.delivery, self.stop = delivery, Event()
        self.budget = Budget(1 << 20)
        self.said: list[str] = []
        self.waits: list[float] = []
        self.gate = Gate(lambda: None)
        self.ledger = Ledger()
        subscriptions = [Subscription(self.log, "siem", self.ledger, self.outbox)]
        if other is not None:
            subscriptions.append(Subscription(_log(other), "siem", Ledger()))
        self.consumer = Consumer(
            "siem",
            [_reader(subscription) for subscription in subscriptions],
            delivery,
            self.gate,
            self.budget,
            consumers,
            wake=IdleWaits(lambda: self.ledger.next_offset(1) < self.path.stat().st_size),
            stop=self.stop,
            on_failure=lambda _name, why: self.said.append(why),
            wait=self._wait,
            alone=alone,
            monotonic=partial(next, count(0.0, answer_s)),
        )
        self.consumer.start()

    def _wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        return self.stop.wait(0.01)

    @property
    def done(self) -> bool:
        return self.ledger.settled_offset(1) == self.path.stat().st_size

    def close(self) -> None:
        self.stop.set()
        self.consumer.close()


class StoppedInBackOff(Running):
    """Is told to stop while it waits to begin again."""

    def _wait(self, seconds: float) -> bool:
        self.stop.set()
        return super()._wait(seconds)
