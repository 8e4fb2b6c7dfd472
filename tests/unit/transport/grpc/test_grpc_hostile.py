"""Answers over HTTP/2 that no gRPC library gives: none is an acknowledgement, none costs a record.

A server of a few frames answers each call; header fields are literals of RFC 7541, section 6.2.2.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

import pytest

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge
from tests.kit.senders import grpc_sender

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
PREFACE = 24
Respond = Callable[[socket.socket, int], None]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4)
    return head + payload


def _text(value: bytes) -> bytes:
    if len(value) < 127:
        return bytes([len(value)]) + value
    coded, rest = b"\x7f", len(value) - 127
    while rest > 127:
        coded, rest = coded + bytes([rest & 127 | 128]), rest >> 7
    return coded + bytes([rest]) + value


def fields(**named: str) -> bytes:
    pairs = ((name.replace("_", "-").encode(), value.encode()) for name, value in named.items())
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in pairs)


def headers(stream: int, block: bytes, *, ends: bool) -> bytes:
    parts = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    out = b""
    for number, part in enumerate(parts):
        flags = (ends and not number) | (4 if part is parts[-1] else 0)
        out += frame(CONTINUATION if number else HEADERS, flags, stream, part)
    return out


HTTP = b"\0\x07:status\x03200"
GRPC = HTTP + fields(content_type="application/grpc")
HTML = HTTP + fields(content_type="text/html")


def trailers(**named: str) -> Respond:
    """Answer with nothing but headers."""
    return lambda peer, stream: peer.sendall(headers(stream, GRPC + fields(**named), ends=True))


def status(code: str) -> Respond:
    """Answer in HTTP, as a proxy does."""
    block = b"\0\x07:status\x03" + code.encode()
    return lambda peer, stream: peer.sendall(headers(stream, block, ends=True))


def data(body: bytes, head: bytes = GRPC, **named: str) -> Respond:
    """Answer with *body* between head and trailers; without trailers the data ends the stream."""

    def respond(peer: socket.socket, stream: int) -> None:
        peer.sendall(headers(stream, head, ends=False))
        peer.sendall(frame(DATA, not named, stream, body))
        if named:
            peer.sendall(headers(stream, fields(**named), ends=True))

    return respond


def reset(code: int, before: bytes = b"") -> Respond:
    def respond(peer: socket.socket, stream: int) -> None:
        if before:
            peer.sendall(headers(stream, GRPC, ends=False) + frame(DATA, 0, stream, before))
        peer.sendall(frame(RESET, 0, stream, code.to_bytes(4)))

    return respond


def goaway(code: int, said: bytes) -> Respond:
    def respond(peer: socket.socket, _stream: int) -> None:
        peer.sendall(frame(GOAWAY, 0, 0, bytes(4) + code.to_bytes(4) + said))
        peer.close()

    return respond


def message(body: bytes, packed: int = 0) -> bytes:
    return bytes([packed]) + len(body).to_bytes(4) + body


def partial(rejected: bytes, why: bytes) -> bytes:
    inner = b"\x08" + rejected + b"\x12" + bytes([len(why)]) + why
    return message(b"\x0a" + bytes([len(inner)]) + inner)


@contextmanager
def server(respond: Respond) -> Iterator[str]:
    """Run it while the block lasts; yield where it listens."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listener.accept()
                with peer, suppress(OSError, EOFError):
                    _answer(peer, respond)

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def _answer(peer: socket.socket, respond: Respond) -> None:
    peer.settimeout(60)

    def read(size: int) -> bytes:
        got = b""
        while len(got) < size:
            if not (more := peer.recv(size - len(got))):
                raise EOFError
            got += more
        return got

    read(PREFACE)
    peer.sendall(frame(SETTINGS, 0, 0))
    while True:
        head = read(9)
        payload = read(int.from_bytes(head[:3]))
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9])
        if kind == SETTINGS and not flags & 1:
            peer.sendall(frame(SETTINGS, 1, 0))
        elif kind == PING and not flags & 1:
            peer.sendall(frame(PING, 1, 0, payload))
        elif kind == DATA and flags & 1:
            respond(peer, stream)


def outcome_of(respond: Respond) -> Outcome:
    with server(respond) as target:
        scopes = {"k8s_audit": (b"", b"")}
        sender = grpc_sender(target, scopes, timeout="60s", compression="none")
        try:
            outcome = sender.send(sender.prepare("k8s_audit", [b"\x12\x00"]))
        finally:
            sender.close()
        if not isinstance(outcome, Delivered):
            assert outcome.why.startswith(f"{target}: ")
            assert len(outcome.why) < 600
    return outcome


@pytest.mark.parametrize(
    ("respond", "kind", "said"),
    [
        pytest.param(trailers(grpc_status="0"), Retry, "OK without an answer", id="ok-and-nothing"),
        pytest.param(data(b"", grpc_status="0"), Retry, "OK without", id="ok-and-no-message"),
        pytest.param(data(b"\0\0\0\0\x09abc", grpc_status="0"), Retry, "OK without", id="half"),
        pytest.param(data(b"<html>", HTML, grpc_status="0"), Retry, "OK without", id="page-and-ok"),
        pytest.param(
            data(message(b"<html>"), grpc_status="0"), Retry, "no Export", id="framed-page"
        ),
        pytest.param(data(message(b"\xff\xff"), grpc_status="0"), Retry, "no Export", id="garbage"),
        pytest.param(data(message(b"a", 1), grpc_status="0"), Retry, "ompression", id="packed"),
        pytest.param(data(b"<html>", HTML), Retry, "login page or a proxy", id="page"),
        pytest.param(data(message(b"")), Retry, "not in gRPC", id="no-trailers"),
        pytest.param(trailers(grpc_status="14"), Retry, "UNAVAILABLE", id="no-words"),
        pytest.param(trailers(grpc_status="3"), Rejected, "INVALID_ARGUMENT", id="refused"),
        pytest.param(trailers(grpc_status="8"), TooLarge, "RESOURCE_EXHAUSTED", id="too-large"),
        pytest.param(trailers(grpc_status="99"), Retry, "UNKNOWN", id="no-code"),
        pytest.param(trailers(grpc_status="-1"), Retry, "INTERNAL", id="less-than-no-code"),
        pytest.param(trailers(x="y"), Retry, "UNKNOWN", id="no-status"),
        pytest.param(
            trailers(grpc_status="3", grpc_message="%zz%00%0a" + "x" * 60_000),
            Rejected,
            "INVALID_ARGUMENT: %zz x",
            id="words-without-end",
        ),
        pytest.param(
            trailers(grpc_status="3", x="y" * 200_000), Retry, "metadata size", id="metadata"
        ),
        pytest.param(
            data(b"\0" + (5 << 20).to_bytes(4) + bytes(60_000), grpc_status="0"),
            Retry,
            "larger than max",
            id="long-answer",
        ),
        pytest.param(status("302"), Misconfigured, "a redirect is not followed", id="302"),
        pytest.param(status("401"), Misconfigured, "credentials", id="401"),
        pytest.param(status("404"), Misconfigured, "no OTLP log service", id="404"),
        pytest.param(status("413"), TooLarge, "HTTP 413", id="413"),
        pytest.param(status("429"), Retry, "429", id="429"),
        pytest.param(status("503"), Retry, "503", id="503"),
        pytest.param(reset(7), Retry, "UNAVAILABLE", id="reset-refused"),
        pytest.param(reset(8), Retry, "CANCELLED", id="reset-cancel"),
        pytest.param(reset(11), Retry, "RESOURCE_EXHAUSTED", id="reset-calm"),
        pytest.param(reset(0, message(b"")), Retry, "INTERNAL", id="reset-after-an-answer"),
        pytest.param(goaway(0, b"bye"), Retry, "UNAVAILABLE", id="goaway"),
        pytest.param(goaway(11, b"too_many_pings"), Retry, "UNAVAILABLE", id="goaway-pings"),
    ],
)
def test_only_a_whole_answer_of_otlp_acknowledges(
    respond: Respond, kind: type[Outcome], said: str
) -> None:
    """What fails keeps its records, and names host, port and the likely cause."""
    outcome = outcome_of(respond)
    assert isinstance(outcome, kind), outcome
    assert not isinstance(outcome, Delivered)
    assert said in outcome.why


@pytest.mark.parametrize(
    ("answer", "delivered"),
    [
        pytest.param(message(b""), Delivered(), id="empty"),
        pytest.param(message(b"\x52\x03abc"), Delivered(), id="fields-of-later-versions"),
        pytest.param(partial(b"\x02", b"no"), Delivered(2, "no"), id="two-refused"),
        pytest.param(
            partial(b"\xfb" + b"\xff" * 8 + b"\x01", b"no"), Delivered(0, "no"), id="minus"
        ),
    ],
)
def test_an_answer_of_otlp_acknowledges(answer: bytes, delivered: Delivered) -> None:
    """A count below nothing is none."""
    assert outcome_of(data(answer, grpc_status="0")) == delivered
