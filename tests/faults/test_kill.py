"""kill -9 at any moment loses no event."""

from pathlib import Path

import pytest
from scene import Script, Totals, kill_at_random

RUNS = 200


def check(totals: Totals) -> None:
    assert totals.missing == 0, totals
    assert totals.foreign <= 1, totals  # the writer's note of the last event may be missing
    assert not totals.notes, totals


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_a_random_moment_loses_nothing(tmp_path: Path, seed: int) -> None:
    """Some short runs with kills while the log is written, rotated and compressed."""
    check(kill_at_random(tmp_path / "run", seed, Script()))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_runs_with_kills_lose_nothing(tmp_path: Path) -> None:
    """The same 200 times; repeats stay within what was in flight and not committed."""
    written = repeated = kills = 0
    for seed in range(1000, 1000 + RUNS):
        totals = kill_at_random(tmp_path / str(seed), seed, Script(seconds=3.0))
        check(totals)
        written += totals.written
        repeated += totals.repeated
        kills += totals.kills
    print(f"{RUNS} runs, {written} events, {kills} kills, {repeated} repeats")  # noqa: T201
