"""How far a Kafka receiver is behind, by what a broker tells."""

from typing import Any

import pytest

from k8s_audit_otlp.receiver.sources.fetching import Lag

pytest.importorskip("confluent_kafka")

from confluent_kafka import TopicPartition

from k8s_audit_otlp.receiver.sources.kafka_brokers import ConsumerLag

TOPIC = "audit"


class Ends:
    """A consumer of one partition whose end grows, as the broker tells of it."""

    def __init__(self) -> None:
        self.committed_to, self.end = -1001, 0

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, 0)]

    def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout <= 1.0, "who stops it waits so long"
        return [TopicPartition(p.topic, p.partition, self.committed_to) for p in places]

    def get_watermark_offsets(self, _place: TopicPartition, timeout: float) -> tuple[int, int]:
        assert timeout <= 1.0
        return 5, self.end


def test_who_keeps_up_with_a_topic_that_never_rests_is_not_behind() -> None:
    """What was there at the last look is on disk, though more has come since."""
    now = [100.0]
    lag = Lag(lambda: now[0])
    waits, broker = ConsumerLag(lag, 10.0), Ends()
    consumer: Any = broker
    broker.end = broker.committed_to = 1000
    waits.measure(consumer)
    assert lag.waiting == {}, "it has no partition yet"
    waits.assigned()
    waits.measure(consumer)
    assert lag.waiting == {"audit/0": 0}
    for _ in range(5):
        now[0] += 10.0
        broker.end += 500
        broker.committed_to = broker.end - 100
        waits.measure(consumer)
        assert lag.waiting == {"audit/0": 100}
        assert lag.behind_s == 10.0
    for _ in range(5):
        now[0] += 10.0
        broker.end += 500
        broker.committed_to += 10
        waits.measure(consumer)
    assert lag.behind_s == 60.0, "it comes after the topic no more"
    waits.revoked()
    now[0] += 100.0
    waits.measure(consumer)
    assert lag.behind_s == 160.0
