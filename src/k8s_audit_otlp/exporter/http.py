"""Records in, one POST to an OTLP/HTTP back end, its answer as an Outcome out.

The connection is kept alive. A redirect is not followed, an answer is read up to a bound and within
the request's deadline, and no message that leaves here contains a URL's path, query or a header.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import urllib3
import urllib3.exceptions as problems
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from k8s_audit_otlp import __version__
from k8s_audit_otlp.exporter.answers import read_http
from k8s_audit_otlp.exporter.compress import Compression, compressor
from k8s_audit_otlp.exporter.deadline import Deadlines, shut_down
from k8s_audit_otlp.exporter.sender import Request
from k8s_audit_otlp.exporter.tls import TlsOptions, make_context, stamp
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Retry
from k8s_audit_otlp.otlp.answer import read_partial_success, read_status
from k8s_audit_otlp.otlp.envelope import envelope

MAX_ANSWER_BYTES = 4 * 1024 * 1024  # opentelemetry.io/docs/specs/otlp: the client must have a limit
USER_AGENT = f"k8s-audit-otlp/{__version__}"
_CONNECT_S = 10.0


class _Exchange:
    """One request under way: which connection it uses, and whether its time ran out."""

    def __init__(self) -> None:
        self.connection: HTTPConnection | None = None
        self.expired = False

    def expire(self) -> None:
        self.expired = True
        if self.connection is not None:
            shut_down(self.connection.sock)


_here = threading.local()  # `.exchange` is the one of this thread


class _Tracked(HTTPConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        _here.exchange.connection = self
        super().request(*args, **kwargs)


class _TrackedTls(HTTPSConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        _here.exchange.connection = self
        super().request(*args, **kwargs)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Tracked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TrackedTls


_POOLS = {"http": _Pool, "https": _TlsPool}


@dataclass(frozen=True, slots=True, repr=False)
class HttpOptions:
    """Where requests go and how. Functions stand for what may be secret or change on disk."""

    url: Callable[[], str]
    headers: Mapping[str, Callable[[], str]] = field(default_factory=dict)
    credentials: Callable[[], Mapping[str, str]] | None = None
    compression: Compression = "gzip"
    compression_level: int | None = None
    timeout_s: float = 30.0
    tls: TlsOptions = field(default_factory=TlsOptions)
    proxy_url: Callable[[], str] | None = None
    retry_also: frozenset[int] = frozenset()
    connections: int = 4


class HttpSender:
    """The OTLP/HTTP transport of one exporter. Threads share it."""

    def __init__(
        self,
        options: HttpOptions,
        envelopes: Mapping[str, tuple[bytes, bytes]],
        *,
        deadlines: Deadlines | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """*envelopes*: per receiver the encoded resource and scope."""
        self._options = options
        self._envelopes = envelopes
        self._deadlines = deadlines or Deadlines()
        self._now = now
        self._compress = compressor(options.compression, options.compression_level)
        self._lock = threading.Lock()  # guards the pools and their stamp
        self._pools: urllib3.PoolManager | None = None
        self._stamp: object = None

    def prepare(self, receiver: str, records: Sequence[bytes]) -> Request:
        resource, scope = self._envelopes[receiver]
        body = envelope(resource, scope, records)
        return Request(self._compress(body), len(body), receiver)

    def send(self, request: Request) -> Outcome:
        """Post *request* and say what became of it. Never raises for what the world may do."""
        try:
            url = self._options.url()
            headers = self._headers()
            pools = self._pool_manager()
        except (OSError, ValueError) as error:
            return Misconfigured(f"{error}")
        exchange = _here.exchange = _Exchange()
        try:
            with self._deadlines.within(self._options.timeout_s, exchange.expire):
                return self._post(pools, url, headers, request.body)
        except Exception as error:  # noqa: BLE001 - any failure of the transport is an outcome
            if exchange.expired:
                return Retry(f"no answer within {self._options.timeout_s:g} s")
            return read_failure(error)

    def _post(
        self, pools: urllib3.PoolManager, url: str, headers: Mapping[str, str], body: bytes
    ) -> Outcome:
        timeout = self._options.timeout_s
        answer = pools.request(
            "POST",
            url,
            body=body,
            headers=dict(headers),
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(_CONNECT_S, timeout), read=timeout),
        )
        try:
            content = _read_bounded(answer)
        except _AnswerTooLongError:
            answer.close()
            return Misconfigured(
                f"HTTP {answer.status} with an answer over {MAX_ANSWER_BYTES} bytes"
            )
        if _may_be_torn(answer):
            answer.close()
            return Retry("the answer broke off in its head")
        answer.release_conn()
        return self._outcome(answer.status, answer.headers, content)

    def _outcome(self, status: int, headers: Mapping[str, str], content: bytes) -> Outcome:
        content_type = headers.get("content-type", "")
        message = read_status(content, content_type) if status >= 300 else ""
        plain = {k.lower(): v for k, v in headers.items()}
        outcome = read_http(
            status, plain, message, now=self._now(), retry_also=self._options.retry_also
        )
        if isinstance(outcome, Delivered) and content:
            return Delivered(*read_partial_success(content, content_type))
        return outcome

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/x-protobuf", "User-Agent": USER_AGENT}
        if self._options.compression != "none":
            headers["Content-Encoding"] = self._options.compression
        for name, value in self._options.headers.items():
            headers[name] = value()
        if self._options.credentials:
            headers.update(self._options.credentials())
        return headers

    def _pool_manager(self) -> urllib3.PoolManager:
        """Return the connections; new ones when a certificate file has changed."""
        options = self._options
        now = stamp(options.tls.files)
        with self._lock:
            if self._pools is None or now != self._stamp:
                if self._pools is not None:
                    self._pools.clear()
                self._pools = self._connect()
                self._stamp = now
            return self._pools

    def _connect(self) -> urllib3.PoolManager:
        options = self._options
        settings: dict[str, Any] = {
            "num_pools": 2,
            "maxsize": options.connections,
            "retries": False,
            "ssl_context": make_context(options.tls),
        }
        if options.tls.server_name:
            settings |= {
                "server_hostname": options.tls.server_name,
                "assert_hostname": options.tls.server_name,
            }
        proxy = options.proxy_url() if options.proxy_url else ""
        manager = (
            urllib3.ProxyManager(proxy, **settings) if proxy else urllib3.PoolManager(**settings)
        )
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        with self._lock:
            if self._pools is not None:
                self._pools.clear()


class _AnswerTooLongError(Exception):
    pass


def _may_be_torn(answer: urllib3.BaseHTTPResponse) -> bool:
    """Say whether the head may have been cut: the parser takes its end for the end of the headers.

    A whole HTTP/1.1 answer says how long it is or that the connection ends with it.
    """
    headers = answer.headers
    if answer.version != 11 or answer.status in {204, 304}:
        return False
    return not (
        "content-length" in headers
        or "transfer-encoding" in headers
        or "close" in headers.get("connection", "").lower()
    )


def _read_bounded(answer: urllib3.BaseHTTPResponse) -> bytes:
    content = bytearray()
    while chunk := answer.read(64 * 1024, decode_content=False):
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise _AnswerTooLongError
    return bytes(content)


def read_failure(error: BaseException) -> Outcome:
    """Say what a failed exchange means; the text names neither path nor header."""
    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Misconfigured(f"the server's certificate is not accepted: {cause.verify_message}")
    if isinstance(error, problems.NameResolutionError) or isinstance(cause, socket.gaierror):
        return Retry("the host name cannot be resolved", reached=False)
    if isinstance(error, problems.ProxyError):
        return Retry(f"the proxy does not connect: {_text(cause)}", reached=False)
    if isinstance(error, problems.NewConnectionError | problems.ConnectTimeoutError):
        return Retry(f"no connection: {_text(cause)}", reached=False)
    if isinstance(error, problems.SSLError) or isinstance(cause, ssl.SSLError):
        return Retry(f"TLS failed: {_text(cause)}", reached=False)
    if isinstance(error, problems.TimeoutError):
        return Retry("no answer in time")
    if isinstance(error, problems.LocationValueError | UnicodeError):
        return Misconfigured("the endpoint or a header cannot be used")
    return Retry(f"the connection broke: {_text(cause)}")


def _root(error: BaseException) -> BaseException:
    while True:
        inner = error.__cause__ or getattr(error, "original_error", None)
        if inner is None:
            args = [a for a in error.args if isinstance(a, BaseException)]
            inner = args[0] if args else None
        if inner is None or inner is error:
            return error
        error = inner


def _text(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "protocol error"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
