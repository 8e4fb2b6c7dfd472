"""Whatever lies in the directory, the agent ends only when it is done, and within its memory."""

from pathlib import Path

import pytest

from k8s_audit_otlp.cli.exit_codes import OK, UNDELIVERED
from tests.faults.directories import OddDirectory
from tests.faults.processes import MAX_RSS_KB, run_once, write_config
from tests.kit.backends.backend import Backend


def deliver(folder: Path, seed: int, backend: Backend) -> None:
    """Make the directory of *seed*, run an agent on it, and judge both."""
    odd = OddDirectory(folder / "log", seed)
    config = write_config(folder, backend.url)
    code, most_kb = run_once(config, folder / "said")
    said = (folder / "said").read_text()
    names = sorted(path.name for path in (folder / "log").iterdir())
    assert code in (OK, UNDELIVERED), (names, said)
    assert "Traceback" not in said
    assert odd.sound <= set(backend.received.audit_ids), names
    assert 0 < most_kb <= MAX_RSS_KB, (most_kb, names)


@pytest.mark.parametrize("seed", range(6))
def test_an_odd_directory_stops_nothing(tmp_path: Path, backend: Backend, seed: int) -> None:
    """Names, kinds of files and contents that no apiserver writes."""
    deliver(tmp_path, seed, backend)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 300))
def test_200_odd_directories_stop_nothing(tmp_path: Path, backend: Backend, seed: int) -> None:
    """The same with many more."""
    deliver(tmp_path, seed, backend)
