"""Tests run in two processes, but in one where somebody watches."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def _run(*options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, __file__]
    command += ["-k", "test_here_and_now", "--color=no"]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_here_and_now() -> None:
    """What the others run."""


@pytest.mark.parametrize("option", ["--pdb", "-s"])
def test_a_debugger_meets_one_process(option: str) -> None:
    """Breakpoints work without a further flag."""
    assert "workers" not in _run(option)


def test_the_plain_command_runs_in_parallel() -> None:
    """As the README has it."""
    assert "2 workers" in _run()
