"""The client of a Kafka source: how it is set, what comes of it, what it says that it cannot do."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

from confluent_kafka import Consumer, KafkaError, KafkaException, Message

MOST_BYTES = 8 << 20  # that are taken at once
LASTING_S = 30.0  # within which the client says again what lasts
_MOST_MESSAGES = 500
_POLL_S = 0.5
PROMISED = {  # what the promise to lose nothing rests on
    "auto.offset.reset": "error",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "enable.partition.eof": True,
    # The client fetches ahead: what it holds then is beside what is taken.
    "fetch.max.bytes": MOST_BYTES,
    "queued.max.messages.kbytes": MOST_BYTES >> 10,
}


class ClientErrors:
    """What a client says that it cannot do; that it is over, it does not say."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said, self._at = "", 0.0

    def note(self, error: KafkaError) -> None:
        """Keep what passes by itself; raise KafkaException for what only another client mends."""
        if error.fatal():
            raise KafkaException(error)
        self._said, self._at = error.str(), self._monotonic()

    def clear(self) -> None:
        self._said = ""

    @property
    def now(self) -> str:
        return self._said if self._monotonic() - self._at < LASTING_S else ""


def arriving(consumer: Consumer, now: Callable[[], float] = time.monotonic) -> Iterator[Message]:
    """Yield what comes within half a second, one by one, as long ones may be too many together."""
    end = now() + _POLL_S
    polls = iter(lambda: consumer.poll(max(0.0, end - now())), None)
    return islice(polls, _MOST_MESSAGES)


def place_of(message: Message) -> tuple[str, int]:
    return message.topic() or "", message.partition() or 0
