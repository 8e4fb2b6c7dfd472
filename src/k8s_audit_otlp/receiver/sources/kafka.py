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

from k8s_audit_otlp.receiver.sources.reading import ReadingSource
from k8s_audit_otlp.receiver.spool.event_list import lines_in
from k8s_audit_otlp.receiver.spool.spool import Spool

logger = logging.getLogger("k8s_audit_otlp")

BATCH_MESSAGES = 500
_POLL_S = 0.5
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


class KafkaSource(ReadingSource[Consumer]):
    """One consumer of a group, in a thread of its own."""

    def __init__(
        self, name: str, settings: Mapping[str, Any], topics: Sequence[str], spool: Spool
    ) -> None:
        """Take librdkafka's *settings*; those that the promise rests on are set here."""
        super().__init__(name, spool)
        self._topics = list(topics)
        self._broker_said = ("", 0.0)  # what the client could not do, and when
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
            consumer.subscribe(self._topics)
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
        if ends and self.put(lines):
            self._commit(connection, ends)
            self._broker_said = ("", 0.0)
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
