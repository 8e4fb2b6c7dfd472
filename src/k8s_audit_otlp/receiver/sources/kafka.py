"""Reads audit events from Kafka topics; Event Hubs speaks the same protocol.

Offsets are committed only when the events are on disk, so a broker, an agent or a network that
fails costs repeats at most, and the spool knows those. Consumers of one group share partitions.
"""

import logging
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from k8s_audit_otlp.receiver.sources.messages import lines_in
from k8s_audit_otlp.receiver.sources.reading import Lag, ReadingSource
from k8s_audit_otlp.receiver.spool.spool import Spool

logger = logging.getLogger("k8s_audit_otlp")

BATCH_MESSAGES = 500
_POLL_S = 0.5
_ASK_S = 1.0
_BELIEVED_S = 30.0  # the client says again what lasts; that it is over, it does not say
# An export request, binary or JSON. Its records have their uids, its notices tell of another log:
# to take its events out as if they were new would throw both away. A binary one is field 1 (its
# resource logs), a length, and a field of those; a line break before an event looks otherwise.
_OTLP = re.compile(rb'\n[\x80-\xff]{0,4}[\x00-\x7f][\n\x12\x1a]|\s*\{\s*"resourceLogs"')
_NO_REQUESTS = (
    "{topic} holds requests of OTLP, and nothing of it is taken: let a Collector read it, or write "
    "encoding: raw where it is written"
)
# Others have the partitions now, or soon: what is on disk here comes to them once more.
_MOVED = frozenset(
    {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS}
)


class Waits:
    """Measures what waits in the partitions of one consumer: ends of theirs less what is committed.

    Whatever is committed is on disk.
    """

    def __init__(self, lag: Lag, initial_offset: str | None, every_s: float) -> None:
        self._lag = lag
        self._every_s = every_s
        self._from_the_end = initial_offset == "latest"
        self._at = float("-inf")
        self._ends: dict[str, int] = {}  # as measured last
        self._starts: dict[str, int] = {}  # where reading begins, while nothing is committed
        self._member = False

    def assigned(self, _consumer: Consumer, _places: Sequence[TopicPartition]) -> None:
        self._member, self._starts = True, {}
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
            begin = place.offset
            if begin < 0:  # nothing is committed
                begin = self._starts.setdefault(name, high if self._from_the_end else low)
            ends[name], missing[name] = high, max(0, high - max(low, begin))
        return ends, missing


class KafkaSource(ReadingSource[Consumer]):
    """One consumer of a group, in a thread of its own."""

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any],
        topics: Sequence[str],
        spool: Spool,
        *,
        measure_every_s: float = 10.0,
    ) -> None:
        """Take librdkafka's *settings*; those that the promise rests on are set here.

        *measure_every_s*: how often it is asked what waits: a request, and one for each partition.
        """
        super().__init__(name, spool)
        self._topics = list(topics)
        self._broker_said = ("", 0.0)  # what the client could not do, and when
        self._waits = Waits(self.lag, settings.get("auto.offset.reset"), measure_every_s)
        self._settings = {
            **settings,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "error_cb": self._on_error,
        }

    def where(self) -> str:
        return f"{', '.join(self._topics)} of {self._settings['bootstrap.servers']}"

    @contextmanager
    def connect(self) -> Iterator[Consumer]:
        consumer = Consumer(self._settings, logger=logger)
        try:
            consumer.subscribe(
                self._topics, on_assign=self._waits.assigned, on_revoke=self._waits.revoked
            )
            yield consumer
        finally:
            consumer.close()

    def take(self, connection: Consumer) -> str:
        lines: list[bytes] = []
        ends: dict[tuple[str, int], int] = {}
        for message in connection.consume(BATCH_MESSAGES, _POLL_S):
            if (error := message.error()) is not None:
                self._on_error(error)
                continue
            value = message.value() or b""
            if _OTLP.match(value):
                raise ValueError(_NO_REQUESTS.format(topic=message.topic()))
            found, left_out = lines_in(value)
            lines += found
            self.left_out += left_out
            place, offset = (message.topic(), message.partition()), message.offset()
            if place[0] is not None and place[1] is not None and offset is not None:
                ends[place[0], place[1]] = offset + 1
        if ends and self.put(lines, lambda: self._waits.measure(connection)):
            self._commit(connection, ends)
            self._broker_said = ("", 0.0)
        self._waits.measure(connection)
        said, when = self._broker_said
        return said if time.monotonic() - when < _BELIEVED_S else ""

    def _commit(self, consumer: Consumer, ends: Mapping[tuple[str, int], int]) -> None:
        places = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
        try:
            consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in _MOVED:
                raise
            logger.info("%s: partitions have moved; what comes twice is known", self.name)

    def _on_error(self, error: KafkaError) -> None:
        """Keep what the client says; what it cannot mend by itself makes it begin again."""
        if error.fatal():
            raise KafkaException(error)
        self._broker_said = (error.str(), time.monotonic())
