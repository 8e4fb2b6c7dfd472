"""The way to a back end: its name, its port, a proxy, its certificate."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.tools.doctor import topics
from k8s_audit_otlp.tools.doctor.exporter_facts import connections_of
from k8s_audit_otlp.tools.doctor.findings import State
from tests.kit.backends.backend import Backend
from tests.unit.tools.doctor.exporter_fixtures import (
    KEY,
    asked,
    closed_port,
    endpoint_of,
    secure,
)

__all__ = ["asked", "closed_port", "secure"]

DAY_S = 86_400.0


@pytest.fixture
def proxy() -> Iterator[Callable[..., Any]]:
    """Run a proxy that answers CONNECT with a status, and then tunnels or hangs up."""
    closing = []

    def start(status: Any, tls: Any = None) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        closing.append(server)

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                args = (client, status, tls)
                threading.Thread(target=_tunnel, args=args, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return f"http{'s' if tls else ''}://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in closing:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def _tunnel(accepted: Any, status: Any, tls: Any) -> None:
    with tls.wrap_socket(accepted, server_side=True) if tls else accepted as client:
        head = b""
        while not head.endswith(b"\r\n\r\n") and (byte := client.recv(1)):
            head += byte
        if not head:
            return
        client.sendall(f"HTTP/1.1 {status} as planned\r\n\r\n".encode())
        if status != 200:
            return
        host, port = head.split(b" ")[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port))) as server:
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join(60)


def _copy(source: Any, target: Any) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_name_that_is_known_is_ok(asked: Callable[..., Any], backend: Backend) -> None:
    """With its addresses."""
    verdict = asked("exporter.dns", f"endpoint: 'http://localhost:{backend.port}'")
    assert verdict.state is State.OK
    assert "127.0.0.1" in verdict.why or "::1" in verdict.why


def test_a_name_that_nobody_knows_fails(asked: Callable[..., Any]) -> None:
    """.invalid never resolves; what depends on it is skipped."""
    keys = "endpoint: 'https://siem.invalid'"
    verdict = asked("exporter.dns", keys)
    assert verdict.state is State.FAIL
    assert "siem.invalid" in verdict.why
    for name in ("exporter.tcp", "exporter.tls", "exporter.clock"):
        assert asked(name, keys).state is State.SKIPPED


def test_a_server_that_listens_is_ok(asked: Callable[..., Any], backend: Backend) -> None:
    """Nothing is sent to it."""
    assert asked("exporter.tcp", endpoint_of(backend)).state is State.OK
    assert backend.totals()["requests"] == 0


def test_a_port_that_nobody_listens_on_fails(asked: Callable[..., Any], closed_port: int) -> None:
    """The address is named."""
    verdict = asked("exporter.tcp", f"endpoint: 'http://127.0.0.1:{closed_port}'")
    assert verdict.state is State.FAIL
    assert f"127.0.0.1:{closed_port}" in verdict.why


def test_a_proxy_that_lets_through_is_ok(
    asked: Callable[..., Any], secure: Callable[..., Any], proxy: Callable[..., Any]
) -> None:
    """And TLS is checked through it, as the agent does."""
    with secure("good") as keys:
        through = f"{keys}, proxy_url: '{proxy(200)}'"
        assert asked("exporter.proxy", through).state is State.OK
        assert asked("exporter.tls", through).state is State.OK
        assert asked("exporter.proxy", keys).why == "no proxy is used"


def test_a_proxy_that_is_asked_over_tls_is_ok(
    asked: Callable[..., Any],
    secure: Callable[..., Any],
    proxy: Callable[..., Any],
    certificates: Path,
) -> None:
    """In that connection is the one to the back end, as the agent makes it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "good.pem", certificates / "good.key")
    with secure("good") as keys:
        through = f"{keys}, proxy_url: '{proxy(200, context)}'"
        for name in ("exporter.proxy", "exporter.tls", "exporter.clock"):
            assert asked(name, through).state is State.OK, name


def test_a_proxy_that_wants_a_password_fails(
    asked: Callable[..., Any], secure: Callable[..., Any], proxy: Callable[..., Any]
) -> None:
    """407; its URL is not printed beyond host and port."""
    with secure("good") as keys:
        url = proxy(407).replace("//", f"//user:{KEY}@")
        verdict = asked("exporter.proxy", f"{keys}, proxy_url: '{url}'")
    assert verdict.state is State.FAIL
    assert "407" in verdict.why
    assert KEY not in str(verdict)


def test_a_good_certificate_is_ok(asked: Callable[..., Any], secure: Callable[..., Any]) -> None:
    """With how long it lasts."""
    with secure("good") as keys:
        verdict = asked("exporter.tls", keys)
    assert verdict.state is State.OK
    assert "h" in verdict.why


def test_an_expired_certificate_fails(
    asked: Callable[..., Any], secure: Callable[..., Any]
) -> None:
    """In the words of the library that refuses it."""
    with secure("expired") as keys:
        verdict = asked("exporter.tls", keys)
    assert verdict.state is State.FAIL
    assert "expired" in verdict.why


def test_a_certificate_that_expires_soon_is_warned_of(
    asked: Callable[..., Any], secure: Callable[..., Any]
) -> None:
    """Five days are too few for many organisations."""
    with secure("soon") as keys:
        verdict = asked("exporter.tls", keys)
    assert verdict.state is State.WARN
    assert "its certificate expires in" in verdict.why


def test_an_unknown_authority_fails(asked: Callable[..., Any], secure: Callable[..., Any]) -> None:
    """The hint names the key for it."""
    with secure("good") as keys:
        verdict = asked("exporter.tls", keys.partition(", tls")[0])
    assert verdict.state is State.FAIL
    assert "tls::ca_file" in verdict.hint


def test_an_authority_that_expires_is_warned_of(
    asked: Callable[..., Any], secure: Callable[..., Any]
) -> None:
    """The file of the configuration may be older than the server's certificate."""
    with secure("good") as keys:
        verdict = asked("exporter.tls", keys, now=lambda: time.time() + 285 * DAY_S)
    assert verdict.state is State.WARN


def test_an_unchecked_certificate_is_warned_of(
    asked: Callable[..., Any], secure: Callable[..., Any]
) -> None:
    """insecure_skip_verify is for a first try."""
    with secure("good") as keys:
        verdict = asked(
            "exporter.tls", keys.replace("tls: {", "tls: {insecure_skip_verify: true, ")
        )
    assert verdict.state is State.WARN


def test_keys_in_the_clear_are_warned_of(asked: Callable[..., Any]) -> None:
    """Not on this host, and not where there is no key."""
    host = "endpoint: 'http://192.0.2.1:4318'"
    assert asked("exporter.tls", f"{host}, headers: {{x-key: {KEY}}}").state is State.WARN
    assert asked("exporter.tls", host).state is State.OK
    local = f"endpoint: 'http://127.0.0.1:4318', headers: {{x-key: {KEY}}}"
    assert asked("exporter.tls", local).state is State.OK


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("h:4317", ("h", 4317, True)),
        ("http://h", ("h", 443, False)),
        ("http://h:4317", ("h", 4317, False)),
        ("https://h:443/", ("h", 443, True)),
        ("dns:///h:4317", ("h", 4317, True)),
        ("https://[::1]:4317", ("::1", 4317, True)),
        ("unix:/run/otel.sock", None),
    ],
)
def test_grpc_targets_are_read(endpoint: str, place: tuple[str, int, bool] | None) -> None:
    """As gRPC names them."""
    text = (
        "receivers: {k8s_audit: {include: [/l]}}\n"
        f"exporters: {{otlp_grpc: {{endpoint: '{endpoint}'}}}}\n"
    )
    found = connections_of(load_text(text, "test", {}).config.exporters["otlp_grpc"], {})
    assert (found and (*found.url.address, found.url.scheme == "https")) == place


def test_the_topic_of_a_kafka_exporter_is_asked_for(
    asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is missing may be made by the brokers; brokers that are away are a fault."""
    monkeypatch.setattr(topics, "TIMEOUT_S", 2.0)
    kafka = pytest.importorskip("confluent_kafka")
    host = kafka.Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1})
    (broker,) = host.list_topics("audit", timeout=20).brokers.values()

    def found(address: str, topic: str) -> Any:
        return asked("exporter.topic", f"brokers: ['{address}'], topic: {topic}", kind="kafka")

    address = f"{broker.host}:{broker.port}"
    assert found(address, "audit").state is State.OK
    missing = found(address, "other")
    assert (missing.state, "other" in missing.why) == (State.WARN, True)
    assert found("127.0.0.1:1", "audit").state is State.FAIL
