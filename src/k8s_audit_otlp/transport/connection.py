"""Keeps connections to one host, through TLS and a proxy, and exchanges requests over them.

One request has one deadline, from the first packet to the last byte of the answer: a server that
drips a byte a second cannot hold it. Redirects are not followed and nothing is decoded.
"""

import contextlib
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from http.client import HTTPConnection, HTTPResponse
from threading import Lock
from typing import Any

from k8s_audit_otlp.model import Failure, Retry
from k8s_audit_otlp.transport.http_answer import Answer, NoAnswerError, read_answer
from k8s_audit_otlp.transport.sender import NotSentError
from k8s_audit_otlp.transport.tls import not_accepted, tls_reason
from k8s_audit_otlp.transport.url import UnusableError, Url

CONNECT_S = 10.0
IDLE_S = 60.0  # a connection kept longer is not tried: load balancers forget it in silence
_RECEIVE_BYTES = 64 * 1024

MISCONFIGURED_PROXY = {
    401: "it wants credentials: write them into proxy_url",
    403: "it does not allow this host and port",
    407: "it wants credentials: write them into proxy_url",
}
_PLAIN = frozenset(
    {"wrong version number", "record layer failure", "http request", "unexpected eof while reading"}
)
UNREACHED_PROXY = dict.fromkeys((502, 503, 504), "it does not reach the back end")


class ConnectError(NotSentError):
    """There is no connection. `misconfigured`: waiting will not mend it."""

    def __init__(self, why: str, *, misconfigured: bool = False, step: str = "proxy") -> None:
        super().__init__(why)
        self.misconfigured = misconfigured
        self.step = step  # that failed: dns, tcp, proxy, tls

    @property
    def outcome(self) -> Failure:
        return super().outcome if self.misconfigured else Retry(str(self), reached=False)


@dataclass(eq=False, repr=False)
class Connections:
    """Kept connections to one host. Threads share it; each request has one for itself."""

    url: Url
    _: KW_ONLY
    context: Callable[[], ssl.SSLContext]
    server_name: str = ""
    proxy: Url | None = None
    most_idle: int = 4
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._server_name = self.server_name or self.url.host
        self._lock = Lock()
        self._idle: deque[tuple[Any, float]] = deque()  # the latest used is last
        self._tls: ssl.SSLContext | None = None
        self._closed = False
        self.head_extra: dict[str, str] = {}  # for the proxy that reads the head of a request
        self._over_http_proxy = self.proxy is not None and self.url.scheme == "http"
        if self._over_http_proxy and self.proxy and self.proxy.authorization:
            self.head_extra["Proxy-Authorization"] = self.proxy.authorization

    @property
    def where(self) -> str:
        """The peer, for people: host and port, and those of a proxy."""
        peers = [url.host_and_port for url in (self.url, self.proxy) if url]
        return " through the proxy ".join(peers)

    def target(self, target: str) -> str:
        """Return what a request calls *target*, a path with its query: proxies want the host."""
        return f"http://{self.url.authority}{target}" if self._over_http_proxy else target

    def connect(self, timeout_s: float) -> Any:
        """Return a new connection that is the caller's. Raise ConnectError where there is none."""
        return self._connect(self.monotonic() + timeout_s)

    def post(self, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
        """Send *body* and return the answer.

        Raise ConnectError where nothing was sent, UnusableError where a header cannot be;
        NoAnswerError, TimeoutError or OSError where it is not known what became of it.
        """
        data = self._head(headers, len(body)) + body
        due = self.monotonic() + timeout_s
        if (sock := self._take_idle()) is not None:
            try:
                return self._exchange(sock, data, due)
            except NoAnswerError as error:
                if error.began:
                    raise
            except ConnectionError:
                pass  # it was closed while it was idle: once more on a new one
        return self._exchange(self._connect(due), data, due)

    def close(self) -> None:
        with self._lock:
            idle, self._idle, self._closed = self._idle, deque(), True
        for sock, _ in idle:
            sock.close()

    # -- one exchange --------------------------------------------------------------------------

    def _head(self, headers: Mapping[str, str], length: int) -> bytes:
        lines = [f"POST {self.target(self.url.target)} HTTP/1.1", f"Host: {self.url.authority}"]
        for name, value in {**headers, **self.head_extra}.items():
            if "\r" in value or "\n" in value:
                raise UnusableError(f"the header {name} holds a line break")
            lines.append(f"{name}: {value}")
        try:
            return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode("latin-1")
        except UnicodeEncodeError:
            raise UnusableError("a header holds a sign that HTTP cannot carry") from None

    def _exchange(self, sock: Any, data: bytes, due: float) -> Answer:
        kept, broken = False, None
        try:
            sock.settimeout(self._left(due))
            try:
                sock.sendall(data)
            except ConnectionError as error:
                broken = error
            try:
                answer = read_answer(lambda: self._receive(sock, due))
            except NoAnswerError as error:
                # What a server says before it hangs up on a request counts; silence does not.
                raise broken or error from None
            if broken and 200 <= answer.status < 300:
                raise broken  # nobody can have taken what was not sent
            kept = answer.keeps and broken is None
            return answer
        finally:
            if kept:
                self._give_back(sock)
            else:
                sock.close()

    def _receive(self, sock: Any, due: float) -> bytes:
        sock.settimeout(self._left(due))
        received: bytes = sock.recv(_RECEIVE_BYTES)
        return received

    def _left(self, due: float) -> float:
        left = due - self.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    # -- connections ---------------------------------------------------------------------------

    def _take_idle(self) -> Any:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                sock, since = self._idle.pop()
            if self.monotonic() - since < IDLE_S and not _readable(sock):
                return sock
            sock.close()

    def _give_back(self, sock: Any) -> None:
        with self._lock:
            if not self._closed and len(self._idle) < self.most_idle:
                self._idle.append((sock, self.monotonic()))
                return
        sock.close()

    def _connect(self, due: float) -> Any:
        address = (self.proxy or self.url).address
        sock: Any = None
        step = "tcp"
        try:
            sock = socket.create_connection(address, min(CONNECT_S, self._left(due)))
            step = "proxy"
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(min(CONNECT_S, self._left(due)))
            if self.proxy and self.proxy.scheme == "https":
                sock = self._context_now().wrap_socket(sock, server_hostname=self.proxy.host)
            if self.url.scheme == "https":
                if self.proxy:
                    tunnel(sock, self.url.host_and_port, self.proxy, lambda: self._left(due))
                step = "tls"
                sock = self._secure(sock)
        except BaseException as error:
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.close()
            if isinstance(error, OSError):
                more = self.url.scheme == "https" or self.proxy is not None
                why = reason_of(error, connected=more and sock is not None)
                untrusted = isinstance(error, ssl.SSLCertVerificationError)
                step = "dns" if isinstance(error, socket.gaierror) else step
                raise ConnectError(why, misconfigured=untrusted, step=step) from None
            raise
        return sock

    def _secure(self, sock: Any) -> Any:
        context = self._context_now()
        if isinstance(sock, ssl.SSLSocket):  # TLS to the proxy, and in it TLS to the back end
            from urllib3.util.ssltransport import SSLTransport  # noqa: PLC0415 - rare

            return SSLTransport(sock, context, server_hostname=self._server_name)
        return context.wrap_socket(sock, server_hostname=self._server_name)

    def _context_now(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self.context()
        return self._tls


def ask(
    connections: Connections,
    method: str,
    target: str,
    headers: Mapping[str, str],
    timeout_s: float,
    body: bytes | None = None,
) -> HTTPResponse:
    """Ask what is asked now and then, over a connection of its own; the caller closes the answer.

    It may be of any length, and is read as it comes. *timeout_s*: the longest wait for more of it.

    Raise ConnectError where nothing was sent, ValueError where a header or the target cannot be;
    TimeoutError, OSError or HTTPException where there is no answer.
    """
    sock = connections.connect(min(CONNECT_S, timeout_s))
    try:
        sock.settimeout(timeout_s)
        http = HTTPConnection(connections.url.host)
        http.sock = sock
        own = {"Host": connections.url.authority, "Connection": "close", **headers}
        http.request(method, connections.target(target), body, own | connections.head_extra)
        return http.getresponse()
    finally:
        sock.close()  # the answer keeps it open until it is closed itself


def tunnel(sock: Any, where: str, proxy: Url, wait: Callable[[], object] = lambda: None) -> None:
    """Ask *proxy*, which *sock* leads to, for a way to *where*. *wait* raises when time is over.

    Raise ConnectError where it gives none.
    """
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
    head = bytearray()
    # Byte by byte: what follows the head belongs to TLS.
    while not head.endswith(b"\r\n\r\n") and len(head) < _RECEIVE_BYTES:
        wait()
        if not (byte := sock.recv(1)):
            raise ConnectError("the proxy hung up")
        head += byte
    try:
        status = int(head[9:12])
    except ValueError:
        raise ConnectError("the proxy does not speak HTTP") from None
    if not 200 <= status < 300:
        reason = MISCONFIGURED_PROXY.get(status) or UNREACHED_PROXY.get(status)
        why = f"the proxy answers HTTP {status}" + (f" ({reason})" if reason else "")
        raise ConnectError(why, misconfigured=status in MISCONFIGURED_PROXY)


def _readable(sock: Any) -> bool:
    """Say whether something waits on an idle connection: its end, or what nobody asked for."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def reason_of(error: OSError, *, connected: bool) -> str:
    """Say what went wrong. *connected*: it was not the connection, but TLS or a proxy on it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return not_accepted(error.verify_message)
    if isinstance(error, ssl.SSLError):
        reason = tls_reason(error)
        plain = "; does the port speak plain http://?" if reason in _PLAIN else ""
        return f"TLS failed: {reason}{plain}"
    if isinstance(error, socket.gaierror):
        return "the host name cannot be resolved"
    plain = "; does the port speak plain http://, or the proxy no HTTP?" if connected else ""
    if isinstance(error, TimeoutError):
        return f"no {'TLS ' if connected else ''}connection in time{plain}"
    return f"no connection: {error.strerror or type(error).__name__}{plain}"
