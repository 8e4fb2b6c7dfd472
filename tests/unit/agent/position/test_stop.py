"""How an agent ends: at once, or when everything is delivered."""

import fcntl
import os
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import Any, NamedTuple

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions, Resumed
from tests.kit.agent import Fixture, exported
from tests.kit.backends.backend import Backend
from tests.kit.backends.grpc_backend import GrpcBackend
from tests.kit.backends.steps import Accept, Exchange, Hang, Step, Throttle
from tests.kit.judged import with_key


def test_asked_to_stop_it_first_catches_up_where_that_is_set(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """A node that goes away takes its log with it: the backlog is delivered before the end."""
    fixture.service = "until: caught_up, "
    fixture.backend.plan = [Throttle(503)]
    fixture.write(200)
    agent = Agent(fixture.config(), {}, AgentOptions(lock_timeout_s=0.5))
    agent.start()
    ended = []
    thread = Thread(target=lambda: ended.append(agent.run()))
    thread.start()
    wait_for(lambda: fixture.backend.requests_total > 0)
    agent.stop()
    before = fixture.backend.requests_total
    wait_for(lambda: fixture.backend.requests_total > before)  # it is still at it
    assert thread.is_alive()
    fixture.backend.plan = [Accept()]
    thread.join(60)
    assert ended == [True]
    assert len(fixture.backend.received.uids) == 200


def test_what_cannot_catch_up_ends_after_the_deadline_and_says_so(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """A back end that is down does not hold the node for ever."""
    fixture.service = "until: caught_up, "
    fixture.backend.plan = [Throttle(503)]
    fixture.write(20)
    agent = Agent(fixture.config(), {}, AgentOptions(deadline_s=0.5, lock_timeout_s=0.5))
    agent.start()
    ended = []
    thread = Thread(target=lambda: ended.append(agent.run()))
    thread.start()
    wait_for(lambda: fixture.backend.requests_total > 0)
    agent.stop()
    thread.join(60)
    assert ended == [False]
    assert agent.shutdown.undelivered()[0][:2] == ("otlp_http", "audit.log")


def test_a_second_request_to_stop_does_not_wait_for_it(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """Who insists is obeyed; the rest is sent after the next start."""
    fixture.service = "until: caught_up, "
    fixture.backend.plan = [Throttle(503)]
    fixture.write(20)
    agent = Agent(fixture.config(), {}, AgentOptions(lock_timeout_s=0.5))
    agent.start()
    thread = Thread(target=agent.run)
    thread.start()
    wait_for(lambda: fixture.backend.requests_total > 0)
    agent.stop()
    agent.stop()
    thread.join(60)
    assert not thread.is_alive()
    fixture.backend.plan = [Accept()]
    fixture.service = ""
    fixture.once()
    assert len(fixture.backend.received.uids) == 20


@dataclass(frozen=True)
class HalfAnswer:
    """Send the first part of an answer and nothing more."""

    begin: bytes

    def respond(self, exchange: Exchange) -> None:
        exchange.send(self.begin)
        exchange.pause(None)


class Hanging(NamedTuple):
    exporter: str
    reached: Callable[[], object]  # whether a request is on its way


@contextmanager
def without_handshake() -> Iterator[Hanging]:
    """Take connections and say nothing, not even a TLS handshake."""
    met: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=lambda: met.append(server.accept()[0]), daemon=True)
        thread.start()
        port = server.getsockname()[1]
        yield Hanging(f"otlp_http: {{endpoint: https://127.0.0.1:{port}}}", lambda: met)
    for connection in met:
        connection.close()


@contextmanager
def unread_pipe() -> Iterator[Hanging]:
    """Hold a pipe open that takes what fits and is never read."""
    with TemporaryDirectory() as folder:
        pipe = Path(folder, "pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        yield Hanging(f"otlp_file: {{path: {pipe}}}", lambda: waiting_in(reader) > PIPE_BYTES // 2)
        os.close(reader)


def waiting_in(pipe: int) -> int:
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@contextmanager
def hanging(kind: str) -> Iterator[Hanging]:
    """Run a back end that never gives a whole answer, or one where *kind* is `nothing`."""
    if kind in ("handshake", "pipe"):
        with without_handshake() if kind == "handshake" else unread_pipe() as found:
            yield found
        return
    step: Step = Accept() if kind == "nothing" else Hang()
    if kind == "headers":
        step = HalfAnswer(b"HTTP/1.1 200 OK\r\nContent-Le")
    elif kind == "body":
        step = HalfAnswer(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    backend = GrpcBackend([step]) if kind == "grpc" else Backend([step])
    with backend:
        tls = ", tls: {insecure: true}" if kind == "grpc" else ""
        name = "otlp_grpc" if kind == "grpc" else "otlp_http"
        exporter = f"{name}: {{endpoint: {backend.url}{tls}}}"
        yield Hanging(exporter, lambda: backend.requests_total)


_STOP = "k8s.audit.seal.agent"
PROMISED_S = 5.0
PIPE_BYTES = 65_536  # that it holds
ENDS = 6  # measured at most


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("SIGTERM", "answer"),
        ("until: caught_up", "answer"),
        ("--once", "answer"),
        ("SIGTERM", "headers"),
        ("until: caught_up", "body"),
        ("SIGTERM", "handshake"),
        ("--once", "handshake"),
        ("SIGTERM", "grpc"),
        ("until: caught_up", "grpc"),
        ("SIGTERM", "pipe"),
    ],
)
def test_beside_a_back_end_that_hangs_the_process_ends_within_five_seconds(
    fixture: Fixture, way: str, kind: str
) -> None:
    """With the default settings: whoever waits for the end kills it soon after.

    The shortest of some ends: a busy machine makes one longer, what the agent waits for makes all.
    What the same end takes where nothing hangs is the machine's share.
    """
    took_s: list[float] = []
    while len(took_s) < ENDS and min(took_s, default=PROMISED_S) >= PROMISED_S:
        fixture.write(300)
        took_s.append(end_of(fixture, way, kind))
        if took_s[-1] >= PROMISED_S:
            took_s[-1] -= end_of(fixture, way, "nothing")
    assert min(took_s) < PROMISED_S, took_s


def end_of(fixture: Fixture, way: str, kind: str) -> float:
    """Run an agent until it is asked to end; return how many seconds it takes to."""
    config = fixture.folder / "agent.yaml"
    until = "until: caught_up, " if way.startswith("until") else ""
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", str(config)]
    more = ["--once", "--deadline", "500ms"] if way == "--once" else []
    with hanging(kind) as backend:
        config.write_text(
            f"receivers: {{k8s_audit: {{include: [{fixture.log}]}}}}\n"
            f"exporters: {{{backend.exporter}}}\n"
            f"service: {{{until}state_dir: {fixture.state}}}\n"
        )
        with subprocess.Popen([*command, *more], stderr=subprocess.DEVNULL) as process:
            while not backend.reached():
                assert process.poll() is None or backend.reached()  # it may have, just before
                time.sleep(0.02)
            asked = time.monotonic()
            if way != "--once":
                process.terminate()
            process.wait(60)
            return time.monotonic() - asked


def test_where_it_goes_on_is_told_before_anything_is_sent(fixture: Fixture) -> None:
    """A line that a request failed stands behind the one that says what was begun."""
    fixture.write(20)
    agent = Agent(fixture.config(), {}, AgentOptions(once=True, lock_timeout_s=0.5))
    told: list[tuple[int, bool]] = []

    def before(resumed: list[Resumed]) -> None:
        working = any(thread.name.startswith(("read ", "send ")) for thread in enumerate_threads())
        told.append((len(resumed), working))

    agent.start(before)
    assert told == [(1, False)]
    assert agent.run()


def test_an_agent_that_hands_over_at_a_reload_signs_no_stop(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """It would be a place at which to cut: all that came later could be taken out."""
    with_key(fixture)
    fixture.write(3)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(1)
    agent = Agent(fixture.config(), {}, AgentOptions(lock_timeout_s=0.5))
    agent.start()
    thread = Thread(target=agent.run)
    thread.start()
    wait_for(lambda: any("k8s.audit.seal.key" in row for row in exported(fixture.backend)))
    agent.hand_over()
    thread.join(60)
    assert not any(_STOP in row for row in exported(fixture.backend))
    agent.lock.release()
    fixture.once()
    assert any(_STOP in row for row in exported(fixture.backend))
