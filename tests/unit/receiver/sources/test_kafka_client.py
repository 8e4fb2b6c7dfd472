"""What a client brings, which has a bound, and what it says that it cannot do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.sources import Kafka
from k8s_audit_otlp.receiver.spool.spool import Appended, Spool

pytest.importorskip("confluent_kafka")

from confluent_kafka import KafkaError, KafkaException, Producer

from k8s_audit_otlp.receiver.sources.kafka import KafkaSource
from k8s_audit_otlp.receiver.sources.kafka_client import LASTING_S, ClientErrors, arriving
from tests.conftest import ManualClock
from tests.kit.backends.kafka import mock_brokers
from tests.kit.log.spools import until
from tests.unit.receiver.sources.conftest import ROOMY

EVENT = b'{"kind":"Event","auditID":"id-%d","requestURI":"%b"}'
MESSAGES, PARTITIONS = 20, 4  # the broker here keeps 5 MiB of a partition


class Counting(Spool):
    """Knows how many bytes were appended at once, at most."""

    most = 0

    def append(self, lines: Sequence[bytes]) -> Appended:
        self.most = max(self.most, sum(map(len, lines)))
        return super().append(lines)


def test_of_long_messages_few_are_held_at_once(tmp_path: Path) -> None:
    """Hundreds of a megabyte would not fit into the memory of a pod, however often it starts."""
    spool = Counting(tmp_path, ROOMY)
    spool.open()
    with mock_brokers("audit") as address:
        producer = Producer({"bootstrap.servers": address})
        for number in range(MESSAGES):
            message = EVENT % (number, b"x" * 900_000)
            producer.produce("audit", message, partition=number % PARTITIONS)
        producer.flush(60)
        block = Kafka.model_validate({"brokers": [address], "topics": "audit"})
        source = KafkaSource("kafka", block, spool, ask_ids=lambda *_: {})
        source.start()
        until(lambda: spool.written == MESSAGES)
        source.stop(15.0)
    assert spool.most < 6_000_000


def test_what_trickles_in_is_taken_together() -> None:
    """Each message alone would be a sync of the disk and a commit of its own."""
    clock = ManualClock()
    waits: list[float] = []

    class Trickle:
        def poll(self, wait: float) -> str | None:
            waits.append(wait)
            clock.advance(0.2)
            return "message" if len(waits) < 6 else None

    consumer: Any = Trickle()
    assert len(list(arriving(consumer, clock))) == 5
    assert waits == pytest.approx([0.5, 0.3, 0.1, 0, 0, 0])


def test_an_error_that_is_not_said_again_is_over() -> None:
    """The client tells of no recovery; what was read since is one too."""
    clock = ManualClock()
    errors = ClientErrors(clock)
    assert errors.now == ""
    errors.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    clock.advance(LASTING_S - 1)
    assert "down" in errors.now
    clock.advance(1)
    assert errors.now == ""
    errors.note(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    errors.clear()
    assert errors.now == ""


def test_what_no_client_recovers_from_ends_it() -> None:
    """Another one is made then."""
    with pytest.raises(KafkaException):
        ClientErrors().note(KafkaError(KafkaError.INVALID_PRODUCER_EPOCH, fatal=True))
