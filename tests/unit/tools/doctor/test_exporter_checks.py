"""Every check of an exporter, against real servers: certificates, proxies, wrong keys."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.tools.doctor.exporter_checks import CHECKS
from k8s_audit_otlp.tools.doctor.exporter_facts import ExporterFacts, place_of
from k8s_audit_otlp.tools.doctor.verdict import State
from tests.kit.backend import Backend
from tests.kit.grpc_backend import GrpcBackend
from tests.kit.steps import PartialSuccess, Refuse, Throttle

TABLE = {check.name: check.look for check in CHECKS}
KEY = "tkn-0123456789abcdef"
DAY_S = 86_400.0


@pytest.fixture
def asked(tmp_path: Path) -> Callable[..., Any]:
    """Ask one check about an exporter with these keys."""

    def ask(
        name: str,
        keys: Any,
        *,
        kind: Any = "otlp_http",
        extensions: Any = "{}",
        env: Any = None,
        **facts: Any,
    ) -> Any:
        text = (
            f"receivers: {{k8s_audit: {{include: ['{tmp_path}/audit.log']}}}}\n"
            f"extensions: {extensions}\nexporters: {{{kind}: {{{keys}}}}}\n"
        )
        config = load_text(text, "test", env or {}).config
        return TABLE[name](ExporterFacts(kind, config.exporters[kind], config, env or {}, **facts))

    return ask


@pytest.fixture
def secure(certificates: Path) -> Callable[..., Any]:
    """Run a back end with one of the certificates."""

    @contextmanager
    def run(name: str) -> Any:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        with Backend(tls=context) as running:
            yield f"endpoint: '{running.url}', tls: {{ca_file: {certificates}/ca.pem}}"

    return run


@pytest.fixture
def proxy() -> Iterator[Callable[..., Any]]:
    """Run a proxy that answers CONNECT with a status, and then tunnels or hangs up."""
    closing = []

    def start(status: Any) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        closing.append(server)

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=_tunnel, args=(client, status), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in closing:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def _tunnel(client: Any, status: Any) -> None:
    with client:
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


def _endpoint(backend: Backend) -> str:
    return f"endpoint: '{backend.url}'"


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# -- name and connection -------------------------------------------------------------------------


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
    assert asked("exporter.tcp", _endpoint(backend)).state is State.OK
    assert backend.totals()["requests"] == 0


def test_a_port_that_nobody_listens_on_fails(asked: Callable[..., Any], closed_port: int) -> None:
    """The address is named."""
    verdict = asked("exporter.tcp", f"endpoint: 'http://127.0.0.1:{closed_port}'")
    assert verdict.state is State.FAIL
    assert f"127.0.0.1:{closed_port}" in verdict.why


# -- proxy ---------------------------------------------------------------------------------------


def test_a_proxy_that_lets_through_is_ok(
    asked: Callable[..., Any], secure: Callable[..., Any], proxy: Callable[..., Any]
) -> None:
    """And TLS is checked through it, as the agent does."""
    with secure("good") as keys:
        through = f"{keys}, proxy_url: '{proxy(200)}'"
        assert asked("exporter.proxy", through).state is State.OK
        assert asked("exporter.tls", through).state is State.OK
        assert asked("exporter.proxy", keys).why == "no proxy is used"


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


# -- TLS -----------------------------------------------------------------------------------------


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
    """The way out names the key for it."""
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


# -- credentials ---------------------------------------------------------------------------------


def test_keys_that_are_there_are_ok_and_not_shown(asked: Callable[..., Any]) -> None:
    """Only their names are."""
    verdict = asked("exporter.credentials", f"endpoint: 'http://h', headers: {{x-key: {KEY}}}")
    assert verdict.state is State.OK
    assert "x-key" in verdict.why
    assert KEY not in str(verdict)


def test_a_key_that_is_empty_fails(asked: Callable[..., Any]) -> None:
    """An unset variable is the most common reason."""
    keys = "endpoint: 'http://h', headers: {authorization: 'Bearer ${env:TOKEN:-}'}"
    verdict = asked("exporter.credentials", keys)
    assert verdict.state is State.FAIL
    assert "authorization" in verdict.why


def test_a_token_file_that_is_missing_fails(asked: Callable[..., Any], tmp_path: Path) -> None:
    """The file is named."""
    extensions = f"{{bearertokenauth: {{filename: {tmp_path}/token}}}}"
    keys = "endpoint: 'http://h', auth: {authenticator: bearertokenauth}"
    verdict = asked("exporter.credentials", keys, extensions=extensions)
    assert verdict.state is State.FAIL
    assert f"{tmp_path}/token" in verdict.why
    (tmp_path / "token").write_text(KEY)
    assert asked("exporter.credentials", keys, extensions=extensions).state is State.OK


def test_a_header_that_the_vendor_wants_fails_when_missing(asked: Callable[..., Any]) -> None:
    """Datadog takes nothing without its key."""
    keys = "endpoint: 'https://otlp.datadoghq.com', audit: {vendor: datadog}"
    verdict = asked("exporter.credentials", keys)
    assert verdict.state is State.FAIL
    assert "dd-api-key" in verdict.why


# -- clock and age -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "state", "said"),
    [
        (0, State.OK, "agree"),
        (90, State.WARN, "ahead of"),
        (-90, State.WARN, "behind"),
        (3600, State.FAIL, "3600 s"),
    ],
)
def test_clocks_are_compared(
    asked: Callable[..., Any], backend: Backend, ahead: int, state: State, said: str
) -> None:
    """With the Date of the back end's own answer; the logs' path is not asked."""
    verdict = asked("exporter.clock", _endpoint(backend), now=lambda: time.time() + ahead)
    assert verdict.state is state
    assert said in verdict.why or ahead == 3600
    assert backend.totals()["records"] == 0


def test_the_clock_is_asked_over_tls_as_well(
    asked: Callable[..., Any], secure: Callable[..., Any]
) -> None:
    """Through the same handshake as the records."""
    with secure("good") as keys:
        assert asked("exporter.clock", keys).state is State.OK


@pytest.mark.parametrize(
    ("hours", "state"), [(1, State.OK), (10, State.WARN), (20, State.FAIL), (None, State.OK)]
)
def test_what_waits_is_compared_with_what_is_taken(
    asked: Callable[..., Any], hours: int | None, state: State
) -> None:
    """18 hours here; what is older is accepted by some and never shown."""
    oldest = 0 if hours is None else round((time.time() - hours * 3600) * 1e9)
    keys = "endpoint: 'http://h', audit: {limits: {max_age: 18h}}"
    assert asked("exporter.age", keys, oldest_ns=oldest).state is state
    assert asked("exporter.age", "endpoint: 'http://h'", oldest_ns=oldest).state is State.OK


# -- the test record -----------------------------------------------------------------------------


def test_nothing_is_sent_unless_asked(asked: Callable[..., Any], backend: Backend) -> None:
    """No empty request either: some back ends take it for a broken one."""
    for name in TABLE:
        asked(name, _endpoint(backend))
    assert backend.totals()["records"] == 0
    assert asked("exporter.send", _endpoint(backend)).state is State.SKIPPED


def test_a_test_record_that_is_accepted_is_ok(asked: Callable[..., Any], backend: Backend) -> None:
    """It is marked, so that it can be found and told from events."""
    assert asked("exporter.send", _endpoint(backend), send=True).state is State.OK
    (record,) = backend.received.notices
    assert record.attributes["k8s.audit.agent.test"] is True
    assert record.event_name == "k8s.audit.agent.test"


@pytest.mark.parametrize(
    ("step", "state", "said", "hint"),
    [
        (Refuse(401), State.FAIL, "HTTP 401", "expired key"),
        (Refuse(403), State.FAIL, "HTTP 403", "expired key"),
        (Refuse(404), State.FAIL, "HTTP 404", "compare the URL"),
        (Refuse(400), State.FAIL, "HTTP 400", "vendors"),
        (Throttle(429), State.WARN, "429", "ask again"),
        (PartialSuccess(1), State.FAIL, "refused", "vendors"),
    ],
)
def test_the_answer_is_shown_with_the_way_out(
    asked: Callable[..., Any],
    backend: Backend,
    step: PartialSuccess | Throttle | Refuse,
    state: State,
    said: str,
    hint: str,
) -> None:
    """A wrong key, a wrong path, a throttled tenant: each needs something else."""
    backend.plan = [step]
    keys = f"{_endpoint(backend)}, headers: {{x-key: {KEY}}}"
    verdict = asked("exporter.send", keys, send=True)
    assert verdict.state is state
    assert said in verdict.why
    assert hint in verdict.hint
    assert KEY not in str(verdict)


def test_datakit_without_its_otlp_input_is_recognised(
    asked: Callable[..., Any], backend: Backend
) -> None:
    """It answers 404, and the input has to be switched on."""
    backend.plan = [Refuse(404)]
    verdict = asked("exporter.send", f"endpoint: '{backend.url}/otel'", send=True)
    assert verdict.state is State.FAIL
    assert "ENV_DEFAULT_ENABLED_INPUTS" in verdict.hint


def test_a_back_end_that_is_away_fails(asked: Callable[..., Any], closed_port: int) -> None:
    """And points to the checks that say where."""
    verdict = asked("exporter.send", f"endpoint: 'http://127.0.0.1:{closed_port}'", send=True)
    assert verdict.state is State.FAIL
    assert "exporter.tcp" in verdict.hint


def test_grpc_is_checked_as_well(asked: Callable[..., Any]) -> None:
    """Its address is written in many ways."""
    with GrpcBackend() as grpc:
        keys = f"endpoint: '127.0.0.1:{grpc.port}', tls: {{insecure: true}}"
        assert asked("exporter.tcp", keys, kind="otlp_grpc").state is State.OK
        assert asked("exporter.send", keys, kind="otlp_grpc", send=True).state is State.OK


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("h:4317", ("h", 4317, True)),
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
    found = place_of(load_text(text, "test", {}).config.exporters["otlp_grpc"], {})
    assert (found and (found.host, found.port, found.tls)) == place


def test_an_exporter_to_a_file_needs_no_network(asked: Callable[..., Any], tmp_path: Path) -> None:
    """Its checks of the network are skipped, the record is written."""
    keys = f"path: {tmp_path}/out.jsonl"
    assert asked("exporter.dns", keys, kind="otlp_file").state is State.SKIPPED
    assert asked("exporter.send", keys, kind="otlp_file", send=True).state is State.OK
    assert "k8s.audit.agent.test" in (tmp_path / "out.jsonl").read_text()
