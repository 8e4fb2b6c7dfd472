"""Agents beside a Kafka broker, and what they read and write."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.faults.processes import Agent
from tests.interop.kafka import kafka_broker
from tests.kit.backends.backend import Backend

EVENTS = 12_000


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


def agent(folder: Path, name: str, receivers: dict[str, Any], exporters: dict[str, Any]) -> Agent:
    tree = {
        "receivers": receivers,
        "exporters": exporters,
        "service": {"state_dir": str(folder / name)},
    }
    config = folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump(tree))
    return Agent(config, folder / f"{name}.log")


def reader(broker: kafka_broker.Broker, name: str = "") -> dict[str, Any]:
    """Return a receiver. With a *name* that it keeps, a killed one has its partitions at once."""
    block: dict[str, Any] = {
        "brokers": [broker.address],
        "topics": ["audit"],
        "session_timeout": "6s",
        "heartbeat_interval": "1s",
    }
    return {"kafka": {**block, **({"group_instance_id": name} if name else {})}}


def to(backend: Backend) -> dict[str, Any]:
    retry = {"initial_interval": "100ms", "max_interval": "1s"}
    return {"otlp_http": {"endpoint": backend.url, "retry_on_failure": retry}}


def until(what: Callable[[], object], seconds: float = 150.0) -> None:
    """Wait; the assertions behind it say what did not come."""
    end = time.monotonic() + seconds
    while not what() and time.monotonic() < end:
        time.sleep(0.2)
