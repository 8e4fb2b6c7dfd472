"""What a request over HTTP says of itself, what is no answer to it, and proxies."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from k8s_audit_otlp.model import Delivered, Misconfigured, Rejected, Retry
from k8s_audit_otlp.transport.credentials import FreshCredentials
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import (
    Cut,
    Hang,
    ReceivedRequest,
    Refuse,
    WrongContentType,
)
from tests.kit.senders import read_from
from tests.unit.transport.http.http_sender import post, sender

__all__ = ["sender"]


def test_headers_are_read_anew_for_every_request(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], tmp_path: Path
) -> None:
    """A token that was renewed on disk is used without a restart."""
    token = tmp_path / "token"
    token.write_text("one")
    s = sender(headers={"X-Token": read_from(token)})
    post(s, record)
    token.write_text("two")
    post(s, record)
    assert [r.headers["x-token"] for r in backend.requests] == ["one", "two"]


def test_a_configured_header_replaces_ours_whatever_its_case(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any]
) -> None:
    """There is never a second Content-Type or User-Agent."""
    s = sender(headers={"user-agent": "mine", "CONTENT-TYPE": "application/x-protobuf"})
    assert post(s, record) == Delivered()
    assert backend.requests[0].headers["user-agent"] == "mine"


def test_a_header_with_a_line_break_is_not_sent(
    sender: Callable[..., Any], backend: Backend, record: Callable[..., Any], tmp_path: Path
) -> None:
    """A file can smuggle in no header, whatever it held when the configuration was read."""
    token = tmp_path / "token"
    s = sender(headers={"X-Token": read_from(token)})
    token.write_bytes(b"a\r\nX-Admin: 1")
    outcome = post(s, record)
    assert outcome == Misconfigured("the header X-Token holds a line break")
    assert backend.requests_total == 0


def test_a_missing_token_file_is_named_and_waited_for(
    sender: Callable[..., Any], record: Callable[..., Any], tmp_path: Path
) -> None:
    """The path is said, the data is kept."""
    outcome = post(sender(headers={"X-Token": read_from(tmp_path / "gone")}), record)
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
    sender: Any, backend: Any, record: Any, servers: Any, tmp_path: Path
) -> None:
    """URL, headers, tokens and proxy passwords: whatever goes wrong, none is told."""
    secret = "s3cr3t-value"  # noqa: S105 - it is looked for
    base = backend.url.replace("http://", f"http://{secret}:{secret}@")
    url = f"{base}/v1/logs?token={secret}"
    options = {
        "headers": {"X-Key": secret},
        "credentials": FreshCredentials(lambda: {"Authorization": f"Bearer {secret}"}),
        "timeout": "0.5s",
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
        told.append(repr(post(sender(url, proxy_url=dead, **options), record)))
    for bad in (f"ftp://{secret}", f"http://siem.invalid/{secret}", f"http://h:{secret}/"):
        file = tmp_path / f"{len(told)}"
        changed = sender(read_from(file), **options)
        file.write_text(bad)
        told.append(repr(post(changed, record)))
    broken = sender(url, headers={"X-Key": read_from(tmp_path / "key")})
    (tmp_path / "key").write_text(f"{secret}\n{secret}")
    told.append(repr(post(broken, record)))
    told += [repr(s), repr(s._exporter), repr(s._connections), repr(s._credentials)]
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
    headers = {"X-Api-Key": "KEYecho", "Authorization": "Odd BEARecho"}
    outcome = post(sender(headers=headers), record)
    assert outcome == Rejected(f"127.0.0.1:{backend.port}: HTTP 400: invalid REDACTED REDACTED")


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
        assert post(sender(url, proxy_url=good), record) == Delivered()
        assert post(sender(url, proxy_url=proxy.url), record) == Misconfigured(
            f"backend.test:{backend.port} through the proxy 127.0.0.1:{proxy.port}: "
            "HTTP 407 (the proxy wants credentials)"
        )
        assert proxy.seen[0] == ("POST", url)


def test_a_proxy_that_is_none_is_named(sender: Callable[..., Any], record: Any) -> None:
    """By the variable, which stands in no configuration, and without what it holds."""
    url, env = "http://backend.test:4318/v1/logs", {"HTTP_PROXY": "socks5://sesame:1"}
    assert post(sender(url, env=env), record) == Misconfigured(
        "the proxy of HTTP_PROXY or HTTPS_PROXY: the URL is not http://HOST or https://HOST"
    )


def test_the_proxy_variables_apply_without_a_proxy_url(
    sender: Any, backend: Any, record: Any, servers: Any
) -> None:
    """HTTP_PROXY as in the environment; NO_PROXY takes names out."""
    with servers.Proxy() as proxy:
        url = f"http://backend.test:{backend.port}/v1/logs"
        env = {"HTTP_PROXY": proxy.url}
        assert post(sender(url, env=env), record) == Delivered()
        env["NO_PROXY"] = ".test"
        outcome = post(sender(url, env=env), record)
        assert isinstance(outcome, Retry)
        assert outcome.why == f"backend.test:{backend.port}: the host name cannot be resolved"
        assert len(proxy.seen) == 1


def test_what_came_without_being_asked_for_is_no_acknowledgement(
    sender: Any, servers: Any, record: Any
) -> None:
    """Some servers say something on an idle connection before they close it."""
    answered, said = threading.Event(), threading.Event()

    def play(connection: Any, _number: int) -> bool:
        if said.is_set():
            connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            return False
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        answered.wait(60)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        said.set()
        return True

    with servers.RawServer(play) as server:
        s = sender(server.url)
        assert post(s, record) == Delivered()
        answered.set()
        assert said.wait(60)
        assert isinstance(post(s, record, "b"), Retry)
        s.close()
