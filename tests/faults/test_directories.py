"""Whatever lies in the directory, the agent ends only when it is done, and within its memory."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from k8s_audit_otlp.cli import OK, UNDELIVERED
from tests.faults.directories import OddDirectory
from tests.faults.processes import environment, write_config
from tests.kit.backends.backend import Backend

MAX_RSS_KB = 100 * 1024


def deliver(folder: Path, seed: int, backend: Backend) -> None:
    """Make the directory of *seed*, run an agent on it, and judge both."""
    odd = OddDirectory(folder / "log", seed)
    config = write_config(folder, backend.url)
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", str(config)]
    with (folder / "said").open("wb") as file:
        process = subprocess.Popen(
            [*command, "--once", "--deadline", "20s"], stderr=file, env=environment()
        )
    most_kb = 0
    while process.poll() is None:
        most_kb = max(most_kb, peak_kb(process.pid))
        time.sleep(0.02)
    said = (folder / "said").read_text()
    names = sorted(path.name for path in (folder / "log").iterdir())
    assert process.returncode in (OK, UNDELIVERED), (names, said)
    assert "Traceback" not in said
    assert odd.sound <= set(backend.received.audit_ids), names
    assert 0 < most_kb <= MAX_RSS_KB, (most_kb, names)


def peak_kb(pid: int) -> int:
    """Return the most memory that a process has had resident, 0 once it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(w.split()[1]) for w in status.splitlines() if w.startswith("VmHWM")), 0)


@pytest.mark.parametrize("seed", range(6))
def test_an_odd_directory_stops_nothing(tmp_path: Path, backend: Backend, seed: int) -> None:
    """Names, kinds of files and contents that no apiserver writes."""
    deliver(tmp_path, seed, backend)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 300))
def test_200_odd_directories_stop_nothing(tmp_path: Path, backend: Backend, seed: int) -> None:
    """The same with many more."""
    deliver(tmp_path, seed, backend)
