"""Reads audit events from Kafka topics; Event Hubs speaks the same protocol.

Offsets are committed only when the events are on disk, so a broker, an agent or a network that
fails costs repeats at most, and the spool knows those. Consumers of one group share partitions.
What a broker deleted before it was read is told; reading goes on behind it, whatever
`initial_offset` says: that is for a group that has read nothing yet. Of a topic that was made anew
everything is read.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from k8s_audit_otlp.config.sources import Kafka
from k8s_audit_otlp.receiver.sources.fetching import FetchingSource
from k8s_audit_otlp.receiver.sources.kafka_brokers import AskIds, ConsumerLag, TopicIds, ask_ids
from k8s_audit_otlp.receiver.sources.kafka_client import (
    LASTING_S,
    MOST_BYTES,
    PROMISED,
    ClientErrors,
    arriving,
    place_of,
)
from k8s_audit_otlp.receiver.sources.otlp_request import UnreadableRequestError
from k8s_audit_otlp.receiver.sources.partition import Partition
from k8s_audit_otlp.receiver.spool.spool import Spool
from k8s_audit_otlp.transport.kafka import Settings, client_log, settings_now

logger = logging.getLogger("k8s_audit_otlp")

_ASK_FIRST_S = 20.0  # what reading cannot begin without
_ANEW = "it was made anew"
_FORGOTTEN = "the group has no offset any more"  # brokers keep it for a week
_UNREAD = (
    "%s/%d holds requests of OTLP whose bodies are no texts, and nothing of it is taken: let a "
    "Collector read it, or write encoding: raw where it is written"
)
_MIXED = (
    "%s: it reads events of several clusters (%s), and all leave with its own resource; write one "
    "topic for each cluster and read each with a receiver of its own, or let a Collector read them"
)
_NAMED = 8
# Others have the partitions now, or soon: what is on disk here comes to them once more.
_MOVED = frozenset(
    {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS}
)


class KafkaSource(FetchingSource[Consumer]):
    """One consumer of a group, in a thread of its own."""

    def __init__(
        self,
        name: str,
        source: Kafka,
        spool: Spool,
        *,
        settings: Settings | None = None,
        measure_every_s: float = 10.0,
        ask_ids: AskIds = ask_ids,
    ) -> None:
        """Take librdkafka's *settings*, as of now, but those that the promise rests on.

        *measure_every_s*: how often it is asked what waits: a request, and one for each partition.
        """
        super().__init__(name, spool)
        self._topics = list(source.topics)
        self._errors = ClientErrors()
        self._from_the_end = False
        self._clusters: set[str] = set()  # that those name who have written the messages
        self._sizes: dict[str, str] = {}  # topics, and what is noted with their offsets
        self._consumer_lag = ConsumerLag(self.lag, measure_every_s)
        self._partitions: dict[tuple[str, int], Partition] = {}
        self._unread: dict[tuple[str, int], float] = {}  # left as they are, and since when
        self._read_settings = settings or source.settings
        self._made_for: object = None  # what the client was made with
        self._ask_ids = ask_ids
        self._ids = TopicIds(spool.path.with_name("topics.json"))

    def where(self) -> str:
        return f"{', '.join(self._topics)} of {self._read_settings()['bootstrap.servers']}"

    @contextmanager
    def connect(self) -> Iterator[Consumer]:
        settings, self._made_for = settings_now(self._read_settings)
        self._from_the_end = settings.get("auto.offset.reset") == "latest"
        settings = {**settings, **PROMISED, "error_cb": self._errors.note}
        consumer = Consumer(settings, logger=client_log(settings))
        try:
            consumer.subscribe(self._topics, on_assign=self._assigned, on_revoke=self._revoked)
            yield consumer
        finally:
            consumer.close()

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        """Go on from what is committed; what had begun of a partition comes again."""
        self._partitions.clear()
        self._unread.clear()
        self._consumer_lag.assigned()
        found = consumer.committed(places, timeout=_ASK_FIRST_S)
        if error := next((place.error for place in found if place.error), None):
            raise KafkaException(error)
        known = self._ids.known
        anew = self._tell_of_topics({place.topic for place in found})
        if self._from_the_end:
            self._sizes = {t: self._size_of(consumer, t) for t in {p.topic for p in found}}
        fresh = [place for place in found if place.offset < 0 or place.topic in anew]
        for place in fresh:
            low, high = consumer.get_watermark_offsets(place, timeout=_ASK_FIRST_S)
            late = place.partition >= int(self._sizes.get(place.topic, 0))
            place.offset = low if late or place.topic in known else high
            if low and place.topic in known - anew:
                name = f"{place.topic}/{place.partition}"
                self.lose(f"{name}: {_FORGOTTEN}: messages before {low} were deleted", 0)
        consumer.assign(found)
        # Else what comes first, while nobody reads, would be taken for older than the group.
        if self.losses_are_on_record():
            self._commit(consumer, fresh)
            self._ids.keep()

    def _tell_of_topics(self, topics: set[str]) -> set[str]:
        """Tell which *topics* were made anew since they were read last, and return them."""
        anew = self._ids.made_anew(self._ask_ids(self._read_settings(), topics) if topics else {})
        for topic in sorted(anew):
            self.lose(f"{topic}: {_ANEW}: what was not read of it before is gone", 0)
        return anew

    def _size_of(self, consumer: Consumer, topic: str) -> str:
        """Return of how many partitions a topic was when the group began: it notes that itself.

        Later ones hold nothing that is older than the group.
        """
        found = consumer.list_topics(topic, timeout=_ASK_FIRST_S).topics[topic].partitions
        every = [TopicPartition(topic, number) for number in found]
        noted = [p.metadata or "" for p in consumer.committed(every, timeout=_ASK_FIRST_S)]
        return min((size for size in noted if size.isdigit()), key=int, default=str(len(every)))

    def _revoked(self, _consumer: Consumer, _places: list[TopicPartition]) -> None:
        """Leave what had begun to whoever reads on: it is not committed."""
        self._partitions.clear()
        self._consumer_lag.revoked()

    def take(self, connection: Consumer) -> str:
        lines: list[bytes] = []
        gone: list[Message] = []
        size = 0
        for message in arriving(connection):
            if (place := place_of(message)) in self._unread:
                continue
            if (error := message.error()) is not None:
                if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - public
                    gone.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - public
                    self._partition_of(message).pass_to(message.offset() or 0)
                else:
                    self._errors.note(error)
                continue
            try:
                found = self._take_message(message)
            except UnreadableRequestError:
                connection.pause([TopicPartition(*place)])  # it stops no other partition
                self._unread[place] = time.monotonic()
                continue
            lines += found
            size += len(message) + sum(map(len, found))
            if size >= MOST_BYTES:
                break
        taken = self.put(lines + self._torn(gone), lambda: self._consumer_lag.measure(connection))
        if taken and self.losses_are_on_record():
            self._commit_positions(connection)
        self._consumer_lag.measure(connection)
        if gone:
            self._begin_anew(connection, gone)
        return self._trouble_of_unread() or self._trouble_of_client()

    def _trouble_of_unread(self) -> str:
        """Return what is left unread; raise ValueError where it is time to look at it again."""
        place, since = next(iter(self._unread.items()), (None, 0.0))  # the first that was met
        if place is not None and time.monotonic() - since >= LASTING_S:
            raise ValueError(_UNREAD % place)
        return _UNREAD % place if place else ""

    def _trouble_of_client(self) -> str:
        """Return what the client cannot do, '' as a rule.

        Raise OSError where its credentials or certificates have changed: another one may be able.
        """
        said = self._errors.now
        if said and settings_now(self._read_settings)[1] != self._made_for:
            raise OSError(f"{said}; its settings have changed since")
        return said

    def _take_message(self, message: Message) -> list[bytes]:
        """Return the lines of the events that end in a message; note the gaps that it tells of.

        Raise UnreadableRequestError where it is a request that cannot be read.
        """
        key, value = bytes(message.key() or b""), bytes(message.value() or b"")
        partition = self._partition_of(message)
        lines = partition.take(message.offset() or 0, key, value)
        while partition.gaps:
            self.lose(f"{message.topic()}: told where it was written: {partition.gaps.pop()}", 0)
        if not partition.clusters <= self._clusters:
            self._clusters |= partition.clusters
            if len(self._clusters) > 1:
                logger.warning(_MIXED, self.name, ", ".join(sorted(self._clusters)[:_NAMED]))
        partition.clusters.clear()
        return lines

    def _partition_of(self, message: Message) -> Partition:
        return self._partitions.setdefault(place_of(message), Partition(message.offset() or 0))

    def _torn(self, gone: Sequence[Message]) -> list[bytes]:
        """Return what is left of texts whose ends do not come, or are *gone*."""
        ended = {place_of(message) for message in gone}
        lines: list[bytes] = []
        for place, partition in self._partitions.items():
            late = partition.overdue(time.monotonic())
            lines += late or (partition.torn() if place in ended else [])
        return lines

    def _commit_positions(self, consumer: Consumer) -> None:
        """Commit what is on disk, where that is more than before."""
        moved: list[TopicPartition] = []
        for place, partition in self._partitions.items():
            self.left_out += partition.left_out
            partition.left_out = 0
            if partition.position != partition.committed:
                moved.append(TopicPartition(*place, partition.position))
        if moved:
            self._commit(consumer, moved)
            for one in moved:
                self._partitions[one.topic, one.partition].committed = one.offset
            self._errors.clear()

    def _commit(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        noted = [
            TopicPartition(p.topic, p.partition, p.offset, self._sizes.get(p.topic, ""))
            for p in places
        ]
        try:
            if noted:
                consumer.commit(offsets=noted, asynchronous=False)
        except KafkaException as error:
            if error.args[0].code() not in _MOVED:
                raise
            logger.info("%s: partitions have moved; what comes twice is known", self.name)

    def _begin_anew(self, consumer: Consumer, gone: Sequence[Message]) -> NoReturn:
        """Tell what a broker has no more, and go on behind it: once that is on record, not before.

        Always raise OSError: the next connection reads from there.
        """
        behind: list[TopicPartition] = []
        for message in gone:
            place, asked = TopicPartition(*place_of(message)), message.offset() or 0
            low, high = consumer.get_watermark_offsets(place, timeout=_ASK_FIRST_S)
            name = f"{place.topic}/{place.partition}"
            if asked < low:
                count, why = low - asked, f"messages {asked} to {low - 1} were deleted unread"
            else:
                count, why = 0, f"{_ANEW}: it ends at {high}, and {asked} was to be read"
            if asked < low or not self._tell_of_topics({place.topic}):
                self.lose(f"{name}: {why}", count)
            place.offset = low
            behind.append(place)
        if self.losses_are_on_record():
            self._commit(consumer, behind)
        raise OSError("a broker deleted what was not read yet")
