"""What the tests of explain share: events as kube-apiserver writes them, and a log of them."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECRET = "c2VjcmV0LXZhbHVlLTEyMzQ1"  # noqa: S105 - planted
POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    users: [system:kube-proxy]
  - level: Metadata
    resources:
      - group: ""
        resources: [secrets]
  - level: RequestResponse
    verbs: [create]
    omitResponseCodes: [409]
  - level: None
    nonResourceURLs: ["/healthz*"]
"""


@pytest.fixture
def make() -> Callable[..., Any]:
    """Make an event; a second later than the one before."""
    made = []

    def event(
        verb: Any = "get", user: Any = "alice", resource: Any = "pods", **changes: Any
    ) -> Any:
        made.append(verb)
        moment = f"2026-01-02T03:{len(made) // 60 % 60:02}:{len(made) % 60:02}.000000Z"
        uri = f"/api/v1/namespaces/shop/{resource}" if resource else "/healthz"
        found = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "RequestResponse",
            "auditID": f"{len(made):08}-0000-4000-a000-000000000000",
            "stage": "ResponseComplete",
            "requestURI": uri,
            "verb": verb,
            "user": {"username": user, "groups": ["system:authenticated"]},
            "sourceIPs": ["192.0.2.1"],
            "objectRef": {"resource": resource, "namespace": "shop", "name": "n"},
            "responseStatus": {"metadata": {}, "code": 200},
            "requestReceivedTimestamp": moment,
            "stageTimestamp": moment,
        }
        if not resource:
            del found["objectRef"]
        return {**found, **changes}

    return event


@pytest.fixture
def secret(make: Callable[..., Any]) -> dict[str, Any]:
    """Make an event whose body holds a Secret."""
    body = {"kind": "Secret", "metadata": {"name": "n"}, "data": {"password": SECRET}}
    made: dict[str, Any] = make("create", resource="secrets", requestObject=body)
    return made


@pytest.fixture
def line() -> Callable[..., Any]:
    return lambda event: json.dumps(event, separators=(",", ":")).encode()


@pytest.fixture
def write(line: Callable[..., Any]) -> Callable[..., Any]:
    """Write events to a file, compressed if its name says so; raw bytes are taken as they are."""

    def to(path: Path, events: Any) -> Any:
        data = b"".join((e if isinstance(e, bytes) else line(e)) + b"\n" for e in events)
        path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
        return path

    return to


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path
