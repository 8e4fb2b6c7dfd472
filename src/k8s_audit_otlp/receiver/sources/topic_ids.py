"""Detects a topic that was deleted and created anew, by the id that brokers give it (KIP-516).

A topic that is deleted takes a group's offsets with it. One that was made anew under its name while
nobody read looks as if the group were new, or as if its offsets were of it. Where brokers give no
ids, nothing is told.
"""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, TopicCollection, Uuid
from confluent_kafka.admin import AdminClient

from k8s_audit_otlp.state.files import replace_file

# settings of a consumer, topics -> their ids, as far as brokers tell
AskIds = Callable[[Mapping[str, Any], Collection[str]], Mapping[str, str]]
_ASK_S = 5.0
_NO_ID = str(Uuid(0, 0))
_OF_CONSUMERS = ("group.", "auto.", "enable.auto.", "enable.partition.", "session.", "heartbeat.")


def ask_ids(settings: Mapping[str, Any], topics: Collection[str]) -> Mapping[str, str]:
    """Ask the brokers; who may not ask is not told."""
    client = AdminClient({k: v for k, v in settings.items() if not k.startswith(_OF_CONSUMERS)})
    found: dict[str, str] = {}
    asked = client.describe_topics(TopicCollection(list(topics)), request_timeout=_ASK_S)
    for topic, answer in asked.items():
        try:
            found[topic] = str(answer.result(_ASK_S).topic_id)
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

        Raise OSError or ValueError where what was kept cannot be read.
        """
        known = self._kept()
        self._now = {**known, **found}
        return {topic for topic, one in found.items() if known.get(topic, one) != one}

    def keep(self) -> None:
        """Keep what was found last: what became of a topic has been told."""
        if self._now != self._kept():
            data = json.dumps(self._now).encode()
            replace_file(self._path, lambda file: file.write(data), durable=False)

    @property
    def known(self) -> set[str]:
        """The topics that were read before."""
        return set(self._kept())

    def _kept(self) -> dict[str, str]:
        return dict(json.loads(self._path.read_bytes())) if self._path.exists() else {}
