"""Whatever the writer does between two system calls of ours, no event is lost in silence."""

from pathlib import Path

import pytest

from tests.model.interleaved import Run
from tests.model.planted_logs import AssumingLog

_SCHEMES = ["numbered", "copytruncate", "lumberjack", "dateext"]
_HOLE = "a file with a number between"  # in the midst of renaming


# With each of these something was once lost in silence, or said to be missing where nothing was.
@pytest.mark.parametrize(
    ("scheme", "kept", "seeds"),
    [
        ("numbered", 3, (12, 21)),
        ("numbered", 0, (0,)),
        *(("copytruncate", 1, (35,)), ("copytruncate", 2, (19, 30)), ("copytruncate", 3, (6, 35))),
        ("copytruncate", 0, (0, 211, 220, 1178)),
        *(("lumberjack", 1, (0,)), ("lumberjack", 0, (0,))),
    ],
)
def test_every_line_arrives_or_a_gap_tells_why(
    tmp_path: Path, scheme: str, kept: int, seeds: tuple[int, ...]
) -> None:
    """Rotations, deletions and kills, wherever they come; no gap where nothing was deleted."""
    for seed in seeds:
        _judge(seed, tmp_path / str(seed), scheme, kept)


def test_a_gap_that_is_not_told_is_caught(tmp_path: Path) -> None:
    """Takes it that what it finds follows what it knew."""
    run = Run(12, tmp_path, "numbered", 1, AssumingLog)
    run.run()
    assert run.silent()


@pytest.mark.parametrize(
    ("scheme", "kept", "seeds"),
    [
        ("mixed", 1, (667, 1153)),
        ("mixed", 2, (365, 380, 646)),
        ("mixed", 3, (302, 322, 407, 662)),
        *(("dated", 1, (1, 29)), ("dated", 2, (25,)), ("dated", 3, (20,))),
        ("again", 2, (10, 15)),
    ],
)
def test_of_several_ways_to_make_backups_each_is_proven_by_itself(
    tmp_path: Path, scheme: str, kept: int, seeds: tuple[int, ...]
) -> None:
    """Two or three at once; gaps are told where nothing is gone, too: nothing proves it."""
    for seed in seeds:
        _judge(seed, tmp_path / str(seed), scheme, kept)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kept", [1, 2, 3])
@pytest.mark.parametrize("scheme", ["mixed", "dated", "again"])
def test_of_several_ways_to_make_backups_each_is_proven_by_itself_in_many_runs(
    tmp_path: Path, scheme: str, kept: int
) -> None:
    """The same with other seeds."""
    for seed in range(1000, 1200):
        _judge(seed, tmp_path / str(seed), scheme, kept)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kept", [1, 2, 3, 0])
@pytest.mark.parametrize("scheme", _SCHEMES)
def test_every_line_arrives_or_a_gap_tells_why_in_many_runs(
    tmp_path: Path, scheme: str, kept: int
) -> None:
    """The same with other seeds."""
    for seed in range(1000, 1200):
        _judge(seed, tmp_path / str(seed), scheme, kept)


def _judge(seed: int, directory: Path, scheme: str, kept: int) -> None:
    directory.mkdir()
    run = Run(seed, directory, scheme, kept)
    run.run()
    assert run.silent() == [], f"seed {seed}"
    if not kept:
        gaps = [why for _, why in run.gaps if not (run.stood_still and _HOLE in why)]
        assert (run.missing(), gaps) == ([], []), f"seed {seed}"
