"""The HTTP transport against a real back end: the table of answers on the wire, and its limits."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import (
    Accept,
    Cut,
    HalfClose,
    Hang,
    Limit,
    PartialSuccess,
    Poison,
    Redirect,
    Refuse,
    Slow,
    Throttle,
    WrongContentType,
)
from tests.unit.transport.http.http_sender import NOW, post, sender

__all__ = ["sender"]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_records_arrive_with_their_resource(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], compression: str
) -> None:
    """One request carries the resource and every record, in each compression."""
    assert post(sender(compression=compression), record, "a", "b") == Delivered()
    first = backend.received.records[0]
    assert [r.uid for r in backend.received.records] == ["a", "b"]
    assert first.resource == {"service.name": "k8s-audit"}
    assert first.scope == "k8s-audit-otlp"
    headers = backend.requests[0].headers
    assert headers["content-type"] == "application/x-protobuf"
    assert headers.get("content-encoding", "none") == compression
    assert headers["user-agent"].startswith("k8s-audit-otlp/")


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (Accept(), Delivered),
        *((Refuse(status, b""), Delivered) for status in (200, 202, 204)),
        (Refuse(260, b"blocked"), Misconfigured),
        *((Redirect("/v1/logs/", status), Misconfigured) for status in (301, 302, 307, 308)),
        (Refuse(400), Rejected),
        (Refuse(422), Rejected),
        *((Refuse(status), Misconfigured) for status in (401, 403, 404, 405, 406, 407, 415)),
        (Refuse(413), TooLarge),
        (Limit(10), TooLarge),
        (Poison(b"auditID"), Rejected),
        *((Throttle(status), Retry) for status in (408, 429, 500, 502, 503, 504, 507)),
        (Cut(), Retry),
        (Cut(half_answer=True), Retry),
        (Cut(reset=True), Retry),
        (HalfClose(), Retry),
        (WrongContentType(), Misconfigured),
        (WrongContentType("text/plain", b"ok"), Misconfigured),
        (WrongContentType("text/html", b"OK"), Misconfigured),
        (WrongContentType("application/json", b"<!doctype html><title>Sign in"), Misconfigured),
        (WrongContentType("application/json", b"{}"), Delivered),
        (WrongContentType("application/grpc", b""), Misconfigured),
        (PartialSuccess(0), Delivered),
    ],
    ids=str,
)
def test_each_answer_means_what_its_row_says(
    sender: Callable[..., Any],
    backend: Backend,
    record: Callable[..., Any],
    step: Any,
    kind: type,
) -> None:
    """The table of answers, met on a socket."""
    backend.plan = [step]
    outcome = post(sender(), record)
    assert type(outcome) is kind
    if kind is Delivered:
        assert outcome == Delivered()
    if isinstance(outcome, Retry):
        assert outcome.reached


def test_a_redirect_is_not_followed(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """A second request to wherever it points would carry the key there."""
    backend.plan = [Redirect(f"{backend.url}/v1/logs?key=sesame"), Accept()]
    outcome = post(sender(), record)
    assert isinstance(outcome, Misconfigured)
    assert f"HTTP 307: to {backend.url} (" in outcome.why
    assert "sesame" not in outcome.why
    assert backend.requests_total == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("17", 17.0),
        (format_datetime(NOW + timedelta(seconds=40), usegmt=True), 40.0),
        (None, None),
        ("later", None),
    ],
)
def test_retry_after_is_honoured_in_both_forms(
    sender: Callable[..., Any],
    backend: Backend,
    record: Callable[..., Any],
    header: str | None,
    seconds: float | None,
) -> None:
    """Seconds and dates, on any code that is retried."""
    backend.plan = [Throttle(429, header), Throttle(503, header)]
    s = sender()
    for outcome in (post(s, record), post(s, record)):
        assert isinstance(outcome, Retry)
        assert outcome.after_s == seconds


def test_further_codes_are_retried_by_configuration(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """`retry_status_codes` names what this back end means by it."""
    backend.plan = [Refuse(404)]
    assert isinstance(post(sender(audit={"retry_status_codes": [404]}), record), Retry)


def test_a_partial_success_says_how_many_were_refused_and_why(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """200 is no delivery of what was refused."""
    backend.plan = [PartialSuccess(2, "too old")]
    assert post(sender(), record, "a", "b", "c") == Delivered(2, "too old")
    assert backend.received.total == 1


def test_a_json_partial_success_is_read_too(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """Some back ends answer JSON to protobuf."""
    body = b'{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}'
    backend.plan = [WrongContentType("application/json; charset=utf-8", body)]
    assert post(sender(), record) == Delivered(3, "no")


@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 503])
def test_an_error_names_host_and_port(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], status: int
) -> None:
    """Whoever runs several back ends knows which one it is, and how it was asked."""
    backend.plan = [Refuse(status)]
    outcome = post(sender(), record)
    assert not isinstance(outcome, Delivered)
    assert outcome.why.startswith(f"127.0.0.1:{backend.port}: HTTP {status}: ")


def test_the_message_of_an_error_reaches_the_reason(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """google.rpc.Status tells people what is wrong."""
    backend.plan = [Refuse(400)]
    assert post(sender(), record) == Rejected(
        f"127.0.0.1:{backend.port}: HTTP 400: the plan refuses with 400"
    )


def test_one_connection_carries_many_requests(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """It is kept alive."""
    s = sender()
    for _ in range(20):
        post(s, record)
    assert backend.connections_total == 1


def test_threads_share_the_kept_connections(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """As many connections as there are threads, and none mixes up answers."""
    s = sender(sending_queue={"num_consumers": 4})
    outcomes: list[Outcome] = []

    def run(n: Any) -> None:
        outcomes.extend(post(s, record, f"{n}-{i}") for i in range(25))

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [Delivered()] * 100
    assert len(backend.received.uids) == 100
    assert backend.connections_total <= 8


def test_a_connection_that_was_closed_while_idle_costs_no_failure(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """A load balancer closes idle connections: the next request goes out on a new one."""
    s = sender()
    assert post(s, record) == Delivered()
    backend.stop()
    backend.start()
    assert post(s, record, "b") == Delivered()
    assert set(backend.received.uids) == {"a", "b"}


@pytest.mark.parametrize(("said", "connections"), [(b"", 2), (b"HTTP/1.1 200 OK\r\n", 1)])
def test_a_back_end_that_closes_without_a_word_is_asked_once_more(
    sender: Any, servers: Any, record: Any, said: bytes, connections: int
) -> None:
    """The race between its timeout and our request is no failure; half an answer is one."""

    def play(connection: Any, number: int) -> bool:
        connection.sendall(said if number == 2 else b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return number != 2

    with servers.RawServer(play) as server:
        s = sender(server.url)
        assert post(s, record) == Delivered()
        assert isinstance(post(s, record), Retry if said else Delivered)
        assert server.connections == connections
        s.close()


def test_nothing_listens_is_not_the_records_fault(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """`reached` is false, so that an outage is never searched for poison."""
    backend.stop()
    assert post(sender(), record) == Retry(
        f"127.0.0.1:{backend.port}: no connection: Connection refused", reached=False
    )


def test_a_name_that_does_not_resolve_is_waited_for(
    sender: Callable[..., Any], record: Callable[..., Any]
) -> None:
    """DNS trouble passes."""
    outcome = post(sender("http://no.such.host.invalid:4318/v1/logs"), record)
    assert outcome == Retry(
        "no.such.host.invalid:4318: the host name cannot be resolved", reached=False
    )


@pytest.mark.parametrize("step", [Hang(), Slow(interval=5.0)], ids=str)
def test_one_deadline_covers_the_whole_request(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], step: Slow | Hang
) -> None:
    """Neither silence nor a byte now and then holds a request longer than its timeout."""
    kept = sender(timeout="0.5s")
    while not isinstance(post(kept, record), Delivered):
        pass  # a busy machine may take longer to connect; the connection is kept
    backend.plan = [step]
    started = time.monotonic()
    outcome = post(kept, record)
    assert outcome == Retry(f"127.0.0.1:{backend.port}: no answer within 0.5 s")
    assert time.monotonic() - started < 60  # the bytes alone take three minutes


@pytest.mark.parametrize(("status", "expected"), [("413 Too Large", TooLarge), ("200 OK", Retry)])
def test_a_refusal_before_the_request_was_read_counts(
    sender: Callable[..., Any], record: Callable[..., Any], status: str, expected: type[Outcome]
) -> None:
    """A proxy says 413 and hangs up while the body is still coming; 200 would be a lie."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    s = sender(f"http://127.0.0.1:{listener.getsockname()[1]}/", compression="none")
    assert isinstance(s.send(s.prepare("k8s_audit", [record("a", size=8_000_000)])), expected)
    thread.join()
    listener.close()
