"""The reader of HTTP answers, against the standard library's and against cut and endless ones."""

import gzip
import http.client
import io
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.model import Delivered, Misconfigured
from k8s_audit_otlp.transport.http_answer import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    Answer,
    NoAnswerError,
    read_answer,
)
from tests.unit.transport.http.http_sender import post, sender

__all__ = ["sender"]


def feed(*chunks: Any) -> Callable[..., Any]:
    rest = list(chunks)
    return lambda: rest.pop(0) if rest else b""


class _Socket:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._data)


def oracle(data: bytes) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(cast("Any", _Socket(data)))
    answer.begin()
    return answer.status, answer.read()


NAMES = st.sampled_from(["X-A", "Server", "content-type", "Retry-After"])
BODIES = st.binary(max_size=300)


@st.composite
def answers(draw: Any) -> Any:
    """Make a valid answer in one of the three framings."""
    status = draw(st.sampled_from([200, 202, 204, 307, 400, 413, 429, 503]))
    body = b"" if status == 204 else draw(BODIES)
    lines = [f"HTTP/1.1 {status} Reason".encode()]
    lines += [f"{name}: {draw(st.integers(0, 99))}".encode() for name in draw(st.lists(NAMES))]
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
    if framing == "chunked" and status != 204:
        lines.append(b"Transfer-Encoding: chunked")
        size = draw(st.integers(1, 100))
        parts = [body[i : i + size] for i in range(0, len(body), size)]
        framed = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in parts)
        body_bytes = framed + b"0\r\nTrailer: x\r\n\r\n"
    else:
        body_bytes = body
    return b"\r\n".join([*lines, b"", b""]) + body_bytes


@given(answers(), st.lists(st.integers(1, 60), max_size=8))
def test_it_reads_what_the_standard_library_reads(data: Any, cuts: Any) -> None:
    """In whatever packets it comes."""
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    chunks.append(data[at:])
    answer = read_answer(feed(*(c for c in chunks if c)))
    assert (answer.status, answer.body) == oracle(data)
    assert answer.whole


@given(st.binary(max_size=400))
def test_garbage_never_does_more_than_fail(data: Any) -> None:
    """No exception but its own, whatever a peer sends."""
    for prefix in (
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    ):
        try:
            answer = read_answer(feed(prefix + data))
        except NoAnswerError:
            continue
        assert isinstance(answer, Answer)


@given(answers(), st.data())
def test_a_head_that_is_cut_anywhere_is_no_answer(data: Any, draw: Any) -> None:
    """The end of the connection is not the end of the headers."""
    head = data.index(b"\r\n\r\n") + 4
    cut = draw.draw(st.integers(0, head - 1))
    with pytest.raises(NoAnswerError) as caught:
        read_answer(feed(data[:cut]) if cut else feed())
    assert caught.value.began == (cut > 0)


def test_a_body_that_is_cut_is_not_whole() -> None:
    """With either framing, and the connection is not used again."""
    for data in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n12345",
    ):
        answer = read_answer(feed(data))
        assert (answer.body, answer.whole, answer.keeps) == (b"12345", False, False)


@pytest.mark.parametrize(
    "framing", [b"Transfer-Encoding: chunked", b"Content-Length: 999999999", b"X: y"]
)
def test_an_endless_body_is_read_up_to_the_bound(framing: bytes) -> None:
    """Not a byte more is kept."""
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n" if b"chunked" in framing else bytes(0x10000)
    calls = 0

    def endless() -> Any:
        nonlocal calls
        calls += 1
        return b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" if calls == 1 else chunk

    answer = read_answer(endless)
    assert len(answer.body) <= MAX_BODY_BYTES
    assert not answer.whole
    assert calls < MAX_BODY_BYTES // 0x10000 + 10


def test_an_endless_head_is_given_up() -> None:
    """At its bound."""
    calls = 0

    def endless() -> Any:
        nonlocal calls
        calls += 1
        return b"HTTP/1.1 200 OK\r\n" if calls == 1 else b"X-Padding: " + b"x" * 8000 + b"\r\n"

    with pytest.raises(NoAnswerError, match="over 65536 B"):
        read_answer(endless)
    assert calls < MAX_HEAD_BYTES // 8000 + 5


def test_interim_answers_are_passed_over() -> None:
    """100 Continue is not the answer, and a server cannot send them for ever."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    whole = interim * 3 + b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
    assert read_answer(feed(whole)).status == 202
    with pytest.raises(NoAnswerError):
        read_answer(feed(*[interim] * 1000))


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive", True),
        (b"HTTP/1.1 204 No Content", True),
        (b"HTTP/1.1 200 OK", False),
    ],
)
def test_it_says_whether_the_connection_goes_on(head: bytes, keeps: bool) -> None:
    """RFC 9112 section 9.3."""
    assert read_answer(feed(head + b"\r\n\r\n")).keeps is keeps


def test_bytes_after_the_answer_end_the_connection() -> None:
    """They would be taken for the answer to the next request."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    assert not read_answer(feed(data)).keeps


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"\x15\x03\x01\x00\x02\x02\x46", "https://"),
        (b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0", "otlp_grpc"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks no HTTP"),
        (b"J\0\0\0\n8.0.36\0", "speaks no HTTP"),
        (b"HTT", "broke off"),
        (b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07" + b"\0" * 12, "otlp_grpc"),
    ],
)
def test_a_port_of_another_protocol_is_named(data: bytes, hint: str) -> None:
    """TLS and gRPC listen beside OTLP/HTTP, and are written by mistake."""
    with pytest.raises(NoAnswerError, match=hint):
        read_answer(feed(data))


def test_a_chunk_without_its_line_break_ends_the_body() -> None:
    """What follows cannot be told from the chunk; the body is not whole."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = read_answer(feed(head + b"5\r\nhelloXX0\r\n\r\n"))
    assert not answer.whole
    assert not answer.keeps


def test_a_folded_line_is_no_header_of_its_own() -> None:
    """RFC 9112, section 5.2: it continues the one before it."""
    head = b"HTTP/1.1 200 OK\r\nX-A: a\r\n Content-Length: 99\r\nContent-Length: 2\r\n\r\n"
    answer = read_answer(feed(head + b"ok"))
    assert (answer.body, answer.whole) == (b"ok", True)


_PARTIAL = gzip.compress(b"\x0a\x06\x08\x01\x12\x02no", mtime=0)  # one record, "no"


@pytest.mark.parametrize(
    ("encoding", "body", "expected"),
    [
        ("br", b"\xff\xff\xff\xff", None),
        ("gzip", _PARTIAL, Delivered(1, "no")),
        *(("gzip", _PARTIAL[:n], None) for n in range(1, len(_PARTIAL) - 8)),
        ("gzip", gzip.compress(b"0" * (1 << 20), mtime=0), None),
        ("gzip", gzip.compress(b"", mtime=0), Delivered()),
    ],
)
def test_a_success_that_is_packed_counts_where_it_can_be_unpacked(
    servers: Any,
    sender: Callable[..., Any],
    record: Callable[..., Any],
    encoding: str,
    body: bytes,
    expected: Delivered | None,
) -> None:
    """Nobody asked for it; what is torn, or packed otherwise, may be the login page of a proxy."""

    def play(connection: Any, _number: Any) -> None:
        form = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}"
        connection.sendall(f"HTTP/1.1 200 OK\r\n{form}\r\n\r\n".encode() + body)

    with servers.RawServer(play) as server:
        outcome = post(sender(server.url), record)
    assert outcome == expected if expected else isinstance(outcome, Misconfigured)
