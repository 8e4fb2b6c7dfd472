"""A broker that asks who comes: what is refused is said, kept, and taken up once it is granted."""

import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AclOperation, ResourceType  # type: ignore[attr-defined] # exported all the same

from tests.interop.kafka import kafka_broker
from tests.interop.kafka.kafka_agents import agent, event, to, until
from tests.kit.backends.backend import Backend
from tests.kit.backends.certificates import Authority
from tests.kit.backends.servers import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]


@dataclass
class Secured:
    """A broker that asks who comes, and how to come to it."""

    broker: kafka_broker.Broker
    address: str
    authority: Authority
    foreign: Authority

    def block(self, user: str, password: str = "", ca: Path | None = None) -> dict[str, Any]:
        sasl = {"username": user, "password": password or kafka_broker.USERS[user]}
        tls = {"ca_file": str(ca or self.authority.cert)}
        return {"brokers": [self.address], "auth": {"sasl": sasl}, "tls": tls, "client_id": user}


@pytest.fixture
def secured(tmp_path: Path, formatted: Path) -> Iterator[Secured]:
    kafka_broker.require()
    authority, foreign = Authority(tmp_path), Authority(tmp_path, "foreign")
    pair, port, pem = authority.issue("broker"), free_port(), tmp_path / "broker.pem"
    pem.write_bytes(pair.key.read_bytes() + pair.cert.read_bytes())
    more = kafka_broker.secured_listener(port, pem)
    broker = kafka_broker.Broker(tmp_path / "broker", formatted, more)
    try:
        broker.start()
        for topic in ("audit", "closed"):
            broker.topic(topic, {})
        yield Secured(broker, f"127.0.0.1:{port}", authority, foreign)
    finally:
        broker.kill()


TOPIC, GROUP = ResourceType.TOPIC, ResourceType.GROUP
WRITES = [(TOPIC, AclOperation.WRITE), (TOPIC, AclOperation.DESCRIBE)]


def unsaid(log: Path, said: dict[str, str]) -> list[str]:
    """Return which components have no line in *log* that matches what they should say."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [
        name
        for name, words in said.items()
        if not any(f"{name}:" in line and re.search(words, line) for line in lines)
    ]


def test_who_may_not_write_keeps_everything_and_says_why(secured: Secured, tmp_path: Path) -> None:
    """Certificate, password and right are told apart; once the right is given, all of it comes."""
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(event(number) + b"\n" for number in range(500)))
    secured.broker.allow("agent", *((kind, "audit", what) for kind, what in WRITES))
    common = {
        "encoding": "raw",
        "timeout": "3s",
        "retry_on_failure": {"initial_interval": "100ms", "max_interval": "1s"},
        "audit": {"notices": "own"},
    }
    exporters = {
        "kafka/good": {**secured.block("agent"), "topic": "audit"},
        "kafka/password": {**secured.block("agent", "wrong"), "topic": "audit"},
        "kafka/right": {**secured.block("other"), "topic": "closed"},
        "kafka/authority": {**secured.block("agent", ca=secured.foreign.cert), "topic": "audit"},
    }
    exporters = {name: {**common, **one} for name, one in exporters.items()}
    text = tmp_path / "first.log"
    said = {
        "kafka/password": "SASL_AUTHENTICATION_FAILED|Authentication failed",
        "kafka/right": "TOPIC_AUTHORIZATION_FAILED",
        "kafka/authority": "certificate verify failed|SSL handshake",
    }
    with agent(tmp_path, "first", {"k8s_audit": {"include": [str(log)]}}, exporters) as running:
        running.start()

        until(lambda: not unsaid(text, said) and secured.broker.messages("audit") >= 500, 90)
        assert not unsaid(text, said), text.read_text()
        assert secured.broker.messages("audit") >= 500  # and some notices
        assert secured.broker.messages("closed") == 0
        secured.broker.allow("other", *((kind, "closed", what) for kind, what in WRITES))
        until(lambda: secured.broker.messages("closed") >= 500, 90)
        assert secured.broker.messages("closed") >= 500
        running.end(signal.SIGTERM)
    assert not list((tmp_path / "first" / "dead-letter").glob("*.jsonl"))
    assert "made-up" not in text.read_text()


def test_who_may_not_read_says_why_and_begins_when_it_may(secured: Secured, tmp_path: Path) -> None:
    """A wrong password, another authority, a group that is not granted; nothing is skipped.

    A password that is renewed is taken up.
    """
    producer = Producer({"bootstrap.servers": secured.broker.address})
    for number in range(300):
        producer.produce("audit", event(number))
    producer.flush(30)
    read = [(TOPIC, "audit", AclOperation.READ), (TOPIC, "audit", AclOperation.DESCRIBE)]
    secured.broker.allow("agent", *read)
    blocks = {
        "kafka/group": secured.block("agent"),
        "kafka/password": secured.block("agent", f"${{file:{tmp_path / 'password'}}}"),
        "kafka/authority": secured.block("agent", ca=secured.foreign.cert),
    }
    (tmp_path / "password").write_text("wrong")
    receivers = {
        name: {**one, "topics": ["audit"], "group_id": name.replace("/", "-")}
        for name, one in blocks.items()
    }
    said = {
        "kafka/group": "(?i)group authorization failed|GROUP_AUTHORIZATION",
        "kafka/password": "(?i)authentication failed",
        "kafka/authority": "(?i)certificate verify failed|SSL handshake",
    }
    text = tmp_path / "reader.log"
    with (
        Backend(keep="uids") as backend,
        agent(tmp_path, "reader", receivers, to(backend)) as running,
    ):
        running.start()

        until(lambda: not unsaid(text, said), 90)
        assert not unsaid(text, said), text.read_text()
        assert not backend.received.audit_ids
        secured.broker.allow("agent", (GROUP, "kafka-group", AclOperation.READ))
        until(lambda: len(backend.received.audit_ids) >= 300, 90)
        assert len(backend.received.audit_ids) == 300
        secured.broker.allow("agent", (GROUP, "kafka-password", AclOperation.READ))
        (tmp_path / "password").write_text(kafka_broker.USERS["agent"])
        spool = tmp_path / "reader/spool/kafka%2Fpassword/all/audit.log"
        until(lambda: spool.read_bytes().count(b"\n") >= 300, 90)
        assert spool.read_bytes().count(b"\n") == 300
        running.end(signal.SIGTERM)
