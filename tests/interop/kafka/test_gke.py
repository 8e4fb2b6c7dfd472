"""GKE's log comes through a real broker in each form that Google's connector gives it."""

import json
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.faults.processes import GAP
from tests.interop.kafka import kafka_broker
from tests.interop.kafka.kafka_agents import agent, to, until
from tests.kit.backends.backend import Backend

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400, func_only=True)]

CONNECTOR = Path(__file__).with_name("PubSubConnector.java")
TOPICS = ("gke-schema", "gke-json", "gke-bytes", "gke-bytes-schema")  # as the connector is set up


def entry(number: int) -> dict[str, object]:
    """Return an entry as Cloud Logging writes it; its insertId becomes the audit ID."""
    return {
        "insertId": f"id-{number}",
        "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "authenticationInfo": {"principalEmail": "someone@example.com"},
            "methodName": "io.k8s.core.v1.pods.create",
            "resourceName": f"core/v1/namespaces/default/pods/é-{number}",
            "serviceName": "k8s.io",
            "request": {"data": "x" * (number * 1000)},
        },
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "prod"}},
        "timestamp": "2026-01-02T03:04:05.678901Z",
    }


def _has(backend: Backend, wanted: set[str]) -> bool:
    return wanted <= set(backend.received.audit_ids)


def test_what_the_connector_writes_arrives_once(
    broker: kafka_broker.Broker, tmp_path: Path
) -> None:
    """With Connect's own converters; the same entry in another form is the same event."""
    entries = tmp_path / "entries"
    entries.write_text("".join(json.dumps(entry(number)) + "\n" for number in range(40)))
    jars = ["java", *kafka_broker.QUICK_START, "-cp", f"{kafka_broker.JARS}/*"]
    subprocess.run([*jars, CONNECTOR, broker.address, entries], check=True, timeout=200)
    assert {topic: broker.messages(topic) for topic in TOPICS} == dict.fromkeys(TOPICS, 40)
    wanted = {f"id-{number}" for number in range(40)}
    for topic in TOPICS:
        receiver = {"brokers": [broker.address], "topics": [topic], "session_timeout": "6s"}
        with Backend() as backend, agent(tmp_path, topic, {"kafka": receiver}, to(backend)) as one:
            one.start()
            until(partial(_has, backend, wanted))
            assert sorted(backend.received.audit_ids.elements()) == sorted(wanted), topic
            assert not [n for n in backend.received.notices if n.event_name == GAP]
            last = next(r for r in backend.received.records if r.attributes["auditID"] == "id-39")
            assert last.attributes["username"] == "someone@example.com"
            assert json.loads(last.body)["requestObject"] == {"data": "x" * 39_000}
