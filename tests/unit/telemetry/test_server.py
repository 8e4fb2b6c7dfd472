"""The listener, asked over real sockets."""

import base64
import hashlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPMessage
from threading import Event
from typing import Any

import pytest

from k8s_audit_otlp.receiver.sources.listener import MOST_CONNECTIONS, Listener
from k8s_audit_otlp.telemetry.listener.endpoints import status_server
from k8s_audit_otlp.telemetry.listener.get_server import GetServer
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, LogView

WELL = HealthView([LogView("/log/audit.log")], [ExporterView("a", acknowledged_at=1.0)])
ILL = HealthView([LogView("/log/audit.log", "is not there")], dead_threads=["read a"])


def get(address: str, path: str, method: str = "GET") -> tuple[int, HTTPMessage, bytes]:
    host, _, port = address.rpartition(":")
    connection = HTTPConnection(host.strip("[]"), int(port), timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def serving(
    address: str,
    metrics: Callable[[], str],
    health: Callable[[], HealthView],
    process: Callable[[], HealthView] = lambda: WELL,
) -> GetServer:
    return status_server(address, metrics=metrics, health=health, process=process, status=dict)


@pytest.fixture
def serve() -> Iterator[Callable[..., Any]]:
    running = []

    def start(view: Any, address: Any = "127.0.0.1:0") -> Any:
        text = "k8s_audit_otlp_gaps_total 1\n"
        server = serving(address, lambda: text, lambda: view, lambda: view)
        running.append(server)
        return server.start()

    yield start
    for server in running:
        server.stop(2.0)


def test_a_well_agent_answers_200(serve: Callable[..., Any]) -> None:
    """To both probes, with details as JSON."""
    address = serve(WELL)
    for path in ("/livez", "/readyz"):
        status, headers, body = get(address, path)
        assert status == 200
        assert headers["content-type"] == "application/json"
        assert json.loads(body)["status"] == "ok"


def test_an_ill_agent_answers_503_with_the_reasons(serve: Callable[..., Any]) -> None:
    """So that `kubectl describe` and curl both tell why."""
    address = serve(ILL)
    for path, said in (("/livez", "read a"), ("/readyz", "is not there")):
        status, _, body = get(address, path)
        assert status == 503
        assert said in " ".join(json.loads(body)["reasons"])


def test_metrics_are_served_in_prometheus_format(serve: Callable[..., Any]) -> None:
    """With the version of the format in the content type."""
    status, headers, body = get(serve(WELL), "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert body == b"k8s_audit_otlp_gaps_total 1\n"


def test_nothing_else_is_served_and_nothing_can_be_sent(serve: Callable[..., Any]) -> None:
    """There is only GET."""
    address = serve(WELL)
    assert get(address, "/other")[0] == 404
    assert get(address, "/livez", "POST")[0] == 405


def probe(address: str) -> int:
    """Ask as kubelet does, which gives up at the third failure in a row."""
    for _ in range(2):
        with suppress(ConnectionError):
            return get(address, "/livez")[0]
    return get(address, "/livez")[0]


def test_silent_connections_do_not_keep_a_probe_waiting(serve: Callable[..., Any]) -> None:
    """More than it keeps, each in the middle of a header: the oldest give way."""
    address = serve(WELL)
    host, _, port = address.rpartition(":")
    with ExitStack() as silent:
        for _ in range(MOST_CONNECTIONS + 44):
            connection = silent.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        answers = {probe(address) for _ in range(20)}
    assert answers == {200}


def test_requests_without_an_answer_do_not_keep_a_probe_waiting() -> None:
    """All that it keeps ask for a readiness that nobody knows: the oldest give way."""
    known = Event()

    def unknown() -> HealthView:
        known.wait(60)
        return WELL

    server = serving("127.0.0.1:0", str, unknown)
    address = server.start()
    host, _, port = address.rpartition(":")
    try:
        with ExitStack() as waiting:
            for _ in range(MOST_CONNECTIONS):
                connection = waiting.enter_context(socket.create_connection((host, int(port))))
                connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
            answers = {probe(address) for _ in range(20)}
    finally:
        known.set()
        server.stop(2.0)
    assert answers == {200}


def test_nothing_leads_to_where_the_host_header_says(serve: Callable[..., Any]) -> None:
    """A slash too many is no redirect."""
    address = serve(WELL)
    for path in ("/livez/", "//evil.example/livez", "/metrics/"):
        status, headers, _ = get(address, path)
        assert status == 404
        assert "location" not in headers


def test_the_page_admits_nothing_but_itself(serve: Callable[..., Any]) -> None:
    """Its policy names the hash of its own script; no value is in the document."""
    status, headers, body = get(serve(WELL), "/")
    assert status == 200
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    (script,) = re.findall("<script>(.*?)</script>", body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "innerHTML" not in script
    assert not re.search(r"""(src|href)=|https?://(?!www\.w3\.org)|style=""", body.decode())


def test_ipv6_can_be_listened_on(serve: Callable[..., Any]) -> None:
    """A pod's address may be one."""
    try:
        address = serve(WELL, "[::1]:0")
    except OSError:
        pytest.skip("no IPv6 here")
    assert get(address, "/livez")[0] == 200


def test_a_taken_address_is_an_error_at_the_start(serve: Callable[..., Any]) -> None:
    """Not a thread that dies in silence."""
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        serve(WELL, f"127.0.0.1:{taken.getsockname()[1]}")


def test_an_answer_does_not_wait_for_the_clients_acknowledgement() -> None:
    """Head and body are two segments, and the second one would: 40 ms for each request."""
    with (
        Listener.at("127.0.0.1:0") as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        client.sendall(b"G")  # the kernel keeps who says nothing for half a minute
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_framework_is_not_imported_before_it_is_needed() -> None:
    """An agent without a listener does not pay for one."""
    slow = "{'asyncio', 'uvicorn', 'opentelemetry.sdk.metrics'}"
    look = f"sys.exit(' '.join(sys.modules.keys() & {slow}))"
    code = f"import sys, k8s_audit_otlp.telemetry.status; {look}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "\n"
