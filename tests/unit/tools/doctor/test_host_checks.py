"""Every check of the host, with real limits, locks, disks and processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile
from k8s_audit_otlp.tools.doctor.findings import CheckResult, State
from k8s_audit_otlp.tools.doctor.host_checks import CHECKS, HostFacts, judge_rooms
from tests.kit.present import present

TABLE = dict(CHECKS)
MIB = 1 << 20
ROOT = os.geteuid() == 0
HOLD = (
    "import sys, time; from pathlib import Path; from k8s_audit_otlp.state.lock import StateLock;"
    "StateLock(Path(sys.argv[1])).acquire(60, lambda _: print('waits', flush=True));"
    "print('holds', flush=True); time.sleep(60)"
)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def agent_on(state_dir: Path) -> Iterator[Callable[..., Any]]:
    """Start a process that takes the lock as an agent does, and say what it then does."""
    running = []

    def start() -> Any:
        command = [sys.executable, "-c", HOLD, str(state_dir)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return running[-1].pid, present(running[-1].stdout).readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    mounted = ROOT and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if not mounted or mounted.returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def look(name: str, state_dir: Path | None = None, **facts: Any) -> CheckResult:
    return present(TABLE[name](HostFacts(Path("/"), state_dir, **facts)))


def test_inotify_is_there(tmp_path: Path) -> None:
    """On a host as it should be."""
    assert look("host.inotify", log_dirs=[tmp_path]).state is State.OK


def test_exhausted_inotify_is_warned_of() -> None:
    """A process of a user of its own takes every instance it may have, then looks."""
    limit = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    code = (
        "import ctypes, os; from pathlib import Path;"
        "from k8s_audit_otlp.tools.doctor.host_checks import HostFacts, inotify;"
        "os.geteuid() or os.setuid(61234);"
        "libc = ctypes.CDLL(None);"
        f"taken = [libc.inotify_init1(0) for _ in range({limit})];"
        "print(*inotify(HostFacts(Path('/'))), sep='|')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    state, why, hint = done.stdout.strip().split("|")
    assert state == "warn"
    assert f"max_user_instances is {limit}" in why
    assert "sysctl" in hint


def test_a_state_directory_that_can_be_written_is_ok(state_dir: Path) -> None:
    """Nothing is left behind in it."""
    assert look("state.directory", state_dir).state is State.OK
    assert list(state_dir.iterdir()) == []


def test_a_state_directory_that_is_not_there_yet_is_ok(state_dir: Path) -> None:
    """The agent will make it; the doctor does not."""
    assert look("state.directory", state_dir / "new").state is State.OK
    assert not (state_dir / "new").exists()


def test_a_state_directory_that_is_a_file_fails(tmp_path: Path) -> None:
    """Or anything else that cannot be written."""
    (tmp_path / "file").touch()
    assert look("state.directory", tmp_path / "file").state is State.FAIL


def test_a_state_directory_of_another_user_fails(
    state_dir: Path, as_nobody: Callable[..., Any]
) -> None:
    """Whether it is there or has to be made."""
    state_dir.chmod(0o555)
    with as_nobody():
        assert look("state.directory", state_dir).state is State.FAIL
        assert look("state.directory", state_dir / "new").state is State.FAIL


def test_a_damaged_checkpoint_fails_with_its_hint(state_dir: Path) -> None:
    """The same words as the agent's own."""
    (state_dir / "checkpoint.json").write_text("{")
    verdict = look("state.directory", state_dir)
    assert verdict.state is State.FAIL
    assert "damaged" in verdict.why
    assert "move" in verdict.hint


def test_an_older_generation_and_open_modes_are_warned_of(state_dir: Path) -> None:
    """Neither stops anything."""
    CheckpointFile(state_dir).save(Checkpoint())
    state_dir.chmod(0o755)
    assert "chmod 700" in look("state.directory", state_dir).hint
    (state_dir / "checkpoint.json").unlink()  # the older one has the same inode
    (state_dir / "checkpoint.json").write_text("{")
    assert look("state.directory", state_dir).state is State.WARN


def test_one_agent_is_ok(state_dir: Path, agent_on: Callable[..., Any]) -> None:
    """The doctor may be asked beside it."""
    assert look("state.lock", state_dir).state is State.OK
    pid, does = agent_on()
    assert does == "holds"
    verdict = look("state.lock", state_dir)
    assert verdict.state is State.OK
    assert str(pid) in verdict.why


def test_a_second_agent_fails(state_dir: Path, agent_on: Callable[..., Any]) -> None:
    """Both are named by their process ids."""
    first, _ = agent_on()
    second, does = agent_on()
    assert does == "waits"
    verdict = look("state.lock", state_dir)
    assert verdict.state is State.FAIL
    assert f"process {first} works" in verdict.why
    assert f"process {second} waits" in verdict.why


def test_a_disk_with_room_is_ok(tmp_path: Path) -> None:
    """Whatever runs these tests has some."""
    assert look("host.disk", tmp_path, log_dirs=[tmp_path], min_free_bytes=1).state is State.OK


def test_a_full_disk_fails(small_disk: Path) -> None:
    """A real one; positions cannot be written there either."""
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"0" * 4096)
    assert look("host.disk", small_disk).state is State.FAIL
    verdict = look("state.directory", small_disk)
    assert verdict.state is State.FAIL
    assert "No space left" in verdict.why


@pytest.mark.parametrize(
    ("free", "state"), [(0, State.FAIL), (10, State.FAIL), (500, State.WARN), (1024, State.OK)]
)
def test_the_tightest_disk_decides(free: int, state: State) -> None:
    """Below a gigabyte deleted backups are not held, below 64 MiB it is urgent."""
    verdict = judge_rooms([(Path("/a"), 90_000 * MIB, 64 * MIB), (Path("/b"), free * MIB, 1 << 30)])
    assert verdict.state is state


def test_without_a_configuration_the_state_is_skipped() -> None:
    """It could be anywhere."""
    for name in ("state.directory", "state.lock"):
        assert look(name).state is State.SKIPPED
