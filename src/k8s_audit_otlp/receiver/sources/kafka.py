"""Reads audit events from Kafka topics; Event Hubs speaks the same protocol.

Offsets are committed only when the events are on disk, so a broker, an agent or a network that
fails costs repeats at most, and the spool knows those. Consumers of one group share partitions.
"""

import logging
from collections.abc import Mapping, Sequence
from threading import Event, Thread
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from k8s_audit_otlp.receiver.spool.event_list import lines_in
from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError
from k8s_audit_otlp.receiver.spool.spool import Spool

logger = logging.getLogger("k8s_audit_otlp")

BATCH_MESSAGES = 500
_POLL_S = 0.5
_AGAIN_S = 2.0  # wait when the spool is full or the broker refuses


class KafkaSource:
    """One consumer in a thread of its own."""

    def __init__(
        self, name: str, settings: Mapping[str, Any], topics: Sequence[str], spool: Spool
    ) -> None:
        """Take librdkafka's *settings*; those that the promise rests on are set here."""
        self._name = name
        self._topics = list(topics)
        self._spool = spool
        self._settings = {
            **settings,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
        }
        self._stop = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self.left_out = 0  # messages or lines that hold no audit event

    def start(self) -> str:
        """Begin to consume, and return what; a broker that is away is waited for."""
        self._thread.start()
        return f"{', '.join(self._topics)} of {self._settings['bootstrap.servers']}"

    def look(self) -> None:
        """Nothing has to be taken up while it runs."""

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(15)

    def _run(self) -> None:
        """Consume until `stop`; after any trouble from what was committed last."""
        while not self._stop.is_set():
            consumer = Consumer(self._settings, logger=logger)
            try:
                consumer.subscribe(self._topics)
                while not self._stop.is_set():
                    self._take(consumer)
            except Exception as error:  # noqa: BLE001 - a thread that dies takes nothing any more
                logger.warning("%s: %s; it begins again", self._name, error)
                self._stop.wait(_AGAIN_S)
            finally:
                consumer.close()

    def _take(self, consumer: Consumer) -> None:
        """Take what has come, put it on disk, then commit where it ended."""
        lines: list[bytes] = []
        ends: dict[tuple[str, int], int] = {}
        for message in consumer.consume(BATCH_MESSAGES, _POLL_S):
            if (error := message.error()) is not None:
                logger.warning("%s: %s", self._name, error.str())
                continue
            found, left_out = lines_in(message.value() or b"")
            lines += found
            self.left_out += left_out
            place, offset = (message.topic(), message.partition()), message.offset()
            if place[0] is not None and place[1] is not None and offset is not None:
                ends[place[0], place[1]] = offset + 1
        if not ends:
            return
        while lines:
            try:
                self._spool.append(lines)
                break
            except SpoolFullError as full:
                logger.warning("%s: nothing is taken: %s", self._name, full)
                if self._stop.wait(_AGAIN_S):
                    return  # not committed: it comes again
        places = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
        consumer.commit(offsets=places, asynchronous=False)
