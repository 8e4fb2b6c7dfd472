"""What a Kafka consumer asks its brokers: how far it is behind, and which topics are made anew.

A topic that is deleted takes a group's offsets with it. One that was made anew under its name while
nobody read looks as if the group were new, or as if its offsets were of it; its id tells (KIP-516).
Where brokers give no ids, nothing is told.
"""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicCollection, Uuid
from confluent_kafka.admin import AdminClient

from k8s_audit_otlp.receiver.sources.fetching import Lag, keep, read_kept

# settings of a consumer, topics -> their ids, as far as brokers tell
AskIds = Callable[[Mapping[str, Any], Collection[str]], Mapping[str, str]]
_ASK_IDS_S = 5.0
_NO_ID = str(Uuid(0, 0))
_OF_CONSUMERS = ("group.", "auto.", "enable.auto.", "enable.partition.", "session.", "heartbeat.")
_ASK_S = 1.0


class ConsumerLag:
    """The lag of one consumer: the ends of its partitions less what is committed of each.

    Whatever is committed is on disk.
    """

    def __init__(self, lag: Lag, every_s: float) -> None:
        self._lag = lag
        self._every_s = every_s
        self._at = float("-inf")
        self._ends: dict[str, int] = {}  # as measured last
        self._member = False

    def assigned(self) -> None:
        self._member = True
        self._at = float("-inf")

    def revoked(self) -> None:
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


def ask_ids(settings: Mapping[str, Any], topics: Collection[str]) -> Mapping[str, str]:
    """Ask the brokers; who may not ask is not told."""
    client = AdminClient({k: v for k, v in settings.items() if not k.startswith(_OF_CONSUMERS)})
    found: dict[str, str] = {}
    asked = client.describe_topics(TopicCollection(list(topics)), request_timeout=_ASK_IDS_S)
    for topic, answer in asked.items():
        try:
            found[topic] = str(answer.result(_ASK_IDS_S).topic_id)
        except (KafkaException, TimeoutError):
            continue
    return {topic: one for topic, one in found.items() if one != _NO_ID}


class TopicIds:
    """The ids of the topics that a spool holds events of; the file lies beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._now: Mapping[str, str] = {}

    def made_anew(self, found: Mapping[str, str]) -> set[str]:
        """Take ids as they are now; return the topics that had others when `keep` was called.

        Raise OSError where what was kept cannot be read.
        """
        known = self._kept()
        self._now = {**known, **found}
        return {topic for topic, one in found.items() if known.get(topic, one) != one}

    def keep(self) -> None:
        """Keep what was found last: what became of a topic has been told."""
        if self._now != self._kept():
            keep(self._path, self._now)

    @property
    def known(self) -> set[str]:
        return set(self._kept())

    def _kept(self) -> dict[str, str]:
        hint = "remove it: a topic that was made anew meanwhile is not told then"
        return read_kept(self._path, dict[str, str], hint)
