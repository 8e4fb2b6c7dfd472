"""The back end does on the wire what its plan says, and counts truthfully."""

import gzip
import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import urllib3
import zstandard
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse

from tests.kit.backends.backend import Backend
from tests.kit.backends.certificates import self_signed
from tests.kit.backends.steps import (
    Accept,
    Delay,
    HalfClose,
    Hang,
    Limit,
    PartialSuccess,
    Poison,
    Refuse,
    Throttle,
)
from tests.kit.present import present


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)],
)
def test_every_encoding_of_a_request_is_read(
    backend: Backend,
    post: Callable[..., Any],
    export_request: Callable[..., Any],
    encoding: str,
    pack: Callable[..., Any] | type[bytes],
) -> None:
    """Plain, gzip and zstd bodies arrive as the same records."""
    answer = post(backend, pack(export_request("a", "b")), Content_Encoding=encoding)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-protobuf"
    assert ExportLogsServiceResponse.FromString(answer.data) == ExportLogsServiceResponse()
    assert set(backend.received.uids) == {"a", "b"}


def test_a_connection_serves_many_requests(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """HTTP/1.1 keep-alive: as many requests as one likes over one connection."""
    for number in range(20):
        post(backend, export_request(str(number)))
    backend.wait_for(20)
    assert (backend.requests_total, backend.connections_total) == (20, 1)


def test_a_plan_goes_step_by_step_and_stays_at_its_last(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """A throttled request comes with Retry-After; then everything is accepted."""
    backend.plan = [Throttle(429, retry_after=1), Accept()]
    first = post(backend, export_request("a"))
    assert (first.status, first.headers["Retry-After"]) == (429, "1")
    assert Status.FromString(first.data).message
    assert [post(backend, export_request("a")).status for _ in range(3)] == [200, 200, 200]
    assert backend.received.uids == {"a": 3}


def test_a_plan_may_be_a_function_of_the_request(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """Headers, path and body can decide."""
    backend.plan = lambda request: Accept() if "x-key" in request.headers else Refuse(401)
    assert post(backend, export_request("a")).status == 401
    assert post(backend, export_request("a"), X_Key="k").status == 200


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/traces", {}, b"", 404),
        ("/v1/logs", {"Content-Type": "application/json"}, b"{}", 415),
        ("/v1/logs", {"Content-Encoding": "br"}, b"", 415),
        ("/v1/logs", {"Content-Encoding": "gzip"}, b"not gzip", 400),
        ("/v1/logs", {}, b"\xff\xff", 400),
    ],
)
def test_what_is_no_otlp_request_is_refused(
    backend: Backend, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    """Wrong path, type, encoding and content have the status that real servers give."""
    headers = {"Content-Type": "application/x-protobuf", **headers}
    answer = urllib3.request("POST", backend.url + path, body=body, headers=headers, retries=False)
    assert answer.status == status


def test_poison_refuses_only_the_requests_that_hold_it(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """The needle in any record brings the whole request down."""
    backend.plan = [Poison(b"id-evil", status=403)]
    assert post(backend, export_request("good", "evil")).status == 403
    assert post(backend, export_request("good")).status == 200
    assert set(backend.received.uids) == {"good"}


def test_a_limit_counts_decompressed_bytes(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """A request that is small only while packed is still too large."""
    backend.plan = [Limit(max_bytes=2000)]
    large = gzip.compress(export_request(*map(str, range(100))))
    assert len(large) < 2000
    assert post(backend, large, Content_Encoding="gzip").status == 413
    assert post(backend, export_request("a")).status == 200


def test_a_partial_success_stores_the_others(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """The answer says how many were rejected; exactly those are not stored."""
    backend.plan = [PartialSuccess(needle=b"id-b", message="too old"), PartialSuccess(rejected=2)]
    answer = post(backend, export_request("a", "b", "c"))
    partial = ExportLogsServiceResponse.FromString(answer.data).partial_success
    assert (partial.rejected_log_records, partial.error_message) == (1, "too old")
    assert set(backend.received.uids) == {"a", "c"}
    post(backend, export_request("d", "e", "f"))
    assert set(backend.received.uids) == {"a", "c", "f"}


@pytest.mark.parametrize("step", [Hang(), HalfClose(), Delay(60)], ids=str)
def test_closing_ends_what_would_last_for_ever(
    export_request: Callable[..., Any], step: Delay | Hang | HalfClose
) -> None:
    """A back end that hangs is gone at once when it is stopped, and its clients with it."""
    with Backend([step]) as backend, socket.create_connection(("127.0.0.1", backend.port)) as peer:
        body = export_request("a")
        head = "POST /v1/logs HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n"
        peer.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        backend.wait_for_requests(1)
        started = time.monotonic()
        backend.stop()
        assert time.monotonic() - started < 30
        assert peer.recv(100) == b""


def test_a_stopped_back_end_refuses_connections_and_comes_back_on_its_port(
    backend: Backend, export_request: Callable[..., Any], post: Callable[..., Any]
) -> None:
    """Stopping and starting is an outage with the same address after it."""
    post(backend, export_request("a"))
    backend.stop()
    with pytest.raises(urllib3.exceptions.HTTPError):
        post(backend, export_request("b"))
    backend.start()
    assert post(backend, export_request("b")).status == 200
    assert set(backend.received.uids) == {"a", "b"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1, good for both sides."""
    pair = self_signed(tmp_path_factory.mktemp("tls"), "demo")
    return pair.cert, pair.key


def test_tls_with_a_client_certificate(
    certificate: tuple[Path, Path], export_request: Callable[..., Any]
) -> None:
    """With verify_mode CERT_REQUIRED only a client that shows its certificate gets in."""
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cert)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    options: dict[str, Any] = {"ca_certs": str(cert), "retries": False}
    headers = {"Content-Type": "application/x-protobuf"}
    with Backend(tls=context) as backend:
        known = urllib3.PoolManager(cert_file=str(cert), key_file=str(key), **options)
        with known, urllib3.PoolManager(**options) as unknown:
            send = {"method": "POST", "url": backend.logs_url, "body": export_request("a")}
            assert known.request(**send, headers=headers).status == 200
            with pytest.raises(urllib3.exceptions.HTTPError):
                unknown.request(**send, headers=headers)
    assert backend.received.uids == {"a": 1}


def test_as_a_process_it_tells_its_totals_and_takes_a_new_plan(
    tmp_path: Path, export_request: Callable[..., Any]
) -> None:
    """Another process can read the totals and the uids and can change the weather."""
    stats, uids = tmp_path / "stats.json", tmp_path / "uids"
    command = [
        sys.executable,
        "-m",
        "tests.kit.backends.backend",
        "--plan",
        "Throttle(503), Accept()",
    ]
    options = ["--stats-file", str(stats), "--uids-file", str(uids)]
    headers = {"Content-Type": "application/x-protobuf"}
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        url = present(process.stdout).readline().strip()
        with urllib3.PoolManager(retries=False) as pool:
            send = {"url": url + "/v1/logs", "body": export_request("a"), "headers": headers}
            statuses = [pool.request("POST", **send).status for _ in range(3)]
            assert pool.request("PUT", url + "/plan", body=b"Refuse(400)").status == 200
            assert pool.request("PUT", url + "/plan", body=b"Explode()").status == 400
            assert pool.request("POST", **send).status == 400
            totals = pool.request("GET", url + "/stats").json()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert statuses == [503, 200, 200]
    assert (totals["requests"], totals["unique"], totals["duplicates"]) == (4, 1, 1)
    assert json.loads(stats.read_text()) == totals
    assert uids.read_text().splitlines() == ["a\t'id-a'"] * 2
