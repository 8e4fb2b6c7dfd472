"""Mutated lines of a log and answers of a back end: bytes and values put, taken, repeated."""

import random
import re
from typing import Any

import grpc

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+|true|false|null|[{}\[\],:]')
_IN_LINES = [
    *(b"null", b"1e999", b"-0", b"NaN", b"[]", b'"\\ud800"', b'"\xff\xfe"', b'"\\u0000"'),
    *(b'{"requestObject":1}', b"[" * 3_000, b'{"a":' * 300, b"9" * 40, b'{"a":1,"a":2}'),
    *(b'"2026-99-99T99:99:99Z"', b'"0000-00-00T00:00:00Z"', b'"9999-12-31T23:59:60.9+99:99"'),
    *(b'"' + b"x" * 70_000 + b'"', b"\0" * 5_000, b'{"kind":"Event"'),
]
_OK = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\nContent-Type: %s\r\n\r\n"
_NO = b"HTTP/1.1 %d No\r\nRetry-After: %s\r\n"
_ANSWERS = [
    _OK % (b"identity", 9, b"application/x-protobuf") + b"\x0a\x07\x08\x01\x12\x03bad",
    b"HTTP/1.1 100 Go\r\n\r\n" + _OK % (b"gzip", 2, b"application/json") + b"\x1f\x8b",
    _NO % (429, b"Mon, 01 Jan 2026 00:00:00 +0000") + b"Content-Length: 0\r\n\r\n",
    _NO % (503, b"5") + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    _NO % (500, b"0") + b"Content-Type: application/x-protobuf\r\n\r\n\x12\x03bad",
    _NO % (400, b"") + b'Content-Type: application/json\r\n\r\n{"error":{"message":["x"],"c":1}}',
]
_IN_ANSWERS = [
    *(b"9" * 19, b"-1", b"\0", b"\xff\xff\xff", b"\r\n", b": ", b"<", b"[" * 50, b'{"a":', b"NaN"),
    *(b"1e999", b"\\ud800", b"+" + b"9" * 14, b"chunked", b"gzip", b"text/html", b"\x80" * 12),
]


def mutated_line(line: bytes, rng: random.Random) -> bytes:
    """Put, take and repeat bytes and whole values; the result is one line."""
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        tokens = [found.span() for found in _TOKEN.finditer(line)] or [(0, 0)]
        start, end = rng.choice(tokens)
        if rng.random() < 0.3:
            start = rng.randrange(len(line) + 1)
            end = start + rng.choice([0, 1, 100, len(line)])
        other = line[slice(*rng.choice(tokens))]
        piece = rng.choice([b"", other, line[start:end] * 3, *rng.sample(_IN_LINES, 4)])
        line = line[:start] + piece + line[end:]
    return line.replace(b"\n", b" ")


def mutated_answer(seed: int) -> bytes:
    """Return an HTTP answer that is nearly one."""
    rng = random.Random(seed)  # noqa: S311 - a test's
    data = bytearray(rng.choice(_ANSWERS))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = at + rng.choice([0, 0, 1, 4, 20])
        data[at:end] = rng.choice([b"", rng.choice(_IN_ANSWERS), rng.randbytes(3)])
    return bytes(data) or b"\0"


class AnyGrpcAnswer(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """Answers *most* times with codes, details and bodies by chance.

    With *between* the answer after each of these is a good one, as all are in the end.
    """

    def __init__(self, most: int, *, between: bool = False) -> None:
        self.rng = random.Random(0)  # noqa: S311 - a test's
        self.answers, self._most, self._between = 0, most, between
        self._good = False

    def service(self, _details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._play)

    def _play(self, _request: Any, context: Any) -> Any:
        rng = self.rng
        self._good = self._between and not self._good
        if self.answers >= self._most or self._good:
            return b""
        self.answers += 1
        if rng.random() < 0.3:
            return rng.randbytes(rng.randint(0, 30))
        context.set_trailing_metadata(
            [("grpc-status-details-bin", rng.randbytes(rng.randint(0, 40)))]
        )
        context.set_code(rng.choice(list(grpc.StatusCode)[1:]))
        context.set_details("".join(map(chr, rng.choices(range(1, 0x300), k=20))))
        return b""
