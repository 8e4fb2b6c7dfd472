"""The things a back end can do with a request, one class each.

A step answers on an exchange. Steps that take `then` or `otherwise` hand the exchange on.
"""

import gzip
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)

PROTOBUF = "application/x-protobuf"
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it came; `body` is decompressed."""

    number: int  # 1 for the back end's first
    path: str
    headers: Mapping[str, str]  # names in lower case
    wire_bytes: int
    body: bytes = field(repr=False)


class Exchange(Protocol):
    """One request and the means to answer it, over HTTP or gRPC."""

    @property
    def request(self) -> ReceivedRequest: ...

    def store(self, *, without: Callable[[int, bytes], bool] | None = None) -> int:
        """Take the records in, all but those chosen by (index, LogRecord bytes); count the rest."""

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None: ...

    def send(self, data: bytes) -> bool:
        """Write raw bytes of an HTTP answer; False once nobody listens."""

    def pause(self, seconds: float | None) -> bool:
        """Wait; False as soon as the back end is being closed."""

    def hang_up(self, *, reset: bool = False) -> None: ...

    def half_close(self) -> None: ...


class Step(Protocol):
    def respond(self, exchange: Exchange) -> None: ...


@dataclass(frozen=True)
class Accept:
    """Store the records and say so."""

    def respond(self, exchange: Exchange) -> None:
        exchange.store()
        exchange.answer(200, {"Content-Type": PROTOBUF}, b"")


ACCEPT = Accept()


@dataclass(frozen=True)
class Delay:
    seconds: float
    then: Step = ACCEPT

    def respond(self, exchange: Exchange) -> None:
        if exchange.pause(self.seconds):
            self.then.respond(exchange)


@dataclass(frozen=True)
class Refuse:
    """Answer with an error, by default a google.rpc.Status; the records are not stored."""

    status: int
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def respond(self, exchange: Exchange) -> None:
        body = self.body
        if body is None:
            body = Status(message=f"the plan refuses with {self.status}").SerializeToString()
        exchange.answer(self.status, {"Content-Type": PROTOBUF, **self.headers}, body)


@dataclass(frozen=True)
class Throttle:
    """Ask to come back later, in seconds or, as the header's text, at an HTTP date."""

    status: int = 429
    retry_after: float | str | None = None

    def respond(self, exchange: Exchange) -> None:
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        Refuse(self.status, headers=headers).respond(exchange)


@dataclass(frozen=True)
class Hang:
    """Read the request and never answer."""

    def respond(self, exchange: Exchange) -> None:
        exchange.pause(None)
        exchange.hang_up()


@dataclass(frozen=True)
class Cut:
    """Close the connection instead of answering, or within the answer's first line."""

    accepted: bool = False  # the records are stored, only the sender never learns of it
    half_answer: bool = False
    reset: bool = False

    def respond(self, exchange: Exchange) -> None:
        if self.accepted:
            exchange.store()
        if self.half_answer:
            exchange.send(b"HTTP/1.1 2")  # after a whole first line http.client reads an answer
        exchange.hang_up(reset=self.reset)


@dataclass(frozen=True)
class HalfClose:
    """Send nothing more, yet keep the connection open for reading."""

    def respond(self, exchange: Exchange) -> None:
        exchange.half_close()
        exchange.pause(None)


@dataclass(frozen=True)
class PartialSuccess:
    """Store all but the first `rejected` records, or all but those that contain `needle`."""

    rejected: int = 1
    message: str = "rejected by plan"
    needle: bytes | None = None

    def respond(self, exchange: Exchange) -> None:
        rejected = 0

        def is_rejected(index: int, record: bytes) -> bool:
            nonlocal rejected
            bad = index < self.rejected if self.needle is None else self.needle in record
            rejected += bad
            return bad

        exchange.store(without=is_rejected)
        partial = ExportLogsPartialSuccess(
            rejected_log_records=rejected, error_message=self.message if rejected else ""
        )
        body = ExportLogsServiceResponse(partial_success=partial).SerializeToString()
        exchange.answer(200, {"Content-Type": PROTOBUF}, body)


@dataclass(frozen=True)
class Poison:
    """Refuse each request in which the needle stands; the others go on."""

    needle: bytes
    status: int = 400
    otherwise: Step = ACCEPT

    def respond(self, exchange: Exchange) -> None:
        bad = self.needle in exchange.request.body
        (Refuse(self.status) if bad else self.otherwise).respond(exchange)


@dataclass(frozen=True)
class Limit:
    """Refuse requests over so many decompressed bytes."""

    max_bytes: int
    status: int = 413
    otherwise: Step = ACCEPT

    def respond(self, exchange: Exchange) -> None:
        over = len(exchange.request.body) > self.max_bytes
        (Refuse(self.status) if over else self.otherwise).respond(exchange)


@dataclass(frozen=True)
class Redirect:
    location: str
    status: int = 307

    def respond(self, exchange: Exchange) -> None:
        exchange.answer(self.status, {"Location": self.location}, b"")


@dataclass(frozen=True)
class WrongContentType:
    """Say 200 with a page, as a portal or a proxy before the back end does."""

    content_type: str = "text/html"
    body: bytes = b"<html><body>Welcome to this network</body></html>"
    accepted: bool = False

    def respond(self, exchange: Exchange) -> None:
        if self.accepted:
            exchange.store()
        exchange.answer(200, {"Content-Type": self.content_type}, self.body)


@dataclass(frozen=True)
class Slow:
    """Store the records, then answer byte by byte."""

    interval: float = 0.1
    status: int = 200

    def respond(self, exchange: Exchange) -> None:
        exchange.store()
        for byte in b"HTTP/1.1 %d Slow\r\nContent-Length: 0\r\n\r\n" % self.status:
            if not (exchange.send(bytes([byte])) and exchange.pause(self.interval)):
                return


@dataclass(frozen=True)
class EndlessBody:
    """Answer with a chunked body that goes on until somebody hangs up."""

    status: int = 200

    def respond(self, exchange: Exchange) -> None:
        exchange.send(
            b"HTTP/1.1 %d Endless\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/x-protobuf\r\n\r\n" % self.status
        )
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        while exchange.send(chunk) and exchange.pause(0):
            pass
        exchange.hang_up()


@dataclass(frozen=True)
class GzipBomb:
    """Answer with a small gzip body that unpacks to a very large one."""

    unpacked_bytes: int = 1024 * MIB
    status: int = 200

    def respond(self, exchange: Exchange) -> None:
        member = gzip.compress(bytes(16 * MIB))
        body = member * max(1, self.unpacked_bytes // (16 * MIB))
        headers = {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}
        exchange.answer(self.status, headers, body)


@dataclass(frozen=True)
class HugeHeaders:
    """Answer with so many bytes of header lines."""

    total_bytes: int = 64 * MIB

    def respond(self, exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 OK\r\n")
        line = b"X-Padding: " + b"x" * 8000 + b"\r\n"
        for _ in range(self.total_bytes // len(line)):
            if not exchange.send(line):
                return
        exchange.send(b"Content-Length: 0\r\n\r\n")


class Mix:
    """Choose a step by weight for each request, the same ones for the same seed."""

    def __init__(
        self, seed: int, steps: Sequence[Step], weights: Sequence[float] | None = None
    ) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - a plan is repeatable, not secret
        self._steps, self._weights = steps, weights
        self._lock = Lock()

    def respond(self, exchange: Exchange) -> None:
        with self._lock:
            step = self._rng.choices(self._steps, self._weights)[0]
        step.respond(exchange)
