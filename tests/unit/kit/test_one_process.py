"""Tests run in several processes, but in one where somebody watches."""

from pathlib import Path

import pytest

from tests.conftest import WORKERS, pytest_xdist_auto_num_workers

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("option", ["--pdb", "--trace", "-s"])
def test_a_debugger_meets_one_process(pytester: pytest.Pytester, option: str) -> None:
    """Breakpoints work without a further flag."""
    config = pytester.parseconfig("-nauto", "--dist=loadfile", option)
    assert pytest_xdist_auto_num_workers(config) == 0
    assert config.getoption("dist") == "no"


def test_the_plain_command_runs_in_parallel(pytester: pytest.Pytester) -> None:
    """As the README has it."""
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text())
    pytester.mkdir("tests")
    config = pytester.parseconfig()
    assert config.getini("addopts").count("-nauto") == 1
    assert config.getoption("dist") == "loadfile"
    assert pytest_xdist_auto_num_workers(config) == WORKERS
