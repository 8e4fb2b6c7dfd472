"""A real broker, the agents on either side of it and a reader are killed in turn: 0 lost."""

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.faults.processes import GAP
from tests.interop.collector import Collector
from tests.interop.kafka import kafka_broker
from tests.interop.kafka.kafka_agents import EVENTS, agent, event, reader, to, until
from tests.kit.backends.backend import Backend

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]


class Produced:
    """Events that a producer of our own writes; `acknowledged` are those that the broker has."""

    def __init__(self, broker: kafka_broker.Broker) -> None:
        self.acknowledged: set[str] = set()
        self._producer = Producer(
            {"bootstrap.servers": broker.address, "enable.idempotence": True, "acks": "all"}
        )

    def write(self, numbers: range) -> None:
        for number in numbers:
            self._producer.produce("audit", event(number), on_delivery=self._note)
            if number % 500 == 0:
                self._producer.poll(0.2)

    def flush(self) -> None:
        self._producer.flush(60)

    def _note(self, error: object, message: Any) -> None:
        if error is None:
            self.acknowledged.add(json.loads(message.value())["auditID"])


def test_kills_of_broker_and_agent_lose_nothing(
    broker: kafka_broker.Broker, tmp_path: Path
) -> None:
    """What the broker has acknowledged arrives; what arrives twice has one place on disk."""
    produced = Produced(broker)
    with (
        Backend(keep="uids") as backend,
        agent(tmp_path, "reader", reader(broker, "reader-0"), to(backend)) as running,
    ):
        running.start()
        for part in range(4):
            produced.write(range(part * 3000, (part + 1) * 3000))
            if part % 2:
                broker.kill()
                broker.start()
            else:
                running.end(signal.SIGKILL)
                running.start()
        produced.flush()
        until(lambda: not produced.acknowledged - set(backend.received.audit_ids))
        running.end(signal.SIGTERM)
        lost = produced.acknowledged - set(backend.received.audit_ids)
        more = backend.received.total - len(produced.acknowledged)
    print(f"4 kills: {len(lost)} lost, {more} more records")  # noqa: T201 - shown with -s
    assert len(produced.acknowledged) == EVENTS
    assert not lost
    assert not [n for n in backend.received.notices if n.event_name == GAP]


def test_agents_of_one_group_come_and_go_without_loss(
    broker: kafka_broker.Broker, tmp_path: Path
) -> None:
    """Partitions move when one joins, is stopped and is killed; each event arrives from one."""
    produced = Produced(broker)
    with Backend(keep="uids") as backend:
        one = agent(tmp_path, "one", reader(broker), to(backend))
        two = agent(tmp_path, "two", reader(broker), to(backend))
        with one, two:
            one.start()
            produced.write(range(3000))
            two.start()
            produced.write(range(3000, 6000))
            one.end(signal.SIGTERM)
            produced.write(range(6000, 8000))
            one.start()
            produced.write(range(8000, 10_000))
            two.end(signal.SIGKILL)
            produced.write(range(10_000, EVENTS))
            produced.flush()
            two.start()
            until(lambda: not produced.acknowledged - set(backend.received.audit_ids))
            one.end(signal.SIGTERM)
            two.end(signal.SIGTERM)
        lost = produced.acknowledged - set(backend.received.audit_ids)
        more = backend.received.audit_ids.total() - len(produced.acknowledged)
    print(f"two agents: {len(lost)} lost, {more} repeats")  # noqa: T201 - shown with -s
    assert len(produced.acknowledged) == EVENTS
    assert not lost


@pytest.mark.parametrize("encoding", ["raw", "otlp_proto"])
def test_from_a_log_through_a_broker_to_a_back_end(
    broker: kafka_broker.Broker, tmp_path: Path, encoding: str
) -> None:
    """Writer, broker and reader are killed in turn: every line arrives."""
    log = tmp_path / "audit.log"
    exporter = {
        "brokers": [broker.address],
        "topic": "audit",
        "encoding": encoding,
        "audit": {"notices": "own"},
    }
    with Backend(keep="uids") as backend:
        files = {"k8s_audit": {"include": [str(log)]}}
        first = agent(tmp_path, "first", files, {"kafka": exporter})
        second = agent(tmp_path, "second", reader(broker, "second-0"), to(backend))
        with first, second:
            first.start()
            second.start()
            for part in range(3):
                with log.open("ab") as file:
                    for number in range(part * 4000, (part + 1) * 4000):
                        file.write(event(number) + b"\n")
                time.sleep(0.5)
                if part == 0:
                    first.end(signal.SIGKILL)
                    first.start()
                elif part == 1:
                    broker.kill()
                    broker.start()
                else:
                    second.end(signal.SIGKILL)
                    second.start()
            wanted = {f"id-{number}" for number in range(EVENTS)}
            until(lambda: not wanted - set(backend.received.audit_ids))
            first.end(signal.SIGTERM)
            second.end(signal.SIGTERM)
        lost = wanted - set(backend.received.audit_ids)
        more = backend.received.audit_ids.total() - EVENTS
    print(f"log to back end, 3 kills: {len(lost)} lost, {more} repeats")  # noqa: T201
    assert not lost
    assert not [n for n in backend.received.notices if n.event_name == GAP]


def test_a_collector_reads_what_the_exporter_writes(
    broker: kafka_broker.Broker, tmp_path: Path, otelcol: Path
) -> None:
    """The same uids as over OTLP, in either encoding, under kills of the agent and the broker."""
    collector = Collector(otelcol, tmp_path)
    config = collector.config()
    kinds = ("otlp_proto", "otlp_json")
    for kind in kinds:
        config["receivers"][f"kafka/{kind}"] = {
            "brokers": [broker.address],
            "logs": {"topics": [kind], "encoding": kind},
            "initial_offset": "earliest",
        }
    config["service"]["pipelines"]["logs"]["receivers"] = [f"kafka/{kind}" for kind in kinds]
    config["receivers"].pop("otlp")
    log = tmp_path / "audit.log"
    exporters = {
        f"kafka/{kind}": {"brokers": [broker.address], "topic": kind, "encoding": kind}
        for kind in kinds
    }
    with agent(tmp_path, "first", {"k8s_audit": {"include": [str(log)]}}, exporters) as running:
        running.start()
        for part in range(3):
            with log.open("ab") as file:
                for number in range(part * 1000, (part + 1) * 1000):
                    file.write(event(number) + b"\n")
            time.sleep(1.0)
            running.end(signal.SIGKILL)
            if part == 1:
                broker.kill()
                broker.start()
            running.start()
        collector.start(config, ports=[collector.health])
        until(lambda: len(collector.uids()) >= 3000 and min(collector.uids().values()) >= 2)
        uids = collector.uids()
        running.end(signal.SIGTERM)
        collector.stop()
    assert len(uids) == 3000
    assert min(uids.values()) == 2  # one from each topic
    print(f"Collector: {uids.total() - 6000} repeats")  # noqa: T201 - shown with -s


def test_what_a_broker_refuses_is_split_or_kept_and_said(
    broker: kafka_broker.Broker, tmp_path: Path
) -> None:
    """Too large for the topic: in smaller requests. A topic that is not there: kept, and said."""
    broker.topic("audit", {"max.message.bytes": "20000"})
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(event(number) + b"\n" for number in range(500)))
    exporters = {
        "kafka": {
            "brokers": [broker.address],
            "topic": "audit",
            "encoding": "raw",
            "producer": {"compression": "none"},
        },
        "kafka/proto": {
            "brokers": [broker.address],
            "topic": "audit",
            "producer": {"compression": "none"},
            "audit": {"notices": "own"},
        },
        "kafka/nowhere": {"brokers": [broker.address], "topic": "no/topic", "timeout": "2s"},
    }
    with agent(tmp_path, "first", {"k8s_audit": {"include": [str(log)]}}, exporters) as running:
        running.start()
        text = tmp_path / "first.log"
        until(lambda: broker.messages("audit") >= 500 + 500 // 20)
        until(lambda: "no/topic" in text.read_text() or "name that is not" in text.read_text())
        running.end(signal.SIGTERM)
    assert broker.messages("audit") >= 500 + 500 // 20
    assert "TOPIC_EXCEPTION" in text.read_text()
    assert not list((tmp_path / "first" / "dead-letter").glob("*.jsonl"))
