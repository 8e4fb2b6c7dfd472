"""What systemd hears through its socket; whatever becomes of it holds nothing up."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.telemetry.systemd import ServiceManager


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Listen as systemd does; the second is the name as the environment has it."""
    path = str(tmp_path / "notify")
    name = path if request.param == "path" else f"@k8s-audit-otlp/{os.getpid()}/{time.time_ns()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind("\0" + name[1:] if name.startswith("@") else name)
        made.settimeout(60)
        yield made, name


def received(listener: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in listener.recv(4096).decode().splitlines())


def test_each_state_is_told_in_systemds_words(listener: tuple[socket.socket, str]) -> None:
    """A reload with the time that `Type=notify-reload` asks for; an end once."""
    manager = ServiceManager({"NOTIFY_SOCKET": listener[1]})
    manager.ready("2 exporters on 1 logs")
    assert received(listener[0]) == {"READY": "1", "STATUS": "2 exporters on 1 logs"}
    before = time.monotonic_ns() // 1000
    manager.reloading()
    told = received(listener[0])
    assert told["RELOADING"] == "1"
    assert before <= int(told["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    manager.stopping()
    manager.stopping()
    manager.ready("last")
    assert received(listener[0]) == {"STOPPING": "1", "STATUS": "stopping"}
    assert received(listener[0])["STATUS"] == "last"


def test_it_beats_twice_as_often_as_systemd_waits(listener: tuple[socket.socket, str]) -> None:
    """And not in between: what is asked for is a sign of life, not a stream."""
    now = [0.0]
    env = {"NOTIFY_SOCKET": listener[1], "WATCHDOG_USEC": "120000000"}
    manager = ServiceManager(env, monotonic=lambda: now[0])
    beats = 0
    for _ in range(241):
        manager.beat()
        now[0] += 1.0
    listener[0].setblocking(False)
    while True:
        try:
            assert received(listener[0]) == {"WATCHDOG": "1"}
        except BlockingIOError:
            break
        beats += 1
    assert beats == 5  # at 0, 60, 120, 180 and 240 s


def test_a_drain_longer_than_the_watchdog_is_no_hang(listener: tuple[socket.socket, str]) -> None:
    """Nothing beats while requests end: systemd hears how long that may take, and its end."""
    env = {"NOTIFY_SOCKET": listener[1], "WATCHDOG_USEC": "120000000"}
    manager = ServiceManager(env)
    manager.reloading(600.0)
    told = received(listener[0])
    assert (told["RELOADING"], told["WATCHDOG_USEC"], told["WATCHDOG"]) == ("1", "720000000", "1")
    manager.ready("it works")
    told = received(listener[0])
    assert (told["READY"], told["WATCHDOG_USEC"], told["WATCHDOG"]) == ("1", "120000000", "1")
    manager.stopping(180.0)
    assert received(listener[0])["WATCHDOG_USEC"] == "300000000"


def test_how_it_is_is_told_when_it_changes(listener: tuple[socket.socket, str]) -> None:
    """Not more often than somebody can read it, and no more once it ends."""
    now = [0.0]
    manager = ServiceManager({"NOTIFY_SOCKET": listener[1]}, monotonic=lambda: now[0])
    for second, text in enumerate("aabbbbbbbbbcccccdd"):
        now[0] = float(second)
        manager.status(text.__str__)
    manager.stopping()
    now[0] = 100.0
    manager.status(lambda: "late")
    manager.ready("end")
    told = [received(listener[0])["STATUS"] for _ in range(5)]
    assert told == ["a", "b", "c", "stopping", "end"]
    ServiceManager({}).status(lambda: pytest.fail("nobody is there to read it"))


def test_after_a_reload_it_is_told_again_how_it_is(listener: tuple[socket.socket, str]) -> None:
    """It is as it was, but systemd shows what was said last: how many exporters there are."""
    manager = ServiceManager({"NOTIFY_SOCKET": listener[1]})
    for _ in range(2):
        manager.ready("1 exporter on 1 log")
        manager.status(lambda: "Nothing is being lost.")
        assert received(listener[0])["STATUS"] == "1 exporter on 1 log"
        assert received(listener[0])["STATUS"] == "Nothing is being lost."


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "@" + "x" * 300, "WATCHDOG_USEC": "soon"},
    ],
)
def test_without_systemd_nothing_happens(env: dict[str, str]) -> None:
    """Nor with a socket that is gone, or cannot be."""
    manager = ServiceManager(env)
    manager.ready("")
    manager.beat()
    manager.reloading()
    manager.stopping()


def test_a_watchdog_of_another_process_is_not_ours(listener: tuple[socket.socket, str]) -> None:
    """The environment of a parent says whom it is meant for."""
    env = {"NOTIFY_SOCKET": listener[1], "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}
    manager = ServiceManager(env)
    manager.beat()
    manager.ready("first")
    assert received(listener[0])["STATUS"] == "first"


def test_a_manager_that_reads_nothing_holds_nobody_up_for_long(tmp_path: Path) -> None:
    """Its buffer is full after some messages; each further one waits for a moment only."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        longest = 0.0
        for _ in range(2000):
            begin = time.thread_time(), time.monotonic()
            manager.ready("x" * 1000)
            longest = max(longest, time.monotonic() - begin[1])
            if longest > 0.09:
                break
        else:
            pytest.fail("its buffer was never full")
    assert longest < 30.0, "it does not wait for a reader"
