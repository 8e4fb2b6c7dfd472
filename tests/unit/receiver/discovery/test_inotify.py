"""What the kernel tells of a directory, in the order in which it happened."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.inotify import Change, DirectoryWatch


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[DirectoryWatch]:
    watch = DirectoryWatch(tmp_path)
    yield watch
    watch.close()


def test_what_is_made_renamed_and_deleted_is_told_in_order(
    tmp_path: Path, watch: DirectoryWatch
) -> None:
    """Of a rename both names; a file that came and went is one that nobody lists."""
    assert watch.changes() == []
    live = tmp_path / "audit.log"
    live.touch()
    live.rename(tmp_path / "audit.log.1")
    live.touch()
    (tmp_path / "audit.log.1").unlink()
    assert watch.changes() == [
        Change("", "audit.log"),
        Change("audit.log", "audit.log.1"),
        Change("", "audit.log"),
        Change("audit.log.1", ""),
    ]
    assert watch.changes() == []


def test_what_moves_in_or_out_has_one_name_here(tmp_path: Path) -> None:
    """And what is beside the directory is none of it."""
    folder, beside = tmp_path / "logs", tmp_path / "beside"
    folder.mkdir()
    (folder / "a").touch()
    watch = DirectoryWatch(folder)
    (folder / "a").rename(beside)
    beside.rename(folder / "bé")
    (tmp_path / "other").touch()
    assert watch.changes() == [Change("a", ""), Change("", "bé")]
    watch.close()


def test_writing_is_no_change_of_a_name(tmp_path: Path, watch: DirectoryWatch) -> None:
    (tmp_path / "a").touch()
    watch.changes()
    (tmp_path / "a").write_bytes(b"x")
    assert not watch.wait(0)
    assert watch.changes() == []


def test_whoever_waits_is_woken_by_a_change(tmp_path: Path, watch: DirectoryWatch) -> None:
    """And not before its time by none."""
    assert not watch.wait(0.01)
    maker = threading.Timer(0.05, (tmp_path / "a").touch)
    maker.start()
    assert watch.wait(30)
    maker.join()


def test_too_many_changes_to_know_are_told_as_such(tmp_path: Path, watch: DirectoryWatch) -> None:
    """The kernel keeps so many and drops the rest."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 200_000:
        pytest.skip(f"this kernel keeps {most} of them")
    file = tmp_path / "a"
    for _ in range(most // 2 + 10):
        file.touch()
        file.unlink()
    assert watch.changes() is None
    assert watch.changes() == []


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        DirectoryWatch(tmp_path / "gone")
