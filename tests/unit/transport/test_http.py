"""The HTTP transport against a real back end: the table of answers on the wire, and its limits."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge
from k8s_audit_otlp.transport.credentials import BearerToken
from k8s_audit_otlp.transport.http import HttpOptions, HttpSender
from tests.kit.backend import Backend
from tests.kit.steps import (
    Accept,
    Cut,
    HalfClose,
    Hang,
    Limit,
    PartialSuccess,
    Poison,
    ReceivedRequest,
    Redirect,
    Refuse,
    Slow,
    Throttle,
    WrongContentType,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def sender(
    backend: Backend, resource_scopes: dict[str, tuple[bytes, bytes]]
) -> Iterator[Callable[..., Any]]:
    """Make senders to the back end; they are closed at the end."""
    made = []

    def make(url: Any = None, **options: Any) -> Any:
        options.setdefault("timeout_s", 5.0)
        chosen = HttpOptions(lambda: url or backend.logs_url, **options)
        made.append(HttpSender(chosen, resource_scopes, now=lambda: NOW))
        return made[-1]

    yield make
    for one in made:
        one.close()


def post(sender: HttpSender, record: Callable[..., Any], *uids: Any) -> Outcome:
    return sender.send(sender.prepare("k8s_audit", [record(uid) for uid in uids or ("a",)]))


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_records_arrive_with_their_resource(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], compression: str
) -> None:
    """One request carries the envelope and every record, in each compression."""
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
    if kind is Retry:
        assert outcome.reached


def test_a_redirect_is_not_followed(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """A second request to wherever it points would carry the key there."""
    backend.plan = [Redirect(f"{backend.url}/v1/logs"), Accept()]
    assert isinstance(post(sender(), record), Misconfigured)
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
    assert [post(s, record).after_s, post(s, record).after_s] == [seconds, seconds]


def test_further_codes_are_retried_by_configuration(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """`retry_status_codes` names what this back end means by it."""
    backend.plan = [Refuse(404)]
    assert isinstance(post(sender(retry_also=frozenset({404})), record), Retry)


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


def test_the_message_of_an_error_reaches_the_reason(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """google.rpc.Status tells people what is wrong."""
    backend.plan = [Refuse(400)]
    assert post(sender(), record) == Rejected("HTTP 400: the plan refuses with 400")


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
    s = sender(connections=4)
    outcomes = []

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


def test_a_back_end_that_closes_on_the_next_request_is_asked_once_more(
    sender: Any, servers: Any, record: Any
) -> None:
    """The race between its timeout and our request is no failure either."""

    def play(connection: Any, number: int) -> bool:
        if number == 2:
            return False  # read the request and hang up without a word
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    with servers.RawServer(play) as server:
        s = sender(server.url)
        assert [post(s, record) for _ in range(2)] == [Delivered()] * 2
        assert server.connections == 2
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


@pytest.mark.parametrize("step", [Hang(), Slow(interval=0.2)], ids=str)
def test_one_deadline_covers_the_whole_request(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], step: Slow | Hang
) -> None:
    """Neither silence nor a byte now and then holds a request longer than its timeout."""
    backend.plan = [step]
    started = time.monotonic()
    outcome = post(sender(timeout_s=0.5), record)
    assert outcome == Retry(f"127.0.0.1:{backend.port}: no answer within 0.5 s")
    assert time.monotonic() - started < 10


def test_an_answer_before_the_request_was_read_counts(
    sender: Callable[..., Any], record: Callable[..., Any]
) -> None:
    """A proxy says 413 and hangs up while the body is still coming."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.1)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    s = sender(f"http://127.0.0.1:{listener.getsockname()[1]}/", compression="none")
    assert isinstance(s.send(s.prepare("k8s_audit", [record("a", size=8_000_000)])), TooLarge)
    thread.join()
    listener.close()


# -- headers ----------------------------------------------------------------------------------


def test_headers_are_read_anew_for_every_request(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], tmp_path: Path
) -> None:
    """A token that was renewed on disk is used without a restart."""
    token = tmp_path / "token"
    token.write_text("one")
    s = sender(headers={"X-Token": token.read_text})
    post(s, record)
    token.write_text("two")
    post(s, record)
    assert [r.headers["x-token"] for r in backend.requests] == ["one", "two"]


def test_a_configured_header_replaces_ours_whatever_its_case(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """There is never a second Content-Type or User-Agent."""
    s = sender(
        headers={"user-agent": lambda: "mine", "CONTENT-TYPE": lambda: "application/x-protobuf"}
    )
    assert post(s, record) == Delivered()
    assert backend.requests[0].headers["user-agent"] == "mine"


def test_a_header_with_a_line_break_is_not_sent(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """A file can smuggle in no header."""
    outcome = post(sender(headers={"X-Token": lambda: "a\r\nX-Admin: 1"}), record)
    assert outcome == Misconfigured("the header X-Token holds a line break")
    assert backend.requests_total == 0


def test_a_missing_token_file_is_named_and_waited_for(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """The path is said, the data is kept."""
    outcome = post(sender(headers={"X-Token": (tmp_path / "gone").read_text}), record)
    assert isinstance(outcome, Misconfigured)
    assert str(tmp_path / "gone") in outcome.why


def test_user_and_password_of_the_url_become_a_header(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """As in every other client."""
    url = backend.logs_url.replace("http://", "http://me:p%40ss@")
    assert post(sender(url), record) == Delivered()
    assert backend.requests[0].headers["authorization"] == "Basic bWU6cEBzcw=="


def test_nothing_secret_reaches_an_outcome(
    sender: Any, backend: Any, record: Any, servers: Any
) -> None:
    """URL, headers, tokens and proxy passwords: whatever goes wrong, none is told."""
    secret = "s3cr3t-value"  # noqa: S105 - it is looked for
    base = backend.url.replace("http://", f"http://{secret}:{secret}@")
    url = f"{base}/v1/logs?token={secret}"
    options = {
        "headers": {"X-Key": lambda: secret},
        "credentials": BearerToken(lambda: secret),
        "timeout_s": 0.5,
    }
    told = []
    steps: list[Any] = [Refuse(s) for s in (260, 307, 400, 401, 404, 413, 429, 500)]
    steps += [Cut(), Hang(), WrongContentType()]
    s = sender(url, **options)
    for step in steps:
        backend.plan = [step]
        told.append(repr(post(s, record)))
    with servers.Proxy(admits="a:b") as proxy:
        dead = proxy.url.replace("http://", f"http://{secret}:{secret}@")
        told.append(repr(post(sender(url, proxy_url=lambda: dead, **options), record)))
    told += [
        repr(post(sender(bad, **options), record))
        for bad in (f"ftp://{secret}", f"http://siem.invalid/{secret}", f"http://h:{secret}/")
    ]
    broken = {"headers": {"X-Key": lambda: f"{secret}\n"}}
    told.append(repr(post(sender(url, **broken), record)))
    told += [repr(s), repr(s._options), repr(s._connections), repr(s._options.credentials)]
    leaks = [t for t in told if secret in t]
    assert leaks == []
    assert backend.requests[0].headers["x-key"] == secret


def test_what_a_back_end_quotes_of_the_request_is_masked(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """A key that it calls invalid, in whatever answer."""

    def quote(request: ReceivedRequest) -> Any:
        sent = f"{request.headers['x-api-key']} {request.headers['authorization']}"
        return Refuse(400, f"invalid {sent}".encode())

    backend.plan = quote
    headers = {"X-Api-Key": lambda: "KEYecho", "Authorization": lambda: "Odd BEARecho"}
    outcome = post(sender(headers=headers), record)
    assert outcome == Rejected("HTTP 400: invalid REDACTED REDACTED")


class _Quoting(BaseHTTPRequestHandler):
    """Answers that there is nothing at the path, and says which."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = f"no route {self.path}".encode()
        self.send_response(404)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


def test_a_key_in_the_path_is_masked_where_it_is_quoted(sender: Any, record: Any) -> None:
    """As chats and some collectors have it; the path's other steps stay."""
    key = "Zq7hunter2hunter2"
    with HTTPServer(("127.0.0.1", 0), _Quoting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/services/logs/{key}"
        outcome = str(post(sender(url), record))
        server.shutdown()
    assert key not in outcome
    assert "/services/logs/REDACTED" in outcome


# -- proxies ----------------------------------------------------------------------------------


def test_a_proxy_url_is_used_with_its_password(
    sender: Any, backend: Any, record: Any, servers: Any
) -> None:
    """Plain HTTP goes to the proxy whole."""
    with servers.Proxy(admits="me:pw") as proxy:
        url = f"http://backend.test:{backend.port}/v1/logs"
        good = proxy.url.replace("http://", "http://me:pw@")
        assert post(sender(url, proxy_url=lambda: good), record) == Delivered()
        assert post(sender(url, proxy_url=lambda: proxy.url), record) == Misconfigured(
            f"backend.test:{backend.port} through the proxy 127.0.0.1:{proxy.port}: "
            "HTTP 407 (the proxy wants credentials)"
        )
        assert proxy.seen[0] == ("POST", url)


def test_the_proxy_variables_apply_without_a_proxy_url(
    sender: Any, backend: Any, record: Any, servers: Any
) -> None:
    """HTTP_PROXY as in the environment; NO_PROXY takes names out."""
    with servers.Proxy() as proxy:
        url = f"http://backend.test:{backend.port}/v1/logs"
        env = {"HTTP_PROXY": proxy.url}
        assert post(sender(url, env=env), record) == Delivered()
        env["NO_PROXY"] = ".test"
        why = post(sender(url, env=env), record).why
        assert why == f"backend.test:{backend.port}: the host name cannot be resolved"
        assert len(proxy.seen) == 1
