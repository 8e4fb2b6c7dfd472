"""Steps of a back end that misbehaves do what their names say, on the wire."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import (
    MIB,
    Cut,
    Delay,
    EndlessBody,
    GzipBomb,
    HugeHeaders,
    Redirect,
    Refuse,
    Slow,
    WrongContentType,
)


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_a_cut_connection_may_or_may_not_have_stored(
    backend: Backend,
    post: Callable[..., Any],
    export_request: Callable[..., Any],
    accepted: bool,
    reset: bool,
) -> None:
    """The sender sees the same trouble either way; only the back end knows."""
    backend.plan = [Cut(accepted=accepted, reset=reset)]
    with pytest.raises(urllib3.exceptions.ProtocolError):
        post(backend, export_request("a"))
    assert bool(backend.received.uids) == accepted


def test_an_answer_can_break_off_in_its_first_line(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """Half a status line is no answer."""
    backend.plan = [Cut(half_answer=True)]
    with pytest.raises(urllib3.exceptions.ProtocolError):
        post(backend, export_request("a"))


def test_a_delay_comes_before_the_next_step(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """The answer is what it would have been, only later."""
    backend.plan = [Delay(0.2, then=Refuse(503))]
    started = time.monotonic()
    assert post(backend, export_request("a")).status == 503
    assert time.monotonic() - started >= 0.2


def test_answers_that_are_not_otlp(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """A redirect and a portal's page come through as they are, and nothing is stored."""
    backend.plan = [Redirect("http://elsewhere/v1/logs"), WrongContentType()]
    redirect = post(backend, export_request("a"))
    assert (redirect.status, redirect.headers["Location"]) == (307, "http://elsewhere/v1/logs")
    page = post(backend, export_request("a"))
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html")
    assert not backend.received.uids


def test_a_slow_answer_is_whole_in_the_end(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """Byte by byte, yet a correct answer."""
    backend.plan = [Slow(interval=0.002)]
    assert post(backend, export_request("a")).status == 200


def _read_raw(backend: Backend, body: bytes, max_bytes: int) -> bytes:
    with socket.create_connection(("127.0.0.1", backend.port), timeout=60) as peer:
        head = "POST /v1/logs HTTP/1.1\r\nContent-Type: application/x-protobuf\r\n"
        peer.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        data = bytearray()
        while len(data) < max_bytes and (chunk := peer.recv(1 << 16)):
            data += chunk
    return bytes(data)


def test_an_endless_body_has_no_end(backend: Backend, export_request: Callable[..., Any]) -> None:
    """However much is read, more comes; hanging up ends it."""
    backend.plan = [EndlessBody()]
    assert len(_read_raw(backend, export_request("a"), 8 * MIB)) >= 8 * MIB


def test_huge_headers_are_as_large_as_asked(
    backend: Backend, export_request: Callable[..., Any]
) -> None:
    """No empty line ends them before that."""
    backend.plan = [HugeHeaders(total_bytes=4 * MIB)]
    head = _read_raw(backend, export_request("a"), 3 * MIB)
    assert len(head) >= 3 * MIB
    assert b"\r\n\r\n" not in head


def test_a_gzip_bomb_is_small_on_the_wire(
    backend: Backend, post: Callable[..., Any], export_request: Callable[..., Any]
) -> None:
    """A thousandth of what it unpacks to."""
    backend.plan = [GzipBomb(unpacked_bytes=32 * MIB)]
    answer = post(backend, export_request("a"))
    assert len(answer.data) == 32 * MIB
    assert int(answer.headers["Content-Length"]) < MIB / 16
