"""Reads an HTTP/1.1 answer from a socket: status, headers, body. Every part has a bound.

Source: RFC 9112. Written out here because the hot path passes it: a general client costs a third
of a millisecond a request, has no deadline for the whole of an answer, and takes a head that was
cut off for a whole one.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 4 * 1024 * 1024  # opentelemetry.io/docs/specs/otlp: the client must have a limit
_MAX_INTERIM = 8  # 1xx answers before the real one

_STATUS = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: |\r|$)")
_BEGIN = b"HTTP/"
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_DIGITS = re.compile(r"\d{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\n]*)?\r?\n")
_MAX_CHUNK_LINE = 4096
_TLS_ALERT = b"\x15\x03"  # RFC 8446, section 5.1: record type alert, version 3.x
_HTTP2_SETTINGS = (b"\0\x04", b"\x06\x04", b"\x0c\x04", b"\x12\x04", b"\x18\x04")


class Answer(NamedTuple):
    """`whole`: the body came to its end within the bound; `keeps`: the connection may go on."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes
    whole: bool = True
    keeps: bool = True


class NoAnswerError(Exception):
    """There is no head of an answer. `began`: some bytes of one came."""

    def __init__(self, why: str, *, began: bool) -> None:
        super().__init__(why)
        self.began = began


class _Input:
    """What came so far and a way to get more."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self.data = bytearray()
        self.ended = False

    def more(self) -> bool:
        chunk = b"" if self.ended else self._receive()
        self.ended = not chunk
        self.data += chunk
        return not self.ended


def read_answer(receive: Callable[[], bytes]) -> Answer:
    """Read one answer; *receive* returns the next bytes, none at the end of the connection.

    Raise NoAnswerError where the head is missing, cut off, too long or no HTTP.
    """
    source = _Input(receive)
    for _ in range(_MAX_INTERIM):
        minor, status, headers = _read_head(source)
        if status >= 200:
            break
    else:
        raise NoAnswerError(f"more than {_MAX_INTERIM} interim responses", began=True)
    connection = headers.get("connection", "").lower()
    keeps = "close" not in connection and (minor == 1 or "keep-alive" in connection)
    body, whole, ended = _read_body(source, status, headers)
    return Answer(status, headers, body, whole, keeps and whole and not ended and not source.data)


def _read_head(source: _Input) -> tuple[int, int, dict[str, str]]:
    seen = 0
    data = source.data
    while (end := _HEAD_END.search(data, max(0, seen - 3))) is None:
        seen = len(data)
        if seen > MAX_HEAD_BYTES:
            raise NoAnswerError(f"the head of the answer is over {MAX_HEAD_BYTES} B", began=True)
        if not source.more():
            began = "the answer broke off in its head"
            if not data.startswith(_BEGIN[: len(data)]):
                began = "the port speaks no HTTP: another program listens there"
            why = began if data else "closed without an answer"
            raise NoAnswerError(_other_protocol(data) or why, began=bool(data))
    head = bytes(data[: end.start()])
    del data[: end.end()]
    if (found := _STATUS.match(head)) is None:
        raise NoAnswerError(_other_protocol(head) or "the answer is no HTTP/1.1", began=True)
    return int(found[1]), int(found[2]), _headers(head)


def _other_protocol(data: bytes | bytearray) -> str:
    """Name what the port speaks, where the first bytes tell: a wrong port is a common mistake."""
    if data.startswith(_TLS_ALERT):
        return "the port speaks TLS: write https://"
    if data.startswith(_HTTP2_SETTINGS, 2) and data.startswith(b"\0\0"):
        return "the port speaks HTTP/2, as gRPC does: use `otlp_grpc`, or OTLP/HTTP's port (4318)"
    return ""


def _headers(head: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in head.decode("latin-1").split("\n")[1:]:
        name, colon, value = line.partition(":")
        if colon and not name[:1].isspace():
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _read_body(source: _Input, status: int, headers: dict[str, str]) -> tuple[bytes, bool, bool]:
    """Return the body, whether it is whole, and whether only the connection's end ended it."""
    if status in {204, 304}:
        return b"", True, False
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return *_read_chunks(source), False
    length = headers.get("content-length")
    if length is None:
        while len(source.data) <= MAX_BODY_BYTES and source.more():
            pass
        body = _take(source, MAX_BODY_BYTES)
        return body, source.ended, True
    if not _DIGITS.fullmatch(length):
        return b"", False, False
    size = min(int(length), MAX_BODY_BYTES)
    while len(source.data) < size and source.more():
        pass
    body = _take(source, size)
    return body, len(body) == int(length), False


def _read_chunks(source: _Input) -> tuple[bytes, bool]:
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES:
        size = _chunk_size(source)
        if size is None:
            break
        if size == 0:
            return bytes(body), _skip_trailer(source)
        wanted = min(size, MAX_BODY_BYTES + 1 - len(body))
        while len(source.data) < wanted + 2 and source.more():
            pass
        body += _take(source, wanted)
        if wanted < size or source.data[:2] != b"\r\n":
            break
        del source.data[:2]
    return bytes(body[:MAX_BODY_BYTES]), False


def _chunk_size(source: _Input) -> int | None:
    while (found := _CHUNK_SIZE.match(source.data)) is None:
        if len(source.data) > _MAX_CHUNK_LINE or not source.more():
            return None
    size = int(found[1], 16)
    del source.data[: found.end()]
    return size


def _skip_trailer(source: _Input) -> bool:
    while True:
        end = source.data.find(b"\n")
        if end >= 0:
            line = source.data[:end].strip()
            del source.data[: end + 1]
            if not line:
                return True
        elif len(source.data) > _MAX_CHUNK_LINE or not source.more():
            return False


def _take(source: _Input, size: int) -> bytes:
    taken = bytes(source.data[:size])
    del source.data[:size]
    return taken
