"""The state on disk: resumed, fallen back on, refused - never a silent restart."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.cli.deliver import status as status_command
from k8s_audit_otlp.state.checkpoint import CheckpointFile, StateError
from k8s_audit_otlp.state.lock import StateLockedError
from k8s_audit_otlp.state.positions import read_positions
from k8s_audit_otlp.telemetry.backlog import inspect
from k8s_audit_otlp.telemetry.metrics.health_samples import health_samples
from k8s_audit_otlp.telemetry.page import status_of
from k8s_audit_otlp.telemetry.status import AgentStatus
from tests.kit.agent import Fixture


def conserved(fixture: Fixture) -> None:
    """Every record that was read is in one of the columns."""
    checkpoint = CheckpointFile(fixture.state).load().checkpoint
    assert checkpoint is not None
    for consumed in inspect(checkpoint):
        assert consumed.balance == 0, consumed


def test_a_restart_goes_on_where_the_last_run_ended(fixture: Fixture) -> None:
    """Nothing is sent twice after a clean stop."""
    for _ in range(3):
        fixture.write(20)
        fixture.once()
    assert len(fixture.backend.received.uids) == 60
    assert fixture.backend.received.duplicates == 0
    conserved(fixture)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    fixture: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    """Only repeats follow, and it is said."""
    fixture.write(20)
    fixture.once()
    (fixture.state / "checkpoint.json").write_text("{")
    fixture.write(5)
    fixture.once()
    assert len(fixture.backend.received.uids) == 25
    assert "damaged" in caplog.text


def test_without_a_usable_generation_the_agent_does_not_start(fixture: Fixture) -> None:
    """Starting over would send everything again or skip it: a person decides."""
    fixture.write(5)
    fixture.once()
    for name in ("checkpoint.json", "checkpoint.prev.json"):
        (fixture.state / name).write_text("[1, 2]")
    with pytest.raises(StateError, match="no usable state is left"):
        Agent(fixture.config(), {}).start()


def test_a_checkpoint_of_a_newer_version_is_refused(fixture: Fixture) -> None:
    """It is not guessed what a later format means."""
    fixture.write(5)
    fixture.once()
    path = fixture.state / "checkpoint.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 99}))
    with pytest.raises(StateError, match="newer version"):
        Agent(fixture.config(), {}).start()


def test_two_agents_do_not_share_a_state(fixture: Fixture) -> None:
    """The second one says who is in the way."""
    with fixture.running():
        second = Agent(fixture.config(), {}, AgentOptions(lock_timeout_s=0.2))
        with pytest.raises(StateLockedError, match="in use by process"):
            second.start()


def test_a_state_directory_that_is_deleted_is_made_again(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """The positions are still in memory; nothing is sent twice."""
    fixture.write(20)
    with fixture.running():
        fixture.backend.wait_for(20)
        while fixture.state.exists():  # the agent writes into it meanwhile
            shutil.rmtree(fixture.state, ignore_errors=True)
        fixture.write(5)
        fixture.backend.wait_for(25)
        wait_for((fixture.state / "checkpoint.json").exists)
    fixture.write(5)
    fixture.once()
    assert len(fixture.backend.received.uids) == 30
    assert fixture.backend.received.duplicates == 0


def fill(path: Path) -> bool:
    """Write to *path* until the disk is full; once more what a file in the making has freed."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with contextlib.suppress(OSError):
        while os.write(fd, b"x" * 1024):
            pass
    os.close(fd)
    return True


@pytest.fixture
def full_disk(fixture: Fixture) -> Iterator[Path]:
    """Put the state on a tmpfs of 1 MiB that something else can fill."""
    fixture.state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(fixture.state)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    filler = fixture.state / "filler"
    yield filler
    subprocess.run(["umount", "-l", str(fixture.state)], check=True)


def test_a_full_state_disk_stops_no_delivery_and_is_said(
    fixture: Fixture,
    full_disk: Path,
    wait_for: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Delivery goes on; once there is room the position is written again."""
    fixture.write(20)
    with fixture.running() as agent:
        fixture.backend.wait_for(20)
        fill(full_disk)
        fixture.write(20)
        fixture.backend.wait_for(40)
        wait_for(lambda: fill(full_disk) and agent.commit_error)
        full_disk.unlink()
        fixture.write(1)
        wait_for(lambda: not agent.commit_error)
    assert "cannot be written" in caplog.text
    conserved(fixture)


def test_a_full_state_disk_is_what_status_page_and_metrics_tell(
    fixture: Fixture, full_disk: Path, wait_for: Callable[..., Any]
) -> None:
    """The report of `status` lies on that disk, too; an agent that runs is never taken for dead."""
    fixture.write(20)
    agent = Agent(fixture.config(), {})
    status = AgentStatus(agent, fixture.state / "none")
    agent.start()
    status.start()
    thread = Thread(target=agent.run)
    thread.start()
    try:
        wait_for(lambda: "agent " in (told := told_by_status(fixture)) and "backlog  0 B" in told)
        fill(full_disk)
        fixture.write(20)
        refused = "not ready: positions cannot be written"
        wait_for(lambda: fill(full_disk) and refused in told_by_status(fixture))
        told = told_by_status(fixture)
        assert f"agent {os.getpid()} is running" in told
        assert "No space left" in told
        assert "make room" in told
        assert {name: value for name, _, value in health_samples(status._health())}[
            "k8s_audit_otlp_ready"
        ] == 0
        page = status_of(agent, status._health(), 0.0)
        assert page["kind"] == "bad"
        assert "No space left" in page["reasons"][0]
    finally:
        agent.stop()
        thread.join(30)
    assert "no agent is running" in told_by_status(fixture)


def told_by_status(fixture: Fixture) -> str:
    return CliRunner().invoke(status_command, ["--state-dir", str(fixture.state)]).output


def test_a_full_state_disk_does_not_lose_the_positions(
    fixture: Fixture, full_disk: Path, wait_for: Callable[..., Any]
) -> None:
    """They are written in place, where there was room when the agent started."""
    fixture.write(20)
    with fixture.running() as agent:
        fixture.backend.wait_for(20)
        fill(full_disk)
        fixture.write(20)
        fixture.backend.wait_for(40)
        wait_for(lambda: fill(full_disk) and agent.commit_error)
    full_disk.unlink()
    fixture.write(1)
    fixture.once()
    assert len(fixture.backend.received.uids) == 41
    assert fixture.backend.received.duplicates == 0
    conserved(fixture)


def test_a_start_on_a_full_disk_goes_on_in_the_positions_of_before(
    fixture: Fixture, full_disk: Path, wait_for: Callable[..., Any]
) -> None:
    """However often it ends without a checkpoint: what one life delivered the next does not."""
    fixture.write(20)
    fixture.once()
    fill(full_disk)
    for life in range(1, 4):
        fixture.write(20)
        with fixture.running() as agent:
            fixture.backend.wait_for(20 * (life + 1))
            wait_for(lambda agent=agent: fill(full_disk) and agent.commit_error)
    full_disk.unlink()
    fixture.write(1)
    fixture.once()
    assert len(fixture.backend.received.uids) == 81
    assert fixture.backend.received.duplicates == 0
    conserved(fixture)


@pytest.mark.parametrize("kept", [1, 2, 4])
def test_files_that_came_and_went_while_the_disk_was_full_are_no_gap(
    fixture: Fixture, full_disk: Path, wait_for: Callable[..., Any], kept: int
) -> None:
    """The positions name them, their order and their ends; no checkpoint ever did."""
    fixture.write(20)
    fixture.once()
    fill(full_disk)
    with fixture.running():
        for turn in range(1, 5):
            fixture.write(20)
            fixture.backend.wait_for(20 * (turn + 1))
            fixture.rotate(f"audit-2026-01-02T03-0{turn}-05.000.log")
            fixture.write(1)
            wait_for(lambda turn=turn: fill(full_disk) and ended(fixture) >= turn)
    for backup in sorted(fixture.log.parent.glob("audit-*"))[:-kept]:
        backup.unlink()
    with fixture.running():  # it meets fewer files than the one before, and gives them numbers
        fixture.write(1)
        fixture.backend.wait_for(105)
    full_disk.unlink()
    fixture.write(1)
    fixture.once()
    assert [n for n in fixture.backend.received.notices if n.event_name == "k8s.audit.gap"] == []
    assert fixture.backend.received.duplicates == 0


def ended(fixture: Fixture) -> int:
    return sum(record.ended for record in read_positions(fixture.state))


def test_when_too_much_is_uncommitted_delivery_stops(
    fixture: Fixture, full_disk: Path, wait_for: Callable[..., Any]
) -> None:
    """A bound on what a restart would send again, where no position can be written at all."""
    fixture.service = "max_uncommitted: 1KiB, "
    fill(full_disk)
    fixture.write(20)
    with fixture.running() as agent:
        wait_for(lambda: fill(full_disk) and agent.exporters[0].gate.stalled)
        full_disk.unlink()
        wait_for(lambda: not agent.exporters[0].gate.stalled)
    conserved(fixture)
