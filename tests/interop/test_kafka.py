"""A real broker, and an agent that reads it, are killed in turn: 0 lost."""

import json
import signal
import time
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer

from tests.faults.scene import GAP, Agent
from tests.interop import kafka_broker
from tests.interop.apiserver import free_port
from tests.kit.backend import Backend

pytestmark = [pytest.mark.interop, pytest.mark.timeout(270, func_only=True)]

EVENTS = 20_000


def event(number: int) -> bytes:
    body = {
        "kind": "Event",
        "level": "Metadata",
        "auditID": f"id-{number}",
        "stage": "ResponseComplete",
        "verb": "get",
        "userAgent": "x" * 800,
    }
    return json.dumps(body).encode()


def test_kills_of_broker_and_agent_lose_nothing(tmp_path: Path) -> None:
    """What the broker has acknowledged arrives; what arrives twice has one place on disk."""
    kafka_broker.require()
    broker = kafka_broker.Broker(tmp_path / "broker", free_port(), free_port())
    broker.start()
    acknowledged: set[str] = set()

    def on_delivery(error: object, message: object) -> None:
        if error is None:
            acknowledged.add(json.loads(message.value())["auditID"])  # type: ignore[attr-defined] # a Message

    producer = Producer(
        {"bootstrap.servers": broker.address, "enable.idempotence": True, "acks": "all"}
    )
    with Backend(keep="uids") as backend:
        tree = {
            "receivers": {"kafka": {"brokers": [broker.address], "topics": ["audit"]}},
            "exporters": {
                "otlp_http": {
                    "endpoint": backend.url,
                    "retry_on_failure": {"initial_interval": "100ms"},
                }
            },
            "service": {"state_dir": str(tmp_path / "state")},
        }
        config = tmp_path / "agent.yaml"
        config.write_text(yaml.safe_dump(tree))
        with Agent(config, tmp_path / "agent.log") as agent:
            agent.start()
            for number in range(EVENTS):
                producer.produce("audit", event(number), on_delivery=on_delivery)
                if number % 500 == 0:
                    producer.poll(0.3)
                if number in (4_000, 9_000, 14_000):
                    agent.end(signal.SIGKILL)
                    agent.start()
                if number in (6_000, 12_000):
                    broker.kill()
                    broker.start()
            producer.flush(60)
            # A broker keeps the place of a killed consumer for 45 s before the next one may read.
            end = time.monotonic() + 150
            while len(acknowledged - set(backend.received.audit_ids)) and time.monotonic() < end:
                time.sleep(0.2)
            agent.end(signal.SIGTERM)
        broker.kill()
    lost = acknowledged - set(backend.received.audit_ids)
    print(  # noqa: T201 - shown with -s
        f"{len(acknowledged)} events acknowledged, 3 kills of the agent, 2 of the broker: "
        f"{len(lost)} lost, {backend.received.total - len(acknowledged)} more records"
    )
    assert len(acknowledged) == EVENTS
    assert not lost
    assert not [n for n in backend.received.notices if n.event_name == GAP]
