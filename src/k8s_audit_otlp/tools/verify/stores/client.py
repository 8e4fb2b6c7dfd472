"""Sends queries to a store over HTTP, and reads answers line by line or as one JSON value.

Memory is that of one line or one page. An answer that breaks off, or that ends in an error of the
store, is an error here: half of the records would look like a loss.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

import msgspec

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.event.lenient_json import REFUSED
from k8s_audit_otlp.otlp.export_response import MAX_READ, read_status
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord
from k8s_audit_otlp.transport.connection import ConnectError, Connections, ask
from k8s_audit_otlp.transport.proxy import proxy_for
from k8s_audit_otlp.transport.sender import USER_AGENT
from k8s_audit_otlp.transport.tls import make_context
from k8s_audit_otlp.transport.url import Url

_READ_S: Final = 120.0  # a store may search for long before the first byte
_STEP: Final = 256 * 1024
_LONGEST: Final = 256 * 1024 * 1024  # bytes of a line or a page
_WAITS: Final = (1.0, 5.0, 20.0)  # seconds before a query is sent once more
_TRY_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
_NO_ANSWER: Final = (ConnectError, HTTPException, OSError, ValueError)
_HIDDEN: Final = "***"
_SHORTEST_SECRET: Final = 4


class StoreError(Exception):
    """The store cannot be read; the message says where and why, and holds no credential."""


class TransientError(StoreError):
    """It may go well the next time."""


class Store(Protocol):
    """What can be asked for the records of a cluster."""

    def records(self, field: str, since_ns: int, until_ns: int) -> Iterator[ExportRecord]:
        """Yield records that have *field*, in any order.

        They are of *since_ns* or later, and before *until_ns*: nanoseconds since the epoch.
        """


class Where(NamedTuple):
    """What of a store is asked: `source` as its kind names it, "" for the usual."""

    cluster: str
    source: str = ""


class StoreClient:
    """The way to one store. Not for threads."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        tls: Tls,
        env: Mapping[str, str],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """*env*: where the proxy variables are looked up.

        Raise UnusableError where *url* is no http(s) URL; TlsError where a certificate file cannot
        be used.
        """
        self._url = Url.parse(url)
        self._headers = {"User-Agent": USER_AGENT, **headers}
        if self._url.authorization:
            self._headers.setdefault("Authorization", self._url.authorization)
        self._secrets = [v for n, v in self._headers.items() if n != "User-Agent"]
        self._sleep = sleep
        context = make_context(tls) if self._url.scheme == "https" else None
        through = proxy_for(url, env)
        self._connections = Connections(
            self._url,
            context=lambda: context or make_context(tls),
            proxy=Url.parse(through) if through else None,
        )
        self.where = self._connections.where  # for people: host and port, and those of a proxy

    def lines(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Yield the JSON objects of an answer of one a line.

        Raise StoreError where it cannot be asked, or what it says is no JSON, such as an error at
        the end.
        """
        with self._opened("GET", f"{path}?{urlencode(query)}", None, "") as answer:
            rest = b""
            for chunk in self._chunks(answer):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield self._object(line)
            if rest.strip():
                yield self._object(rest)

    def page(self, method: str, path: str, query: Mapping[str, str], value: Any = None) -> Any:
        """Return one answer that is JSON; *value* is sent as JSON.

        Raise StoreError where it cannot be asked, or what it says is no JSON.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        body = msgspec.json.encode(value) if value is not None else None
        with self._opened(method, target, body, "application/json") as answer:
            data = b"".join(self._chunks(answer))
        return self._json(data)

    def page_once(self, path: str, query: Mapping[str, str], patience_s: float) -> tuple[Any, int]:
        """Return one answer that is JSON, and its size in bytes, without trying again.

        Raise TransientError where there was none within *patience_s*, or the store failed;
        StoreError where it cannot be asked, or what it says is no JSON.
        """
        with self._sent("GET", f"{path}?{urlencode(query)}", None, "", patience_s) as answer:
            data = b"".join(self._chunks(answer))
        return self._json(data), len(data)

    # -- one exchange --------------------------------------------------------------------------

    @contextlib.contextmanager
    def _opened(
        self, method: str, target: str, body: bytes | None, content: str
    ) -> Iterator[HTTPResponse]:
        """Send a query, again where that may help, and give its answer as it comes."""
        for wait in (*_WAITS, None):
            try:
                answer = self._sent(method, target, body, content)
                break
            except TransientError:
                if wait is None:
                    raise
                self._sleep(wait)
        with answer:
            yield answer

    def _sent(
        self,
        method: str,
        target: str,
        body: bytes | None,
        content: str,
        patience_s: float = _READ_S,
    ) -> HTTPResponse:
        before = self._url.target.partition("?")[0].rstrip("/")
        headers = {**self._headers, **({"Content-Type": content} if body is not None else {})}
        try:
            where = f"{before}{target}"
            answer = ask(self._connections, method, where, headers, patience_s, body)
        except _NO_ANSWER as error:
            raise self._failure(error) from None
        if answer.status == HTTPStatus.OK:
            return answer
        said = ""
        with contextlib.suppress(HTTPException, OSError):
            said = self._masked(read_status(answer.read(MAX_READ), _content_type(answer)))
        answer.close()
        kind = TransientError if answer.status in _TRY_AGAIN else StoreError
        text = f"{self.where} answers HTTP {answer.status}: {said}".rstrip(": ")
        if 300 <= answer.status < 400:
            text += "; a redirect is not followed: give the URL that it leads to"
        raise kind(text)

    def _chunks(self, answer: HTTPResponse) -> Iterator[bytes]:
        size = 0
        try:
            while chunk := answer.read(_STEP):
                size = len(chunk) if b"\n" in chunk else size + len(chunk)
                if size > _LONGEST:
                    raise StoreError(f"{self.where}: a line or page is over {_LONGEST} bytes")
                yield chunk
        except _NO_ANSWER as error:
            raise self._failure(error) from None
        if answer.length:
            raise TransientError(f"{self.where}: the answer broke off")

    def _object(self, line: bytes) -> dict[str, Any]:
        value = self._json(line)
        if not isinstance(value, dict):
            raise self._strange(line)
        return value

    def _json(self, data: bytes) -> Any:
        try:
            return msgspec.json.decode(data)
        except REFUSED:
            raise self._strange(data) from None

    def _strange(self, data: bytes) -> StoreError:
        said = self._masked(read_status(data[:MAX_READ], "text/plain"))
        return StoreError(f"{self.where} answers what is no record: {said}")

    def _failure(self, error: Exception) -> StoreError:
        if isinstance(error, ConnectError):
            why = str(error).replace("tls::ca_file", "--ca").partition("; tls::")[0]
            kind = StoreError if error.misconfigured else TransientError
            return kind(f"{self.where}: {why}")
        if isinstance(error, ValueError):
            return StoreError(f"{self.where}: a header or the URL cannot be sent")
        why = "no answer in time" if isinstance(error, TimeoutError) else "the connection broke"
        return TransientError(f"{self.where}: {why}")

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            for part in (secret, *secret.split()):
                if len(part) >= _SHORTEST_SECRET:
                    text = text.replace(part, _HIDDEN)
        return text


def slices(since_ns: int, until_ns: int, *, hours: int = 1) -> Iterator[tuple[int, int]]:
    """Cut a time into parts: no answer should take a store longer than it allows."""
    step = hours * 3600 * 1_000_000_000
    for start in range(since_ns, until_ns, step):
        yield start, min(start + step, until_ns)


def _content_type(answer: HTTPResponse) -> str:
    return str(answer.getheader("content-type", ""))
