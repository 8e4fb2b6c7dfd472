"""The loop of a running agent goes on where one of its parts fails, and ends all the same."""

import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from k8s_audit_otlp.agent.commit_loop import CommitLoop, Wake
from k8s_audit_otlp.agent.shutdown import DrainTarget, Shutdown
from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.telemetry.journal import Failures
from tests.kit.agent import NobodyListens


class Parts:
    """What the loop calls, as a list of names; one of them fails whenever it is called."""

    error = ""
    has_target = False
    at_once = False
    reached = False
    is_short_of_room = False
    logs: tuple[Any, ...] = ()
    exporters: tuple[Any, ...] = ()

    def __init__(self, failing: str) -> None:
        self.failing = failing
        self.called: list[str] = []

    def _call(self, name: str) -> None:
        self.called.append(name)
        if name == self.failing:
            raise ZeroDivisionError

    def mark_passed(self, _logs: Any, _exporters: Any) -> None:
        self._call("mark_passed")

    def commit(self, *, durable: bool) -> None:
        self._call("durable commit" if durable else "commit")

    def free(self) -> None:
        self._call("free")

    def tick(self) -> None:
        self._call("tick")

    def second(self) -> None:
        self._call("second")

    def look(self, _now: float) -> None:
        self.at_once = len(self.called) > 12
        self._call("look")


def run(parts: Any, told: Any) -> None:
    wake = Wake()
    wake.set()
    guard = Failures(told, monotonic=lambda: 0.0).guard
    loop = CommitLoop(parts, parts, parts, wake, guard, lambda: 7.0)
    loop.run([parts.tick], [("watch", parts.second)])


@pytest.mark.parametrize(
    "failing", ["mark_passed", "durable commit", "free", "tick", "second", "look"]
)
def test_a_part_that_fails_stops_no_other(failing: str) -> None:
    """It is told in the stream, and what depends on it alone is left out."""
    parts, told = Parts(failing), Evidence(lambda: 7)
    run(parts, told)
    due = [name for name in parts.called if name not in ("free", "second")]
    assert due[:4] == ["mark_passed", "durable commit", "tick", "look"]
    assert parts.called.count("look") > 1
    assert ("free" in parts.called) == (failing != "durable commit")
    assert "second" in parts.called


@pytest.mark.parametrize("short", [False, True])
def test_what_is_passed_is_deleted_at_once_where_room_is_short(short: bool) -> None:
    """Only after a commit that is on the disk: else once a second."""
    parts = Parts("")
    parts.is_short_of_room = short
    run(parts, Evidence(lambda: 7))
    commits = [name for name in parts.called if name.endswith("commit")]
    assert commits[0] == "durable commit"  # the first one is due
    assert (commits[1] == "durable commit") == short
    assert parts.called.count("free") == commits.count("durable commit")


def test_nothing_is_deleted_after_a_commit_that_the_disk_refused() -> None:
    """What the positions on disk say is needed still."""
    parts = Parts("")
    parts.error = "No space left on device"
    run(parts, Evidence(lambda: 7))
    assert "free" not in parts.called


def test_an_agent_that_gets_nowhere_ends_where_no_receipt_can_be_written(tmp_path: Path) -> None:
    """Else `--once` had no end: what fails is beside the look at whether anything moves."""
    log = AuditLog("k8s_audit", tmp_path / "audit.log", NobodyListens())
    subscription = Subscription(log, "siem", Ledger())

    def failing() -> None:
        raise ZeroDivisionError

    shutdown = Shutdown(
        lambda: DrainTarget([log], [subscription], 5.0),
        write_receipts=failing,
        catch_up_first=False,
    )
    shutdown.set_target()
    for now_s, reached in ((0.0, False), (4.0, False), (5.0, True)):
        with pytest.raises(ZeroDivisionError):
            shutdown.look(now_s)
        assert shutdown.reached == reached
    log.close()


def test_a_signal_handler_may_wake_the_thread_at_any_moment_of_its_wait() -> None:
    """A handler runs between two steps of the thread that it interrupts, as a profiler does."""
    wake, steps = Wake(), []

    def handle(_frame: FrameType, event: str, _arg: object) -> None:
        sys.setprofile(None)
        steps.append(event)
        wake.set()
        sys.setprofile(handle)

    sys.setprofile(handle)
    try:
        wake.wait(0.01)
    finally:
        sys.setprofile(None)
    assert len(steps) > 4
    wake.wait(0.0)
    begin = time.monotonic()
    wake.wait(0.05)
    assert time.monotonic() - begin >= 0.05  # it is not set any more
