"""A source over a broker of its own: librdkafka's mock."""

from collections.abc import Iterator
from typing import Any

import pytest

from k8s_audit_otlp.config.sources import Kafka
from k8s_audit_otlp.receiver.spool.spool import Spool

pytest.importorskip("confluent_kafka")

from confluent_kafka import Consumer, Producer, TopicPartition

from k8s_audit_otlp.receiver.sources.kafka import KafkaSource
from tests.kit.backends.kafka import mock_brokers

TOPIC = "audit"


def event(number: int) -> bytes:
    return b'{"kind":"Event","auditID":"id-%d"}' % number


@pytest.fixture
def broker() -> Iterator[str]:
    with mock_brokers(TOPIC) as address:
        yield address


@pytest.fixture
def producer(broker: str) -> Producer:
    """Make a producer; what it produces is there when `flush` returns."""
    return Producer({"bootstrap.servers": broker})


@pytest.fixture
def settings(broker: str) -> dict[str, Any]:
    common = {"group.id": "g", "auto.offset.reset": "earliest", "session.timeout.ms": 6000}
    return {"bootstrap.servers": broker, **common}


def reads(settings: dict[str, Any], spool: Spool, ids: Any = None, **more: Any) -> KafkaSource:
    """Make a source; the broker here gives topics no ids."""
    ask: Any = {"ask_ids": lambda *_: ids or {}}
    source = Kafka.model_validate({"brokers": ["h:1"], "topics": TOPIC})
    return KafkaSource("kafka", source, spool, settings=lambda: dict(settings), **ask, **more)


def produce(producer: Producer, numbers: range, partitions: int = 4) -> None:
    for number in numbers:
        producer.produce(TOPIC, event(number), partition=number % partitions)
    producer.flush(10)


def held(spool: Spool) -> list[bytes]:
    return spool.path.read_bytes().splitlines()


def committed(settings: dict[str, Any]) -> int:
    consumer = Consumer(settings)
    places = [TopicPartition(TOPIC, p) for p in range(4)]
    try:
        return sum(max(0, one.offset) for one in consumer.committed(places, timeout=60))
    finally:
        consumer.close()
