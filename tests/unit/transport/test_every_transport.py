"""Every transport meets the same harm: nothing broken is taken for delivered, nothing is held."""

import resource
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from k8s_audit_otlp.config.exporters import OtlpFile
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Retry
from k8s_audit_otlp.transport.file import FileSender
from k8s_audit_otlp.transport.sender import ExportRequest, Sender, close_all
from tests.kit.senders import grpc_sender, http_sender

Scopes = Mapping[str, tuple[bytes, bytes]]
Record = Callable[..., bytes]
TIMEOUT_S = 2.0
LONGEST_S = 60.0  # far above what is right, on a busy machine
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"  # an empty SETTINGS frame of HTTP/2
ANSWERS = {
    "nothing": b"",
    "zeros": bytes(1000),
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "HTTP/1.1 that breaks off": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    "HTTP/1.1 with a login page": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    ),
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x46",
    "HTTP/2 and then nothing": SETTINGS,
    "HTTP/2 with a frame of 16 MiB": SETTINGS + b"\xff\xff\xff" + bytes(5) + b"\x01" + bytes(999),
    "HTTP/2 that goes away": SETTINGS + b"\x00\x00\x08\x07\x00" + bytes(8) + b"\x00\x00\x00\x0b",
    "control characters": b"HTTP/1.1 400 \x1b[31m\x00bad\r\n\r\n" * 5000,
}


@contextmanager
def answering(play: Callable[[socket.socket], object]) -> Iterator[int]:
    """Listen; give every connection that has said something what *play* sends, and close it."""

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(LONGEST_S)
            connection.recv(65_536)
            play(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def sender_to(port: int, kind: str, scopes: Scopes) -> Sender:
    url = f"http://127.0.0.1:{port}"
    if kind == "grpc":
        return grpc_sender(url, scopes, timeout=f"{TIMEOUT_S}s")
    return http_sender(f"{url}/v1/logs", scopes, timeout=f"{TIMEOUT_S}s")


def sent(sender: Sender, records: list[bytes]) -> tuple[Outcome, float]:
    started = time.monotonic()
    try:
        outcome = sender.send(sender.prepare("k8s_audit", records))
        return outcome, time.monotonic() - started
    finally:
        sender.close()


def is_kept(outcome: Outcome) -> bool:
    """Say whether the data stays, and the reason is one short line for people."""
    if not isinstance(outcome, Retry | Misconfigured):
        return False
    return outcome.why.isprintable() and 0 < len(outcome.why) < 400


@pytest.mark.parametrize("kind", ["http", "grpc"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_a_broken_answer_is_no_acknowledgement(
    resource_scopes: Scopes, record: Record, kind: str, answer: bytes
) -> None:
    """From the network, whichever protocol was asked for."""
    with answering(lambda connection: connection.sendall(answer)) as port:
        outcome, seconds = sent(sender_to(port, kind, resource_scopes), [record("a")])
    if kind == "http" and answer.startswith(b"HTTP/1.1 400"):
        assert not isinstance(outcome, Delivered)
        return
    assert is_kept(outcome), outcome
    assert seconds < LONGEST_S


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_a_trickle_does_not_hold_a_request(
    resource_scopes: Scopes, record: Record, kind: str
) -> None:
    """The deadline is that of the whole request."""

    def drip(connection: socket.socket) -> None:
        for _ in range(1200):  # two minutes of it
            connection.sendall(SETTINGS)
            time.sleep(0.1)

    with answering(drip) as port:
        outcome, seconds = sent(sender_to(port, kind, resource_scopes), [record("a")])
    assert is_kept(outcome)
    assert seconds < LONGEST_S


@contextmanager
def no_room(most: int) -> Iterator[None]:
    """Let no file grow over *most* bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_full_disk_is_no_acknowledgement(
    tmp_path: Path, resource_scopes: Scopes, record: Record, size: int
) -> None:
    """And what was written of a line before is no half line of the file afterwards."""
    path = tmp_path / "out.jsonl"
    sender = FileSender(OtlpFile(path=str(path)), resource_scopes)
    assert isinstance(sender.send(sender.prepare("k8s_audit", [record("a")])), Delivered)
    whole = path.read_bytes()
    with no_room(len(whole) + 500):
        outcome = sender.send(sender.prepare("k8s_audit", [record("b", size=size)]))
    assert is_kept(outcome)
    assert path.read_bytes().startswith(whole)
    again, _ = sent(sender, [record("b", size=size)])
    assert isinstance(again, Delivered)
    lines = path.read_bytes().splitlines()
    assert all(line.endswith(b"}") for line in lines)


@pytest.mark.parametrize("what", ["a directory", "below a file", "nowhere"])
def test_a_file_that_cannot_be_is_said(
    tmp_path: Path, resource_scopes: Scopes, record: Record, what: str
) -> None:
    """Which is for somebody to mend; nothing is lost."""
    (tmp_path / "file").touch()
    paths = {"a directory": tmp_path, "below a file": tmp_path / "file" / "x"}
    path = paths.get(what, tmp_path / "none" / "x")
    outcome, _ = sent(FileSender(OtlpFile(path=str(path)), resource_scopes), [record("a")])
    assert is_kept(outcome)


class Stuck:
    """A sender that may take any time to end."""

    def __init__(self, ends: Event) -> None:
        self._ends = ends
        self.closed = False

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        raise NotImplementedError

    def send(self, request: ExportRequest) -> Outcome:
        raise NotImplementedError

    def close(self) -> None:
        self._ends.wait()
        self.closed = True


def test_the_end_waits_for_no_sender_that_is_stuck() -> None:
    """The others are closed."""
    never, at_once = Event(), Event()
    at_once.set()
    stuck, others = Stuck(never), [Stuck(at_once), Stuck(at_once)]
    close_all([stuck, *others])
    assert [stuck.closed, *(other.closed for other in others)] == [False, True, True]
    never.set()
