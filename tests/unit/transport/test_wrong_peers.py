"""What answers is not what was meant: every error names host and port and the likely cause."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.model import Misconfigured, Outcome, Retry
from k8s_audit_otlp.transport.connection import ConnectError, Connections
from k8s_audit_otlp.transport.url import Url
from tests.kit.backends.backend import Backend
from tests.kit.backends.certificates import Authority, server_context
from tests.kit.backends.grpc_backend import GrpcBackend
from tests.kit.backends.servers import Proxy
from tests.kit.senders import grpc_sender, http_sender, read_from

Scopes = Mapping[str, tuple[bytes, bytes]]


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("wrong"))


# What a port says that was meant for something else, then it hangs up; nothing: it resets.
_SAYS = {
    "resets": b"",
    "TLS of Go": b"HTTP/1.0 400 Bad Request\r\n\r\n"
    b"Client sent an HTTP request to an HTTPS server.\n",
    "TLS of nginx": b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n"
    b"<center>The plain HTTP request was sent to HTTPS port</center>",
}


@contextmanager
def _saying(answer: bytes) -> Iterator[int]:
    """Give *answer* to whatever comes, once it has begun."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer, suppress(OSError):
                        peer.recv(1 if not answer else 65536)  # what is left unread resets
                        peer.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)


@contextmanager
def _port_of(kind: str, authority: Authority) -> Iterator[int]:
    """Serve as *kind* says."""
    if kind == "nobody":
        with socket.socket() as closed:  # bound, and it never listens
            closed.bind(("127.0.0.1", 0))
            yield closed.getsockname()[1]
    elif kind == "gRPC":
        with GrpcBackend() as grpc:
            yield grpc.port
    elif kind in _SAYS:
        with _saying(_SAYS[kind]) as port:
            yield port
    elif kind == "plain HTTP":
        with Backend() as plain:
            yield plain.port
    else:
        days = {"days": 1.0, "age_days": 8.0} if kind == "expired" else {}
        names = ("elsewhere.test",) if kind == "another name" else ("localhost", "127.0.0.1")
        pair = authority.issue(kind.replace(" ", "-"), names, **days)
        clients = authority.cert if kind == "mTLS" else None
        with Backend(tls=server_context(pair, clients=clients)) as backend:
            yield backend.port


def _http(url: str, tls: Tls, scopes: Scopes, env: Mapping[str, str] | None = None) -> Outcome:
    sender = http_sender(url, scopes, tls=tls, timeout="20s", env=env)
    try:
        return sender.send(sender.prepare("k8s_audit", [b"\x12\x00"]))
    finally:
        sender.close()


def _grpc(target: str, tls: Tls, scopes: Scopes, *, insecure: bool) -> Outcome:
    sender = grpc_sender(target, scopes, tls=tls, timeout="20s", insecure=insecure)
    try:
        return sender.send(sender.prepare("k8s_audit", [b"\x12\x00"]))
    finally:
        sender.close()


@pytest.mark.parametrize(
    ("scheme", "kind", "wrong", "hint"),
    [
        ("https", "plain HTTP", Retry, "does the port speak plain http://"),
        ("https", "gRPC", Retry, "does the port speak plain http://"),
        ("http", "HTTPS", Retry, "does the port speak TLS"),
        ("http", "gRPC", Retry, "otlp_grpc"),
        ("https", "expired", Misconfigured, "expired"),
        ("https", "another name", Misconfigured, "tls::server_name_override"),
        ("https", "mTLS", Retry, "tls::cert_file"),
        ("http", "nobody", Retry, "Connection refused"),
        ("http", "resets", Retry, "does the port speak TLS"),
        ("https", "resets", Retry, "does the port speak plain http://"),
        ("http", "TLS of Go", Misconfigured, "write https://"),
        ("http", "TLS of nginx", Misconfigured, "write https://"),
        ("grpc", "resets", Retry, "does the port speak TLS"),
        ("grpcs", "resets", Retry, "insecure: true"),
        ("grpc", "plain HTTP", Retry, "otlp_http"),
        ("grpc", "HTTPS", Retry, "does the port speak TLS"),
        ("grpcs", "plain HTTP", Retry, "insecure: true"),
        ("grpcs", "gRPC", Retry, "insecure: true"),
        ("grpcs", "HTTPS", Retry, "otlp_http"),
        ("grpcs", "expired", Misconfigured, "expired"),
        ("grpc", "nobody", Retry, "Connection refused"),
    ],
)
def test_a_wrong_port_is_told_by_what_it_says(
    trusted: Authority, resource_scopes: Scopes, scheme: str, kind: str, wrong: type, hint: str
) -> None:
    """Nothing is thrown away, no record is blamed, and the hint is there."""
    tls = Tls(ca_file=str(trusted.cert))
    with _port_of(kind, trusted) as port:
        where = f"127.0.0.1:{port}"
        if scheme.startswith("grpc"):
            outcome = _grpc(where, tls, resource_scopes, insecure=scheme == "grpc")
        else:
            outcome = _http(f"{scheme}://{where}/v1/logs", tls, resource_scopes)
    assert isinstance(outcome, wrong)
    assert isinstance(outcome, Retry | Misconfigured)
    assert outcome.why.startswith(f"{where}: ")
    assert hint in outcome.why


@pytest.mark.parametrize("send", ["https", "grpcs"])
def test_an_unknown_authority_is_asked_for(
    trusted: Authority, resource_scopes: Scopes, tmp_path: Path, send: str
) -> None:
    tls = Tls(ca_file=str(Authority(tmp_path, "foreign").cert))
    with _port_of("HTTPS", trusted) as port:
        where = f"127.0.0.1:{port}"
        if send == "https":
            outcome = _http(f"https://{where}/v1/logs", tls, resource_scopes)
        else:
            outcome = _grpc(where, tls, resource_scopes, insecure=False)
    assert isinstance(outcome, Misconfigured)
    assert outcome.why.startswith(f"{where}: ")
    assert outcome.why.endswith("tls::ca_file")


@pytest.mark.parametrize("send", [_http, _grpc])
def test_a_name_that_is_not_known_blames_no_record(
    resource_scopes: Scopes, send: Callable[..., Outcome]
) -> None:
    host = "no.such.host.invalid:4317"
    if send is _http:
        outcome = _http(f"http://{host}/v1/logs", Tls(), resource_scopes)
    else:
        outcome = _grpc(host, Tls(), resource_scopes, insecure=True)
    assert isinstance(outcome, Retry)
    assert not outcome.reached
    assert outcome.why.startswith(f"{host}: ")


@pytest.mark.parametrize(
    ("status", "wrong", "hint"),
    [
        (401, Misconfigured, "proxy_url"),
        (403, Misconfigured, "does not allow"),
        (407, Misconfigured, "proxy_url"),
        (502, Retry, "does not reach"),
        (503, Retry, "does not reach"),
        (500, Retry, "HTTP 500"),
    ],
)
def test_a_proxy_that_refuses_is_told_from_the_back_end(
    resource_scopes: Scopes, status: int, wrong: type, hint: str
) -> None:
    with Proxy(refuse=status) as proxy:
        env = {"HTTPS_PROXY": proxy.url}
        outcome = _http("https://backend.test:4318/v1/logs", Tls(), resource_scopes, env)
        peers = f"backend.test:4318 through the proxy 127.0.0.1:{proxy.port}: "
    assert isinstance(outcome, wrong)
    assert isinstance(outcome, Retry | Misconfigured)
    assert outcome.why.startswith(peers)
    assert hint in outcome.why


@pytest.mark.parametrize(
    ("status", "wrong"), [(407, Misconfigured), (403, Misconfigured), (502, Retry)]
)
def test_a_proxy_between_grpc_and_the_back_end_is_told_too(
    resource_scopes: Scopes, monkeypatch: pytest.MonkeyPatch, status: int, wrong: type
) -> None:
    """The library asks the environment itself; a wrong password there does not pass by waiting."""
    with Proxy(refuse=status) as proxy:
        monkeypatch.setenv("grpc_proxy", proxy.url)
        outcome = _grpc("backend.test:4317", Tls(), resource_scopes, insecure=True)
    assert isinstance(outcome, wrong)
    assert isinstance(outcome, Retry | Misconfigured)
    assert outcome.why.startswith("backend.test:4317: ")
    assert f"{status}" in outcome.why
    assert "proxy" in outcome.why


def test_a_host_that_no_resolver_takes_is_an_answer_too(
    resource_scopes: Scopes, tmp_path: Path
) -> None:
    """It is refused where it is written; a file may come to hold one."""
    sender = http_sender(read_from(tmp_path / "url"), resource_scopes)
    (tmp_path / "url").write_text(f"http://{'a' * 64}.test/v1/logs")
    outcome = sender.send(sender.prepare("k8s_audit", [b"\x12\x00"]))
    assert isinstance(outcome, Misconfigured)


def test_without_tls_and_proxy_a_late_connection_is_said_to_be_late() -> None:
    """A busy machine may have no time left once it is connected: that is no wrong protocol."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = Url.parse(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        times = iter([0.0, 0.0, 99.0])
        late = Connections(url, context=ssl.create_default_context, monotonic=lambda: next(times))
        with pytest.raises(ConnectError) as raised:
            late.post({}, b"", 1.0)
    assert str(raised.value) == "no connection in time"
