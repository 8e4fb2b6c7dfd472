"""A back end that means harm: it neither holds a request nor makes the agent grow."""

import socket
import subprocess
import sys
import textwrap
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from k8s_audit_otlp.model import Delivered, Misconfigured, Retry
from tests.kit.backends.steps import EndlessBody, GzipBomb, HugeHeaders, Slow
from tests.kit.senders import http_sender

MIB = 1 << 20
MOST_BYTES = 14 * MIB  # the bound of an answer, its copy, and room for packets


@pytest.fixture
def attack(resource_scopes: Any, record: Any) -> Any:
    """Send one record to *url*; return outcome, seconds and the peak of memory."""

    def run(url: Any, timeout_s: Any = 3.0) -> Any:
        sender = http_sender(url, resource_scopes, timeout=f"{timeout_s}s")
        request = sender.prepare("k8s_audit", [record("a")])
        tracemalloc.start()
        started = time.monotonic()
        try:
            outcome = sender.send(request)
            return outcome, time.monotonic() - started, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            sender.close()

    return run


@pytest.mark.parametrize("status", [200, 400, 503])
def test_an_endless_body_is_left_at_its_bound(backend: Any, attack: Any, status: Any) -> None:
    """The answer's status counts; a 200 without end is not taken for delivered."""
    backend.plan = [EndlessBody(status)]
    outcome, seconds, peak = attack(backend.logs_url, 100.0)
    assert not isinstance(outcome, Delivered)
    assert outcome.why.startswith(f"127.0.0.1:{backend.port}: HTTP {status}")
    assert seconds < 80
    assert peak < MOST_BYTES + 4 * MIB


@pytest.mark.parametrize("status", [200, 500])
def test_a_gzip_bomb_is_not_unpacked(backend: Any, attack: Any, status: Any) -> None:
    """What nobody asked to be compressed is unpacked up to 64 KiB."""
    backend.plan = [GzipBomb(1024 * MIB, status)]
    outcome, _, peak = attack(backend.logs_url, 100.0)
    assert isinstance(outcome, Misconfigured if status < 500 else Retry)
    assert peak < MOST_BYTES + 16 * MIB  # the attacker in the same process holds that much


def test_64_mib_of_headers_are_given_up(backend: Any, attack: Any) -> None:
    """A head has a bound of 64 KiB."""
    backend.plan = [HugeHeaders(64 * MIB)]
    outcome, _, peak = attack(backend.logs_url, 100.0)
    assert isinstance(outcome, Retry)
    assert outcome.why.endswith("the connection broke: the head of the answer is over 65536 B")
    assert peak < MIB


def test_a_byte_now_and_then_does_not_hold_a_request(backend: Any, attack: Any) -> None:
    """Slow loris: the deadline is the whole request's."""
    backend.plan = [Slow(interval=5.0)]
    outcome, seconds, _ = attack(backend.logs_url, 1.0)
    assert isinstance(outcome, Retry)
    assert seconds < 60  # the bytes alone take three minutes


def test_a_chunked_trickle_does_not_hold_a_request_either(servers: Any, attack: Any) -> None:
    """The head is complete, the body comes byte by byte."""

    def play(connection: Any, _number: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        servers.drip(connection, b"1\r\nx\r\n" * 200, 0.1)

    with servers.RawServer(play) as server:
        outcome, seconds, _ = attack(server.url, 0.6)
    assert isinstance(outcome, Retry)
    assert seconds < 60  # all of it takes two minutes


def test_a_server_that_does_not_read_does_not_hold_a_request(
    resource_scopes: Any, record: Any
) -> None:
    """A connection that nobody accepts takes in some bytes and then none."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        sender = http_sender(url, resource_scopes, compression="none", timeout="0.5s")
        started = time.monotonic()
        outcome = sender.send(sender.prepare("k8s_audit", [record("a", size=16 * MIB)]))
        assert isinstance(outcome, Retry)
        assert outcome.why.endswith(": no answer within 0.5 s")
        assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0" * 1000,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
    ],
    ids=repr,
)
def test_no_broken_answer_is_taken_for_delivered(servers: Any, attack: Any, answer: Any) -> None:
    """Whatever is wrong with it, the data is kept."""

    def play(connection: Any, _number: Any) -> None:
        connection.sendall(answer)

    with servers.RawServer(play) as server:
        outcome, _, _ = attack(server.url)
    assert isinstance(outcome, Retry | Misconfigured)


def test_an_outcome_holds_no_text_without_bound(servers: Any, attack: Any) -> None:
    """What a server writes reaches our log as one short line."""

    def play(connection: Any, _number: Any) -> None:
        text = b"x\r\n\x1b[31m" * 100_000
        head = b"HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % len(text) + text)

    with servers.RawServer(play) as server:
        outcome, _, _ = attack(server.url)
    assert len(outcome.why) < 400
    assert outcome.why.isprintable()


def test_thirty_attacks_leave_no_memory_behind(backend: Any) -> None:
    """The process stays as large as it was after the first few."""
    script = textwrap.dedent(
        """
        import resource, sys
        from k8s_audit_otlp.config.exporters import OtlpHttp
        from k8s_audit_otlp.transport.http import HttpSender
        block = OtlpHttp.model_validate({"logs_endpoint": sys.argv[1], "timeout": "10s"})
        sender = HttpSender(block, {"r": (b"", b"")}, env={})
        request = sender.prepare("r", [b"\\x12\\x00"])
        def peak():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(6):
            sender.send(request)
        first = peak()
        for _ in range(24):
            sender.send(request)
        print(first, peak())
        """
    )
    backend.plan = lambda request: (
        EndlessBody(),
        HugeHeaders(MIB),
        GzipBomb(64 * MIB),
    )[request.number % 3]
    done = subprocess.run(
        [sys.executable, "-c", script, backend.logs_url],
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    first, last = map(int, done.stdout.split())
    assert last - first < 8 * 1024  # KiB
    assert backend.requests_total == 30


OTLP = b"application/x-protobuf"
_RESOURCE = Resource(attributes=[KeyValue(key="service.name")])
ECHO = ExportLogsServiceRequest(
    resource_logs=[ResourceLogs(resource=_RESOURCE)]
).SerializeToString()
NO_ACKNOWLEDGEMENT = [
    (b"text/html", b"<html>log in"),
    (b"Text/HTML; charset=utf-8", b"<html>"),
    (b"application/xhtml+xml", b"<html/>"),
    (b"text/plain", b"Please log in"),
    (b"text/xml", b"<error/>"),
    (b"application/octet-stream", b"\x00"),
    (b"", b"<!DOCTYPE html><html>"),
    (OTLP, b"\n <!doctype html>"),
    (b"application/json", b'{"error": "login required"}'),
    (b"application/json", b'{"errors": [{"message": "no session"}]}'),
    (b"", b'{"error": {"code": 16}}'),
    (b"application/json", b'{"partialSuccess": {}'),
    (b"application/json", b"[]"),
    (b"application/json", b"null"),
    (b"application/json", b'"ok"'),
    (b"application/json", b'{"login": "https://sso.example.com"}'),
    (b"application/json", b'{"partialSuccess": "none"}'),
    (b"", b'[{"partialSuccess": {}}]'),
    (b"", b"OK"),
    (OTLP, b"\x0a\x7fcut off"),
    (OTLP, b'{"code": 7, "message": "no"}'),
    (OTLP, Status(code=16, message="log in").SerializeToString()),
    (OTLP, ECHO),
    (b"", ECHO),
]
ACKNOWLEDGEMENTS = [
    (b"text/html", b""),
    (b"text/plain", b""),
    (OTLP, b""),
    (b"application/json", b"{}"),
    (b"application/json", b'{"partialSuccess": {}}'),
    (b"application/json", b'{"partialSuccess": null, "error": null}'),
    (b"application/json; charset=utf-8", b'\n{"partial_success": {"errorMessage": ""}}\n'),
    (OTLP, b"\r\n"),
    (OTLP, b"{}"),
    (b"Application/X-Protobuf; charset=utf-8", b"\x0a\x00"),
    (OTLP, b"\x0a\x03\x1a\x01x"),  # a field that a later version may have
    (b"", b"\x0a\x00"),
]


@pytest.fixture
def attack_answered(servers: Any, attack: Any) -> Callable[[int, bytes, bytes], object]:
    """Give what a request comes to that is answered with a status, a type and a body."""

    def outcome_of(status: int, content_type: bytes, body: bytes) -> object:
        def respond(connection: Any, _number: Any) -> None:
            connection.sendall(_answer_of(status, content_type, body))

        with servers.RawServer(respond) as server:
            outcome, _, _ = attack(server.url)
        return outcome

    return outcome_of


def _answer_of(status: int, content_type: bytes, body: bytes) -> bytes:
    named = b"Content-Type: " + content_type + b"\r\n" if content_type else b""
    return b"HTTP/1.1 %d x\r\n%bContent-Length: %d\r\n\r\n%b" % (status, named, len(body), body)


@pytest.mark.parametrize("status", [200, 202])
@pytest.mark.parametrize(("content_type", "body"), NO_ACKNOWLEDGEMENT)
def test_what_stands_before_a_back_end_acknowledges_nothing(
    attack_answered: Callable[..., object], status: int, content_type: bytes, body: bytes
) -> None:
    """Login pages and proxies answer 200, too; the data is kept, and the switch is named."""
    outcome = attack_answered(status, content_type, body)
    assert isinstance(outcome, Misconfigured)
    assert "accept_any_answer" not in outcome.why, "whoever writes it at night loses the log"


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(("content_type", "body"), ACKNOWLEDGEMENTS)
def test_an_empty_body_or_one_of_otlp_acknowledges(
    attack_answered: Callable[..., object], status: int, content_type: bytes, body: bytes
) -> None:
    """Fluent Bit answers 201, Loki 204; some back ends answer JSON."""
    outcome = attack_answered(status, content_type, body)
    assert outcome == Delivered()
