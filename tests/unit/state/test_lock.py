"""One agent per state directory."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from k8s_audit_otlp.state.lock import StateLock, StateLockedError
from tests.kit.present import present

HOLD = """
import sys, pathlib
from k8s_audit_otlp.state.lock import StateLock
StateLock(pathlib.Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Let another process hold the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert present(process.stdout).readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_lock(
    tmp_path: Path, other_process: subprocess.Popen[str]
) -> None:
    """The message says where, who and the hint."""
    lock = StateLock(tmp_path)
    with pytest.raises(StateLockedError) as refused:
        lock.acquire()
    assert str(tmp_path) in str(refused.value)
    assert f"process {other_process.pid}" in str(refused.value)
    assert "--state-dir" in str(refused.value)


def test_a_successor_waits_until_its_predecessor_is_gone(
    tmp_path: Path, other_process: subprocess.Popen[str]
) -> None:
    """However it goes: the kernel frees the lock."""
    waits: list[float] = []
    told: list[str] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other_process.kill()
            other_process.wait()

    lock = StateLock(tmp_path, sleep=sleep)
    lock.acquire(10.0, told.append)
    assert len(waits) >= 3
    assert told == [str(other_process.pid)]
    assert (tmp_path / "lock").read_text() == str(os.getpid())
    lock.release()


def test_patience_ends(tmp_path: Path, other_process: subprocess.Popen[str]) -> None:
    """It is counted in the waits themselves."""
    waits: list[float] = []
    with pytest.raises(StateLockedError):
        StateLock(tmp_path, sleep=waits.append).acquire(1.0)
    assert sum(waits) == pytest.approx(1.0, abs=0.11)
    assert other_process.poll() is None


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    """Releasing twice is harmless."""
    first, second = StateLock(tmp_path), StateLock(tmp_path)
    first.acquire()
    with pytest.raises(StateLockedError):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def _descriptors(file: Path) -> int:
    """Return how many of this process are open on *file*; other threads open and close others."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found += entry.samefile(file)
    return found


def test_no_descriptor_is_left_when_the_lock_is_refused(tmp_path: Path) -> None:
    """A supervisor may try for days."""
    held = StateLock(tmp_path)
    held.acquire()
    (file,) = tmp_path.iterdir()
    assert _descriptors(file) == 1
    for _ in range(5):
        with pytest.raises(StateLockedError):
            StateLock(tmp_path).acquire()
    assert _descriptors(file) == 1
    held.release()


def test_the_holder_is_known_while_it_holds(tmp_path: Path) -> None:
    """And asking neither takes the lock nor makes a file."""
    assert StateLock(tmp_path).holder() is None
    assert not list(tmp_path.iterdir())
    lock = StateLock(tmp_path)
    lock.acquire()
    assert StateLock(tmp_path).holder() == str(os.getpid())
    lock.release()
    assert StateLock(tmp_path).holder() is None


def test_a_lock_that_is_held_already_is_not_taken_again(tmp_path: Path) -> None:
    """The agent before a reload hands it over: waiting for oneself would never end."""
    lock = StateLock(tmp_path)
    lock.acquire()
    lock.acquire()
    lock.release()
    other = StateLock(tmp_path)
    other.acquire()
    other.release()
