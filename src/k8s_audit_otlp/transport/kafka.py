"""Produces requests to a Kafka topic; delivered is what all in-sync replicas have acknowledged.

The key of a message is the segment of the log that it comes from: a segment lies in one partition,
in order. The producer is idempotent: what the client repeats by itself is there once. One thread
collects the acknowledgements for all who wait.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any, Literal, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Producer

from k8s_audit_otlp.config.exporters import KafkaExporter
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Retry, TooLarge
from k8s_audit_otlp.otlp.hourly_scopes import request_of
from k8s_audit_otlp.otlp.record import body_of, segment_of, uid_of
from k8s_audit_otlp.transport.otlp_json import to_line
from k8s_audit_otlp.transport.response_codes import read_kafka
from k8s_audit_otlp.transport.sender import ExportRequest, NotSentError, read_setting
from k8s_audit_otlp.transport.tls import stamp

logger = logging.getLogger("k8s_audit_otlp")

Encoding: TypeAlias = Literal["otlp_proto", "otlp_json", "raw"]
Settings: TypeAlias = Callable[[], Mapping[str, Any]]  # of librdkafka

_POLL_S = 0.2
_GRACE_S = 10.0  # the client tells within `timeout_s` what became of a message, and some time more
# Each request is a batch of its own, so that an answer about a batch is about the request. Events
# travel together in batches that are below what any topic takes.
_BATCHES: Mapping[Encoding, Mapping[str, Any]] = {
    "otlp_proto": {"batch.num.messages": 1},
    "otlp_json": {"batch.num.messages": 1},
    "raw": {"batch.size": 65_536},
}
# The client says only that time is over; why, it has said before.
_NO_REASON = frozenset(
    {"_MSG_TIMED_OUT", "_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_PURGE_QUEUE"}
)
_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")


@dataclass(frozen=True, slots=True)
class KafkaRequest(ExportRequest):
    """Some messages with one key; `acknowledged` holds the places of those that are there."""

    key: bytes
    messages: Sequence[bytes]
    acknowledged: set[int]


def settings_now(read: Settings) -> tuple[Mapping[str, Any], object]:
    """Return the settings of a client, and what differs once they or their files have changed.

    Raise UnreadableSettingError where the file of one is missing or cannot be read.
    """
    settings = read_setting(read, "a setting")
    return settings, (settings, stamp(filter(None, map(settings.get, _FILES))))


def client_log(settings: Mapping[str, Any]) -> "logging.LoggerAdapter[logging.Logger]":
    """Return what the client that is made with *settings* writes its own lines to."""
    fields = {"event": "kafka_client", "endpoint": settings.get("bootstrap.servers", "")}
    return logging.LoggerAdapter(logger, {"fields": fields})


class KafkaSender:
    """The Kafka transport of one exporter. Threads share it."""

    def __init__(
        self,
        exporter: KafkaExporter,
        resource_scopes: Mapping[str, tuple[bytes, bytes]],
        *,
        settings: Settings | None = None,
    ) -> None:
        """*resource_scopes*: per receiver the encoded resource and scope.

        *settings*: librdkafka's, as of now, for some may change on disk; those of *exporter*.
        """
        self._exporter = exporter
        self._settings = settings or exporter.settings
        self._resource_scopes = resource_scopes
        self._lock = Lock()  # guards the link and what it was made for
        self._link: _PolledProducer | None = None
        self._made_for: object = None

    def prepare(self, receiver: str, records: Sequence[bytes]) -> KafkaRequest:
        messages = self._messages(receiver, records)
        key = (segment_of(uid_of(records[0])) or receiver).encode()
        return KafkaRequest(b"", sum(map(len, messages)), receiver, key, messages, set())

    def _messages(self, receiver: str, records: Sequence[bytes]) -> list[bytes]:
        if self._exporter.form == "raw":
            return [body_of(record) for record in records]
        request = request_of(self._resource_scopes, receiver, records)
        if self._exporter.form == "otlp_json":
            return [to_line(request).rstrip(b"\n")]
        return [request]

    def send(self, request: ExportRequest) -> Outcome:
        """Produce *request* and wait until it is acknowledged. Never raises for what may be."""
        assert isinstance(request, KafkaRequest)  # noqa: S101 - as `prepare` has made it
        most = self._exporter.producer.max_message_bytes
        longest = max(map(len, request.messages)) + len(request.key)
        if longest > most:
            return TooLarge(f"a message has {longest} bytes; producer::max_message_bytes is {most}")
        try:
            link = self._connected()
        except NotSentError as error:
            return error.outcome
        except KafkaException as error:
            return Misconfigured(f"the client cannot be made: {error.args[0].str()}")
        return link.produce(request, self._exporter.timeout_s + _GRACE_S)

    def _connected(self) -> "_PolledProducer":
        """Return a producer; another one when a setting has changed, or this one can no more."""
        settings, made_for = settings_now(self._settings)
        with self._lock:
            known = self._link
            if known and not known.broken and self._made_for == made_for:
                return known
            self._link = _PolledProducer(
                self._exporter.to_topic,
                {
                    **settings,
                    **_BATCHES[self._exporter.form],
                    "enable.idempotence": True,
                    "acks": "all",
                    "partitioner": "murmur2_random",  # that of the Java clients
                    "message.max.bytes": self._exporter.producer.max_message_bytes,
                    "message.timeout.ms": round(self._exporter.timeout_s * 1000),
                },
            )
            self._made_for = made_for
        if known:
            known.retire()
        return self._link

    def close(self) -> None:
        with self._lock:
            link, self._link = self._link, None
        if link:
            link.purge()


class _DeliveryReports:
    """What became of the messages of one request."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.error: KafkaError | None = None  # the first
        self.done = Event()

    def note(self, error: KafkaError | None) -> None:
        """Take one; only the thread that polls calls it."""
        self.error = self.error or error
        self._left -= 1
        if not self._left:
            self.done.set()


class _PolledProducer:
    """One producer and the thread that polls it."""

    def __init__(self, topic: str, settings: Mapping[str, Any]) -> None:
        self.broken = False
        self._topic = topic
        self._said: KafkaError | None = None  # what the client could not do since it last could
        settings = {**settings, "error_cb": self._on_error}
        self._producer = Producer(settings, logger=client_log(settings))
        self._retired = Event()
        self._thread = Thread(target=self._poll, name=f"kafka {topic}", daemon=True)
        self._thread.start()

    def produce(self, request: KafkaRequest, longest_s: float) -> Outcome:
        """Hand the messages over that are not there yet, and wait for the answers."""
        left = [i for i in range(len(request.messages)) if i not in request.acknowledged]
        if not left:
            return Delivered()
        answers = _DeliveryReports(len(left))

        def on_delivery(index: int) -> Callable[[KafkaError | None, object], None]:
            def note(error: KafkaError | None, _message: object) -> None:
                if error is None:
                    request.acknowledged.add(index)
                    self._said = None
                answers.note(error)

            return note

        for index in left:
            try:
                self._producer.produce(
                    self._topic,
                    request.messages[index],
                    request.key,
                    on_delivery=on_delivery(index),
                )
            except (BufferError, KafkaException) as error:
                answers.note(_error_of(error))
        if not answers.done.wait(longest_s):
            return Retry(f"no answer within {longest_s:g} s", reached=False)
        return Delivered() if answers.error is None else self._outcome(answers.error)

    def _outcome(self, error: KafkaError) -> Outcome:
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - a public constant
            self.broken = True  # the promise of idempotence is over: another producer begins anew
        if error.name() in _NO_REASON and self._said is not None:
            error = self._said
        return read_kafka(error.name(), error.str())

    def _on_error(self, error: KafkaError) -> None:
        if error.name() not in _NO_REASON or self._said is None:
            self._said = error
        if error.fatal():
            self.broken = True

    def _poll(self) -> None:
        while not self._retired.is_set() or len(self._producer):
            self._producer.poll(_POLL_S)

    def retire(self) -> None:
        """End when the last message is answered."""
        self._retired.set()

    def purge(self) -> None:
        """Answer whoever waits that the message was not sent, and end."""
        self._producer.purge()
        self._retired.set()
        self._thread.join(2 * _POLL_S + 1)


def _error_of(error: Exception) -> KafkaError:
    if isinstance(error, KafkaException):
        found: KafkaError = error.args[0]
        return found
    return KafkaError(KafkaError._QUEUE_FULL)  # noqa: SLF001 - a public constant
