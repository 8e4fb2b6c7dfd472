"""A request is delivered when the brokers have acknowledged it. They are librdkafka's own mocks."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from k8s_audit_otlp.config.exporters import KafkaExporter
from k8s_audit_otlp.model import Delivered, Misconfigured, Retry, TooLarge
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.otlp.resource import encode_scope, export_request
from k8s_audit_otlp.transport.sender import ExportRequest

pytest.importorskip("confluent_kafka")

from confluent_kafka import Consumer, Producer, TopicPartition

from k8s_audit_otlp.transport.kafka import Encoding, KafkaSender

TOPIC = "otlp_logs"
SCOPES = {"k8s_audit": (wire.text(wire.RESOURCE, ""), encode_scope("scope", "1"))}


def record(number: int, identity: str = "0123456789abcdef", size: int = 10) -> bytes:
    uid = {"log.record.uid": f"{identity}-{number:x}"}
    return encode_record(1, 2, 9, "k8s.audit.event", f"body {number} " + "x" * size, uid)


@pytest.fixture
def broker() -> Iterator[str]:
    """Host three brokers; return the address of one."""
    host = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 3})
    meta = host.list_topics(TOPIC, timeout=20)
    yield ",".join(f"{one.host}:{one.port}" for one in meta.brokers.values())
    host.flush(5)


def sender_of(
    settings: Callable[[], Mapping[str, Any]],
    encoding: Encoding = "otlp_proto",
    most: int = 1_000_000,
    timeout_s: float = 20.0,
) -> KafkaSender:
    block = {"brokers": ["127.0.0.1:9092"], "topic": TOPIC, "encoding": encoding}
    more = {"producer": {"max_message_bytes": most}, "timeout": f"{timeout_s}s"}
    exporter = KafkaExporter.model_validate({**block, **more})
    return KafkaSender(exporter, SCOPES, settings=settings)


Make = Callable[..., KafkaSender]


@pytest.fixture
def make(broker: str) -> Iterator[Make]:
    made: list[KafkaSender] = []

    def sender(
        encoding: Encoding = "otlp_proto",
        timeout_s: float = 20.0,
        most: int = 1_000_000,
        **more: Any,
    ) -> KafkaSender:
        settings = {"bootstrap.servers": broker, "log_level": 0, **more}
        made.append(sender_of(lambda: settings, encoding, most, timeout_s))
        return made[-1]

    yield sender
    for each in made:
        each.close()


def sent(make: Make, records: list[bytes], encoding: Encoding = "otlp_proto") -> ExportRequest:
    sender = make(encoding)
    request = sender.prepare("k8s_audit", records)
    assert sender.send(request) == Delivered()
    return request


def messages(broker: str, count: int) -> list[tuple[int, bytes, bytes]]:
    """Return (partition, key, value) of what the topic holds."""
    consumer = Consumer({"bootstrap.servers": broker, "group.id": "reader"})
    consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(4)])
    found: list[tuple[int, bytes, bytes]] = []
    end = time.monotonic() + 60
    while len(found) < count and time.monotonic() < end:
        for one in consumer.consume(count, 0.2):
            assert one.error() is None
            found.append((one.partition() or 0, one.key() or b"", one.value() or b""))
    consumer.close()
    return found


def test_a_request_is_one_message_with_the_segment_as_its_key(make: Make, broker: str) -> None:
    """So the records of one segment, its receipt among them, lie in one partition."""
    records = [record(1), record(2)]
    sent(make, records)
    receipt = {"log.record.uid": "receipt-0123456789abcdef-1"}
    sent(make, [encode_record(1, 2, 9, "k8s.audit.segment", "closed", receipt)])
    found = messages(broker, 2)
    assert {key for _, key, _ in found} == {b"0123456789abcdef"}
    assert len({partition for partition, _, _ in found}) == 1
    assert export_request(*SCOPES["k8s_audit"], records) in [value for _, _, value in found]


def test_json_and_raw_hold_the_same_events(make: Make, broker: str) -> None:
    """Raw is one message for each event: the event as it stands in the body."""
    sent(make, [record(1), record(2)], "otlp_json")
    sent(make, [record(3), record(4)], "raw")
    values = [value for _, _, value in messages(broker, 3)]
    (text,) = [value for value in values if value.startswith(b"{")]
    found = json.loads(text)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert [one["body"]["stringValue"].split()[1] for one in found] == ["1", "2"]
    assert [v for v in values if v.startswith(b"body")] == [
        b"body 3 " + b"x" * 10,
        b"body 4 " + b"x" * 10,
    ]


def test_a_message_over_the_limit_is_split_and_not_sent(make: Make) -> None:
    """Nothing of a raw request is sent either, so that nothing comes twice."""
    for encoding in ("otlp_proto", "raw"):
        sender = make(encoding, most=2000)
        request = sender.prepare("k8s_audit", [record(1), record(2, size=3000)])
        outcome = sender.send(request)
        assert isinstance(outcome, TooLarge)
        assert "max_message_bytes" in outcome.why


def test_brokers_that_are_away_are_waited_for_and_named() -> None:
    """The reason is what the client said before, not that time was over."""
    settings = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    sender = sender_of(lambda: settings, timeout_s=1.0)
    outcome = sender.send(sender.prepare("k8s_audit", [record(1)]))
    assert isinstance(outcome, Retry)
    assert not outcome.reached
    assert "127.0.0.1:1" in outcome.why
    sender.close()


def test_what_the_client_says_names_its_brokers(caplog: pytest.LogCaptureFixture) -> None:
    """Its lines are of the log's one stream, so that they carry an event as all others do."""
    sender = sender_of(lambda: {"bootstrap.servers": "127.0.0.1:9"}, timeout_s=1.0)
    try:
        sender.send(sender.prepare("k8s_audit", [record(1)]))
        said = [each for each in caplog.records if "Connection refused" in each.getMessage()]
        fields = {"event": "kafka_client", "endpoint": "127.0.0.1:9"}
        assert said
        assert all(getattr(each, "fields", None) == fields for each in said)
    finally:
        sender.close()


def test_settings_that_no_client_takes_are_told(make: Make) -> None:
    """They are kept as a wrong key is: the records wait."""
    sender = make(**{"ssl.ca.location": "/nope", "security.protocol": "SSL"})
    outcome = sender.send(sender.prepare("k8s_audit", [record(1)]))
    assert isinstance(outcome, Misconfigured)
    assert "ssl.ca.location" in outcome.why


def test_a_changed_setting_is_taken_up(broker: str, tmp_path: Path) -> None:
    """A password is renewed in its file; what cannot be read is said."""
    address = tmp_path / "address"

    def settings() -> dict[str, Any]:
        return {"bootstrap.servers": address.read_text(), "log_level": 0}

    sender = sender_of(settings, timeout_s=1.0)
    request = sender.prepare("k8s_audit", [record(1)])
    assert isinstance(sender.send(request), Misconfigured)
    address.write_text("127.0.0.1:1")
    assert isinstance(sender.send(request), Retry)
    address.write_text(broker)
    end = time.monotonic() + 60
    while (outcome := sender.send(request)) != Delivered() and time.monotonic() < end:
        pass
    assert outcome == Delivered()
    sender.close()


def test_what_is_closed_lets_nobody_wait(make: Make) -> None:
    """A request on its way is answered at once; it comes again after the start."""
    sender = make(timeout_s=60.0, **{"bootstrap.servers": "127.0.0.1:1"})
    request = sender.prepare("k8s_audit", [record(1)])
    link = sender._connected()
    link._producer.produce(TOPIC, b"waits")
    begin = time.monotonic()
    sender.close()
    assert time.monotonic() - begin < 40  # the timeout is 60 s
    assert request.size


def test_what_is_given_up_at_a_stop_names_what_stood_in_the_way() -> None:
    """Not that the client's queue was emptied: that was our own doing."""
    settings = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
    sender = sender_of(lambda: settings, timeout_s=60.0)
    request, link, outcomes = sender.prepare("k8s_audit", [record(1)]), sender._connected(), []
    waiting = Thread(target=lambda: outcomes.append(sender.send(request)))
    waiting.start()
    end = time.monotonic() + 60
    while not (link._said and len(link._producer)) and time.monotonic() < end:
        time.sleep(0.05)
    sender.close()
    waiting.join(60)
    (outcome,) = outcomes
    assert isinstance(outcome, Retry)
    assert "127.0.0.1:1" in outcome.why
