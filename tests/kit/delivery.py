"""Records, batches and everything around a delivery that a test wants to look at."""

from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.exporter.delivery import Delivery, DeliveryOptions
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.learned_limits import LearnedLimit
from k8s_audit_otlp.model import Batch, Delivered, Outcome, Rejected, Retry, Span, TooLarge
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.otlp.resource import encode_scope
from k8s_audit_otlp.otlp.wire import RESOURCE, RESOURCE_ATTRIBUTE, delimited, key_value
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.transport.sender import ExportRequest
from tests.kit.backends import certificates
from tests.kit.backends import servers as servers_helper

RESOURCE_BYTES = delimited(RESOURCE, key_value(RESOURCE_ATTRIBUTE, "service.name", "k8s-audit"))
ENVELOPES = {"k8s_audit": (RESOURCE_BYTES, encode_scope("k8s-audit-otlp", "1"))}


def make_record(uid: Any, *, body: str = "", size: int = 0) -> Any:
    """Encode a LogRecord that carries *uid*, padded to about *size* bytes."""
    text = body or f'{{"auditID":"{uid}"}}'
    attributes = {"log.record.uid": uid, "auditID": uid}
    return encode_record(42, 43, 9, "k8s.audit.event", text + " " * size, attributes)


@pytest.fixture
def resource_scopes() -> Any:
    return ENVELOPES


@pytest.fixture
def record() -> Any:
    return make_record


class ScriptedSender:
    """Answers by a function of the records; keeps what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[Any] = []
        self.accepted: list[Any] = []
        self.prepared: dict[bytes, Any] = {}  # records, by the body of their request

    def prepare(self, receiver: Any, records: Any) -> Any:
        request = ExportRequest(b"".join(records), sum(map(len, records)), receiver)
        self.prepared[request.body] = tuple(records)
        return request

    def send(self, request: Any) -> Any:
        records = self.prepared[request.body]
        self.asked.append(records)
        outcome = self.answer(records)
        if isinstance(outcome, Delivered):
            self.accepted += records
        return outcome

    def close(self) -> None:
        """Nothing is open."""


class FakeDeadLetters:
    """A dead letter in memory; `room` false refuses."""

    def __init__(self) -> None:
        self.dead_lettered: list[Any] = []
        self.refused: list[Any] = []
        self.room = True
        self.error = "a.jsonl: full at 1500 bytes"

    def dead_letter(self, _flight: Any, records: Any, why: Any) -> Any:
        if self.room:
            self.dead_lettered += [(r, why) for r in records]
        return self.room

    def note_refused(self, _flight: Any, records: Any, count: int, why: Any) -> Any:
        if self.room:
            self.refused.append((count, len(records), why))
        return self.room


class Recorder:
    """What a delivery told."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.accepted_records = 0
        self.retries: list[Any] = []
        self.dead: list[Any] = []
        self.refused_records = 0
        self.apart = 0  # set aside, and not told to have arrived
        self.stalls: list[str] = []

    def answered(self, outcome: Any, records: Any, size: Any, seconds: Any) -> None:
        self.answers.append((outcome, list(records), size, seconds))

    def accepted(self, records: Any, _size: Any, _last_ns: Any, *, notices: Any) -> None:  # noqa: ARG002 - as the protocol
        self.accepted_records += records

    def retrying(self, why: Any, delay_s: Any, reason: Any) -> None:
        self.retries.append((why, delay_s, reason))

    def set_aside(self, why: Any, delay_s: Any, reason: Any) -> None:
        self.retrying(f"one record is set aside: {why}", delay_s, reason)
        self.apart += 1

    def taken_back(self) -> None:
        self.apart -= 1

    def stalled(self, why: str) -> None:
        self.stalls.append(why)

    def refused(self, count: int, _why: Any, *, notices: Any) -> None:  # noqa: ARG002 - as the protocol has it
        self.refused_records += count

    def dead_lettered(self, why: Any, *, notices: Any) -> None:  # noqa: ARG002
        self.dead.append(why)


class Harness:
    """A delivery with everything around it; waits cost no time."""

    def __init__(
        self,
        sender: Any,
        clock: Any,
        options: Any = None,
        dead_letters: Any = None,
        split_record: Any = None,
    ) -> None:
        self.sender, self.clock = sender, clock
        self.dead_letters = dead_letters or FakeDeadLetters()
        self.recorder = Recorder()
        self.stop = Event()
        self.gate = Gate(lambda: None)
        self.limit = LearnedLimit(900_000)
        self.ledger = Ledger()
        self.waits: list[float] = []
        self.when_waiting: Callable[[], None] = lambda: None
        self.settled: list[Any] = []
        self._at = 0
        options = options or DeliveryOptions(Backoff(randomization=0.0))
        extra = {"split_record": split_record} if split_record else {}
        self.delivery = Delivery(
            sender,
            self.gate,
            self.limit,
            self.dead_letters,
            self.recorder,
            options,
            stop=self.stop,
            monotonic=clock,
            jitter=lambda: 0.5,
            wait=self._wait,
            **extra,
        )

    def _wait(self, seconds: float) -> Any:
        self.waits.append(seconds)
        self.clock.advance(seconds)
        self.when_waiting()
        if len(self.waits) > 2000:  # a test that would never end ends here
            self.stop.set()
        return self.stop.is_set()

    def in_flight(self, records: Any) -> Any:
        span = Span(1, self._at, self._at + len(records))
        self._at = span.end
        batch = Batch("k8s_audit", span, list(records), lines=len(records))
        size = sum(map(len, records))
        ticket = self.ledger.open(span, read=len(batch.records))

        def settle(in_flight: Any, tally: Any) -> None:
            self.ledger.settle(ticket, tally)
            self.settled.append(in_flight)

        return InFlight(batch, settle, size)

    def deliver(self, records: Any) -> Any:
        in_flight = self.in_flight(records)
        self.delivery.prepare(in_flight)
        self.delivery.deliver(in_flight)
        return in_flight

    def look_after(self, times: Any = 1, every_s: Any = 1.0) -> None:
        for _ in range(times):
            self.delivery.retry_quarantined()
            self.clock.advance(every_s)

    @property
    def tally(self) -> Any:
        return self.ledger.place(1).tally

    @property
    def offset(self) -> Any:
        return self.ledger.settled_offset(1)


@pytest.fixture
def harness(clock: Any) -> Any:
    """Make a harness around a function that answers."""

    def make(answer: Any, **rest: Any) -> Any:
        sender = answer if hasattr(answer, "prepare") else ScriptedSender(answer)
        return Harness(sender, clock, **rest)

    return make


@pytest.fixture(scope="session")
def harness_of() -> Any:
    """Make a harness with a clock of its own, for tests that run many."""

    def make(answer: Any) -> Any:
        return Harness(ScriptedSender(answer), _Clock())

    return make


class _Clock:
    now = 0.0

    def __call__(self) -> Any:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(scope="session")
def pki() -> Any:
    return certificates


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return certificates.Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def server_pair(authority: Any) -> Any:
    return authority.issue("server")


@pytest.fixture(scope="session")
def client_pair(authority: Any) -> Any:
    return authority.issue("client")


@pytest.fixture
def servers() -> Any:
    return servers_helper


OK = Delivered()
NO = Rejected("HTTP 400")
DOWN = Retry("HTTP 503")
LARGE = TooLarge("HTTP 413")


def records(number: int, start: int = 0) -> list[bytes]:
    return [b"record %06d" % i for i in range(start, start + number)]


def poison_answers(bad: set[bytes], refusal: Outcome = NO) -> Callable[..., Any]:
    """Refuse each request with a record of *bad* in it."""
    return lambda asked: refusal if bad & set(asked) else OK


def body_of(record: bytes) -> str:
    """Return the body of an encoded record; "" if it has none."""
    [read] = ScopeLogs.FromString(record).log_records
    return str(read.body.string_value)
