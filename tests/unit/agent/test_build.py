"""A configuration becomes transports that send: every type, every authenticator, the proxy."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.agent.build import resource_scopes_of, sender_of
from k8s_audit_otlp.config.load import load
from k8s_audit_otlp.model import Delivered
from k8s_audit_otlp.otlp.record import encode_record
from tests.kit.backends.backend import Backend
from tests.kit.backends.grpc_backend import GrpcBackend


@pytest.fixture
def send(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Send one record through the exporter of a block, with extensions and an environment."""
    opened = []

    def run(name: str, block: Any, *, extensions: Any = None, env: Any = None) -> Any:
        file = tmp_path / "agent.yaml"
        tree = {
            "receivers": {"k8s_audit": {"include": [f"{tmp_path}/audit.log"]}},
            "exporters": {name: block},
            "extensions": extensions or {},
            "service": {"state_dir": str(tmp_path / "state"), "extensions": list(extensions or {})},
        }
        file.write_text(yaml.safe_dump(tree))
        config = load(file, env or {}).config
        exporter = next(iter(config.exporters.values()))
        sender = sender_of(exporter, config, resource_scopes_of(config, {}), env=env or {})
        opened.append(sender)
        record = encode_record(1, 2, 9, "k8s.audit.event", "{}", {"log.record.uid": "a"})
        return sender.send(sender.prepare("k8s_audit", [record]))

    yield run
    for sender in opened:
        sender.close()


def test_otlp_http_sends_what_its_block_says(send: Callable[..., Any], backend: Backend) -> None:
    """Headers, compression and endpoint."""
    block = {"endpoint": backend.url, "headers": {"X-A": "b"}, "compression": "zstd"}
    assert send("otlp_http", block) == Delivered()
    headers = backend.requests[0].headers
    assert (headers["x-a"], headers["content-encoding"]) == ("b", "zstd")
    assert backend.received.records[0].resource["service.name"] == "k8s-audit"


@pytest.mark.parametrize("endpoint", ["http://{}", "{}"])
def test_otlp_grpc_sends_what_its_block_says(send: Callable[..., Any], endpoint: str) -> None:
    """With a scheme, and without one under tls::insecure."""
    with GrpcBackend() as backend:
        block = {
            "endpoint": endpoint.format(backend.target),
            "headers": {"X-A": "b"},
            "tls": {"insecure": True},
            "keepalive": {"time": "30s"},
        }
        assert send("otlp_grpc", block) == Delivered()
        assert backend.requests[0].headers["x-a"] == "b"


def test_otlp_file_writes_where_its_block_says(send: Callable[..., Any], tmp_path: Path) -> None:
    """Into a directory that it makes."""
    path = tmp_path / "out" / "audit.jsonl"
    assert send("otlp_file", {"path": str(path), "create_directory": True}) == Delivered()
    assert path.read_bytes().startswith(b'{"resourceLogs"')


def test_sdk_uses_the_exporter_of_that_name(send: Callable[..., Any]) -> None:
    """One that is installed takes it; of another the name is said."""
    assert send("sdk", {"exporter": "console"}) == Delivered()
    assert "nobody" in send("sdk", {"exporter": "nobody"}).why


@pytest.mark.parametrize(
    ("kind", "block", "shown"),
    [
        ("bearertokenauth", {"token": "${env:TOKEN}"}, "Bearer t0ken"),
        ("bearertokenauth", {"token": "x", "scheme": "ApiKey"}, "ApiKey x"),
        ("basicauth", {"client_auth": {"username": "u", "password": "p"}}, "Basic dTpw"),
    ],
)
def test_authenticators_show_what_their_block_says(
    send: Callable[..., Any],
    backend: Backend,
    kind: str,
    block: dict[str, Any],
    shown: str,
) -> None:
    """In the header of each request, over HTTP and gRPC."""
    auth = {"auth": {"authenticator": kind}}
    env = {"TOKEN": "t0ken"}
    assert (
        send("otlp_http", {"endpoint": backend.url, **auth}, extensions={kind: block}, env=env)
        == Delivered()
    )
    assert backend.requests[0].headers["authorization"] == shown
    with GrpcBackend() as grpc_backend:
        url = grpc_backend.url
        assert (
            send("otlp_grpc", {"endpoint": url, **auth}, extensions={kind: block}, env=env)
            == Delivered()
        )
        assert grpc_backend.requests[0].headers["authorization"] == shown


def test_transports_that_are_not_configured_are_not_loaded() -> None:
    """GRPC and the SDK's exporters cost memory that an HTTP exporter does not need."""
    script = (
        "import sys, k8s_audit_otlp.agent.build;"
        "print([m for m in sys.modules if m in ('grpc', 'requests', 'urllib3')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
