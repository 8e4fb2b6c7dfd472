"""What the listener makes of requests as clients write them, and of those that nobody should."""

import errno
import gc
import io
import json
import random
import socket
import subprocess
import sys
import time
from asyncio import Protocol
from collections.abc import Callable, Iterator
from contextlib import suppress
from statistics import median
from threading import Event

import pytest

from k8s_audit_otlp.telemetry.listener.get_server import GetServer, Reply

Ask = Callable[..., bytes]


def large() -> Reply:
    return Reply(200, {}, b"x" * 4_000_000)


def broken() -> Reply:
    raise ValueError("nobody foresaw it")


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    made = {"/a": lambda: Reply(200, {"x-kind": "first"}, b"one"), "/large": large, "/bad": broken}
    server = GetServer("127.0.0.1:0", made)
    host, _, port = server.start().rpartition(":")
    yield host, int(port)
    server.stop(5.0)


def all_of(client: socket.socket) -> bytes:
    """Read until the server closes."""
    client.settimeout(60)
    said = b""
    with suppress(ConnectionError):
        while data := client.recv(1 << 16):
            said += data
    return said


@pytest.fixture
def ask(address: tuple[str, int]) -> Ask:
    def of(*parts: bytes) -> bytes:
        with socket.create_connection(address) as client:
            for part in parts:
                client.sendall(part)
                if len(parts) > 1:
                    time.sleep(0.005)
            return all_of(client)

    return of


GET = b"GET /a HTTP/1.1\r\nHost: x\r\n"
LAST = GET + b"Connection: close\r\n\r\n"


def statuses(said: bytes) -> list[int]:
    return [int(part[:3]) for part in said.split(b"HTTP/1.1 ")[1:]]


def test_requests_of_one_connection_are_answered_in_turn(ask: Ask) -> None:
    """Sent at once, or a byte at a time; a path that is not there ends nothing."""
    for said in (
        ask(GET + b"\r\n" + b"GET /no HTTP/1.1\r\n\r\n" + GET + b"\r\n" + LAST),
        ask(
            *(bytes([one]) for one in GET + b"\r\nGET /no HTTP/1.1\r\n\r\n" + GET + b"\r\n" + LAST)
        ),
    ):
        assert statuses(said) == [200, 404, 200, 200]
        assert said.count(b"x-kind: first\r\n") == said.count(b"\r\n\r\none") == 3
        assert said.endswith(b"connection: close\r\n\r\none")


def test_a_thousand_requests_at_once_are_a_thousand_answers(ask: Ask) -> None:
    """More than a call in a call could take."""
    one = b"GET /a HTTP/1.1\r\n\r\n"
    assert statuses(ask(one * 800 + LAST)) == [200] * 801


def test_who_asks_much_at_once_waits_as_others_do(address: tuple[str, int]) -> None:
    """One request is answered in a turn: many on one connection let another one's between."""
    before = []
    for _ in range(21):
        with socket.create_connection(address) as many, socket.create_connection(address) as one:
            many.sendall(b"GET /no HTTP/1.1\r\n\r\n" * 800)
            one.sendall(b"GET /no HTTP/1.0\r\n\r\n")
            all_of(one)
            before.append(many.recv(1 << 20).count(b" 404 "))
    assert median(before) < 50


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length : 5",
        b"Transfer-Encoding\t: chunked",
        b"X: y\r\n Transfer-Encoding: chunked",
        b"no colon",
        b": no name",
        b"X: \0",
        b"X: y\rContent-Length: 5",
        b"X: y\nContent-Length: 5",
    ],
)
def test_a_field_that_could_be_read_in_two_ways_is_refused(ask: Ask, field: bytes) -> None:
    """What is a body to a proxy would be a request here, and its answer another client's."""
    assert statuses(ask(GET + field + b"\r\n\r\n" + LAST)) == [400]


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"HEAD /a?x=1 HTTP/1.1\r\nconnection: close\r\n\r\n", 200, b""),
        (b"GET /a?x=/no HTTP/1.0\r\n\r\n", 200, b"one"),
        (b"GET /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345", 200, b"one"),
        (b"GET /a HTTP/1.1\r\nContent-Length:\r\n\r\n12345", 200, b"one"),
        (b"GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, b"one"),
        (b"POST /a HTTP/1.1\r\n\r\n", 405, b"Method Not Allowed\n"),
        (b"GET /../a HTTP/1.1\r\nConnection: close\r\n\r\n", 404, b"Not Found\n"),
        (b"GET http://h/a HTTP/1.1\r\nConnection: Close\r\n\r\n", 404, b"Not Found\n"),
        (b"GET /bad HTTP/1.1\r\nConnection: close\r\n\r\n", 500, b"Internal Server Error\n"),
        (b"GET /a HTTP/2.0\r\n\r\n", 400, b"Bad Request\n"),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400, b"Bad Request\n"),
        (b"\x16\x03\x01\x02\x00", 400, b"Bad Request\n"),
        (b"GET /a HTTP/1.0\n\n", 400, b"Bad Request\n"),
        (b"GET /a HTTP/1.1\r\nX: " + b"y" * 20_000, 431, b"Request Header Fields Too Large\n"),
        (GET + b"X: y\r\n" * 4_000 + b"\r\n", 431, b"Request Header Fields Too Large\n"),
        (b"POST /a HTTP/1.1\r\n\r\n" + b"x" * 5_000_000, 405, b"Method Not Allowed\n"),
    ],
)
def test_what_is_answered_and_then_closed(
    ask: Ask, request_: bytes, status: int, body: bytes
) -> None:
    """Whatever comes behind a body is not taken for a request."""
    said = ask(request_)
    assert statuses(said) == [status]
    head, _, rest = said.partition(b"\r\n\r\n")
    assert rest == body
    assert b"connection: close" in head
    length = len(body) if b"HEAD" not in request_ else 3
    assert b"content-length: %d\r\n" % length in head


def test_what_nobody_foresaw_is_told(ask: Ask, written: io.StringIO) -> None:
    """It ends neither the listener nor its silence."""
    for _ in range(2):
        assert statuses(ask(b"GET /bad HTTP/1.0\r\n\r\n")) == [500]
    (line,) = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (line["event"], line["part"]) == ("failed", "/bad")
    assert statuses(ask(LAST)) == [200]


def test_who_reads_nothing_holds_up_nobody(address: tuple[str, int], ask: Ask) -> None:
    """And gets all when it reads: nothing more is answered meanwhile."""
    with socket.create_connection(address) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\n\r\n" * 3 + LAST)
        time.sleep(0.3)
        assert statuses(ask(LAST)) == [200]
        said = all_of(slow)
    assert statuses(said) == [200] * 4
    assert said.count(b"x" * 4_000_000) == 3


def test_who_goes_on_to_ask_and_reads_nothing_is_cut_off(address: tuple[str, int]) -> None:
    """Its requests would fill the memory, or its answers."""
    with socket.create_connection(address) as slow:
        slow.sendall(b"GET /large HTTP/1.1\r\n\r\n" * 4)
        slow.settimeout(60)
        with pytest.raises(ConnectionError):
            slow.sendall(b"GET /a HTTP/1.1\r\n\r\n" * 1_000_000)


def test_who_has_left_is_not_kept_for_an_answer_that_is_never_made() -> None:
    """A log on a dead mount hangs for days, and probes go on to come."""
    go_on = Event()

    def hangs() -> Reply:
        go_on.wait(60)
        return Reply(200, {}, b"")

    def connections() -> int:
        gc.collect()
        return sum(isinstance(each, Protocol) for each in gc.get_objects())

    server = GetServer("127.0.0.1:0", {"/a": hangs})
    host, _, port = server.start().rpartition(":")
    try:
        for _ in range(20):
            with socket.create_connection((host, int(port))) as client:
                client.sendall(LAST)
        deadline = time.monotonic() + 30
        while connections() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert connections() == 0
    finally:
        go_on.set()
        server.stop(5.0)


def test_who_leaves_while_the_listener_stops_or_answers_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No connection stays open behind it, and none is left without an answer by another's end."""
    for _ in range(20):
        server = GetServer("127.0.0.1:0", {"/a": lambda: Reply(200, {}, b"one")})
        host, _, port = server.start().rpartition(":")
        for _ in range(20):
            with socket.create_connection((host, int(port))) as client:
                client.sendall(LAST)
        server.stop(5.0)
        gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_without_a_descriptor_left_the_start_is_an_error() -> None:
    """Neither a thread that dies in silence nor a wait without an end: a reload may start it."""
    code = """
import os, resource
from k8s_audit_otlp.telemetry.listener.get_server import GetServer
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
os.close(taken.pop())
try:
    GetServer("127.0.0.1:0", {}).start()
except OSError as error:
    os._exit(error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == errno.EMFILE


def test_an_answer_that_hangs_holds_up_no_end() -> None:
    """A log on a dead mount; the client sees that nothing comes any more."""
    go_on = Event()

    def slowly() -> Reply:
        go_on.wait(60)
        return Reply(200, {}, b"made")

    server = GetServer("127.0.0.1:0", {"/a": slowly})
    host, _, port = server.start().rpartition(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(LAST)
        time.sleep(0.2)
        server.stop(10.0)
        assert all_of(client) == b""
    go_on.set()


def test_no_bytes_end_the_listener(ask: Ask) -> None:
    """Whatever they are, and wherever they are cut."""
    dice = random.Random(7)  # noqa: S311 - no secret
    seeds = [LAST, GET, b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"\0\xff\r\n\r\n"]
    for _ in range(60):
        text = bytearray(dice.choice(seeds) * dice.randrange(1, 4))
        for _ in range(dice.randrange(6)):
            text[dice.randrange(len(text))] = dice.randrange(256)
        cut = dice.randrange(len(text))
        said = ask(bytes(text[:cut]) + b"\r\n\r\n", bytes(text[cut:]) + b"\r\n\r\nx x x\r\n\r\n")
        assert statuses(said)[-1:] <= [405]
    assert statuses(ask(LAST)) == [200]
