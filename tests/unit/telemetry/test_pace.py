"""What the listener may take of the interpreter, with clocks of the test's own."""

import socket
from selectors import EVENT_READ

import pytest

from k8s_audit_otlp.telemetry.listener.pace import PacedSelector


class Thread:
    """A thread whose work, idleness and rests are said by the test."""

    def __init__(self) -> None:
        self.wall = 100.0
        self.cpu = 7.0
        self.rests: list[float] = []

    def selector(self) -> PacedSelector:
        return PacedSelector(lambda: self.wall, lambda: self.cpu, self.rest)

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.wall += seconds

    def work(self, seconds: float) -> None:
        self.wall += seconds
        self.cpu += seconds


def test_what_asks_now_and_then_never_waits() -> None:
    """A scrape of some milliseconds, twenty probes and a page, every second."""
    thread = Thread()
    with thread.selector() as selector:
        for _ in range(60):
            thread.work(0.03)
            selector.select(0)
            thread.wall += 0.97
    assert thread.rests == []


@pytest.mark.parametrize("turn_s", [0.0003, 0.003, 0.01])
def test_who_asks_without_end_gets_a_twentieth_of_a_core(turn_s: float) -> None:
    """However much is asked at once."""
    thread = Thread()
    with thread.selector() as selector:
        began, used = thread.wall, thread.cpu
        while thread.wall - began < 60:
            thread.work(turn_s)
            selector.select(0)
    assert (thread.cpu - used) / (thread.wall - began) == pytest.approx(0.05, rel=0.05)


def test_a_probe_in_a_crowd_waits_a_quarter_of_a_second_at_most() -> None:
    """A restart by kubelet would be worse than a slow delivery."""
    thread = Thread()
    with thread.selector() as selector:
        for _ in range(20):
            thread.work(0.5)
            selector.select(0)
    assert set(thread.rests) == {0.25}


def test_what_is_ready_is_told_after_a_rest() -> None:
    """Nothing that came meanwhile is passed over."""
    thread = Thread()
    here, there = socket.socketpair()
    with here, there, thread.selector() as selector:
        selector.register(here, EVENT_READ)
        there.send(b"x")
        thread.work(0.2)
        ((key, _),) = selector.select(0)
        assert key.fileobj is here
    assert len(thread.rests) == 1
