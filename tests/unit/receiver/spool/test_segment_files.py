"""The files of a spool: whole lines, names that rise, room that is there before it is taken."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.spool.segment_files import SegmentFiles, SpoolFullError, SpoolLimits

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def files_in(directory: Path, **edges: Any) -> SegmentFiles:
    limits = edges.pop("limits", SpoolLimits(1000, 100, 0))
    edges = {"fsync": os.fsync, "free_disk": lambda _: 1 << 40, "now": lambda: NOON} | edges
    return SegmentFiles(directory, limits, **edges)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., SegmentFiles]:
    """Open the files of a directory, empty as a rule."""

    def make(**edges: Any) -> SegmentFiles:
        files = files_in(tmp_path, **edges)
        assert list(files.open()) == []
        return files

    return make


def test_half_a_line_is_cut_when_the_files_are_taken_up(tmp_path: Path) -> None:
    """Nobody was told that it is there: the line comes again, and must not stand behind it."""
    (tmp_path / "audit.log").write_bytes(b"one\ntwo\nthr")
    files = files_in(tmp_path)
    assert list(files.open()) == [b"one\n", b"two\n"]
    assert (tmp_path / "audit.log").read_bytes() == b"one\ntwo\n"
    assert files.live_bytes == 8
    assert files.write(b"three\n") == 6
    assert (tmp_path / "audit.log").read_bytes() == b"one\ntwo\nthree\n"
    files.close()


def test_names_of_backups_rise_whatever_the_clock_says(
    opened: Callable[..., SegmentFiles], tmp_path: Path
) -> None:
    """Also over a restart: their order is that of the events."""
    times = [NOON, NOON - timedelta(hours=1), NOON]
    files = opened(now=lambda: times.pop(0))
    for _ in range(2):
        files.write(b"x\n")
        files.rotate()
    files.close()
    again = opened(now=lambda: times.pop(0))
    again.write(b"y\n")
    again.rotate()
    assert names(tmp_path) == [
        "audit-2026-01-02T12-00-00.000.log",
        "audit-2026-01-02T12-00-00.001.log",
        "audit-2026-01-02T12-00-00.002.log",
        "audit.log",
    ]
    assert (again.live_bytes, again.backup_bytes) == (0, 6)
    again.rotate()  # there is nothing that could have another name
    assert len(names(tmp_path)) == 4
    again.close()


def test_only_a_backup_is_deleted(opened: Callable[..., SegmentFiles], tmp_path: Path) -> None:
    """The live file and what somebody else has put there stay."""
    (tmp_path / "notes.txt").write_text("mine")
    files = opened()
    files.write(b"x\n")
    files.rotate()
    for name in ("audit.log", "notes.txt", "audit-2026-01-02T12-00-00.000.log", "no such file"):
        files.delete(name)
    assert names(tmp_path) == ["audit.log", "notes.txt"]
    assert files.backup_bytes == 0
    files.close()


def test_room_is_asked_for_before_anything_is_written(
    opened: Callable[..., SegmentFiles], tmp_path: Path
) -> None:
    """The spool's own, also where somebody has made some, and that of the disk."""
    files = opened(limits=SpoolLimits(100, 50, 10), free_disk=lambda _: 60)
    files.write(b"x" * 49 + b"\n")
    files.rotate()
    files.check_room(50)
    with pytest.raises(SpoolFullError, match=r"50 bytes wait .* at most 100"):
        files.check_room(51)
    (backup,) = (path for path in tmp_path.iterdir() if path.name != "audit.log")
    backup.unlink()
    with pytest.raises(SpoolFullError, match="60 bytes free, and min_free_disk is 10"):
        files.check_room(51)
    files.check_room(50)
    files.close()


def test_a_live_file_that_somebody_removed_is_made_again(
    opened: Callable[..., SegmentFiles], tmp_path: Path
) -> None:
    """What is written into a file without a name nobody finds."""
    files = opened()
    files.write(b"x\n")
    assert not files.removed
    (tmp_path / "audit.log").unlink()
    assert files.removed
    files.rotate()
    assert not files.removed
    assert files.live_bytes == 0
    assert names(tmp_path) == ["audit.log"]
    files.close()


def test_a_segment_is_full_before_a_request_would_make_it_too_large(
    opened: Callable[..., SegmentFiles],
) -> None:
    """An empty one takes a request of any size: a line is never parted."""
    files = opened()
    assert not files.wants_rotation(1000)
    files.write(b"x" * 59 + b"\n")
    assert not files.wants_rotation(40)
    assert files.wants_rotation(41)
    files.close()
