"""How far a Kafka consumer is behind: what its partitions hold beyond what is committed."""

from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from k8s_audit_otlp.receiver.sources.fetching import Lag

_ASK_S = 1.0


class Waits:
    """Measures what waits in the partitions of one consumer: ends of theirs less what is committed.

    Whatever is committed is on disk.
    """

    def __init__(self, lag: Lag, every_s: float) -> None:
        self._lag = lag
        self._every_s = every_s
        self._at = float("-inf")
        self._ends: dict[str, int] = {}  # as measured last
        self._member = False

    def assigned(self, _consumer: Consumer, _places: Sequence[TopicPartition]) -> None:
        self._member = True
        self._at = float("-inf")

    def revoked(self, _consumer: Consumer, _places: Sequence[TopicPartition]) -> None:
        self._member = False

    def measure(self, consumer: Consumer) -> None:
        """Measure, every few seconds; what a broker does not tell leaves all as it was."""
        if not self._member or (now := self._lag.now()) < self._at + self._every_s:
            return
        before, self._at = self._at, now
        try:
            ends, missing = self._ask(consumer)
        except KafkaException:
            return
        self._lag.waiting = missing
        if not any(missing.values()):
            self._lag.has_all_of(now)
        elif all(ends[p] - missing[p] >= self._ends.get(p, ends[p]) for p in ends):
            self._lag.has_all_of(before)
        self._ends = ends

    def _ask(self, consumer: Consumer) -> tuple[dict[str, int], dict[str, int]]:
        """Return the end of each partition, and how much of it is not committed."""
        ends: dict[str, int] = {}
        missing: dict[str, int] = {}
        assigned = consumer.assignment()
        for place in consumer.committed(assigned, timeout=_ASK_S) if assigned else ():
            name = f"{place.topic}/{place.partition}"
            low, high = consumer.get_watermark_offsets(place, timeout=_ASK_S)
            ends[name], missing[name] = high, max(0, high - max(low, place.offset))
        return ends, missing
