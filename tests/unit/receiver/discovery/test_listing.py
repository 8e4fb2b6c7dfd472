"""The files of one log, oldest first, as far as a listing can be trusted."""

import os
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.listing import (
    list_log,
    live_path,
    unknown_backups,
    without_packed_twins,
)


def test_other_files_and_directories_are_left_out(log_dir: Path) -> None:
    """Only what is a file and has a name of the log."""
    for name in ("audit.log", "audit.log.1", "notes.txt", "audit.log.2.gz"):
        (log_dir / name).write_text(name)
    (log_dir / "audit.log.3").mkdir()
    names = [e.name.name for e in list_log(log_dir / "audit.log")]
    assert names == ["audit.log.2.gz", "audit.log.1", "audit.log"]


def test_a_plain_file_hides_its_packed_twin(log_dir: Path) -> None:
    """The twin may still be being written."""
    for name in ("audit.log.2.gz", "audit.log.1", "audit.log.1.gz", "audit.log"):
        (log_dir / name).write_text(name)
    names = [e.name.name for e in without_packed_twins(list_log(log_dir / "audit.log"))]
    assert names == ["audit.log.2.gz", "audit.log.1", "audit.log"]


def test_a_stamp_changes_with_the_file(log_dir: Path) -> None:
    """Its size, its time, its inode: whoever remembers one knows when to look again."""
    live = log_dir / "audit.log"
    live.write_text("one")
    (before,) = list_log(live)
    (again,) = list_log(live)
    assert before.stamp == again.stamp
    live.write_text("three")
    (grown,) = list_log(live)
    assert grown.key == before.key
    assert grown.stamp != before.stamp


def test_a_link_to_a_file_counts_as_the_file(log_dir: Path, tmp_path: Path) -> None:
    """Some installations keep the log elsewhere."""
    (tmp_path / "elsewhere").write_text("x")
    (log_dir / "audit.log").symlink_to(tmp_path / "elsewhere")
    (entry,) = list_log(log_dir / "audit.log")
    assert entry.inode == (tmp_path / "elsewhere").stat().st_ino


def test_a_missing_directory_is_an_error_that_says_so(tmp_path: Path) -> None:
    """Whoever lists decides to wait."""
    with pytest.raises(FileNotFoundError):
        list_log(tmp_path / "away" / "audit.log")


def test_a_file_that_is_renamed_while_it_is_listed_is_not_missed(log_dir: Path) -> None:
    """A listing is repeated until two in a row agree."""
    live, backup = log_dir / "audit.log", log_dir / "audit.log.1"
    live.write_text("one")
    asked: list[Path] = []

    def scandir(path: Path) -> Any:
        if not asked:  # the entry of the new name was passed already
            live.rename(backup)
            found = os.scandir(log_dir.parent / "empty")
        else:
            found = os.scandir(path)
        asked.append(path)
        return found

    (log_dir.parent / "empty").mkdir()
    assert [e.name.name for e in list_log(live, scandir=scandir)] == ["audit.log.1"]
    assert len(asked) == 3


def test_the_backups_of_a_linked_log_are_beside_its_target(log_dir: Path, tmp_path: Path) -> None:
    """The link is what is configured; the apiserver rotates where it writes."""
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / "kube.log").write_text("live")
    (target / "kube-2026-01-02T03-04-05.678.log").write_text("backup")
    (log_dir / "audit.log").symlink_to(target / "kube.log")
    assert live_path(log_dir / "audit.log") == target / "kube.log"
    assert [e.path.read_text() for e in list_log(log_dir / "audit.log")] == ["backup", "live"]


def test_a_log_that_was_packed_where_it_was_is_a_finished_file(log_dir: Path) -> None:
    """Beside a new live file, or alone."""
    (log_dir / "audit.log.gz").write_text("x")
    for path in (log_dir / "audit.log", log_dir / "audit.log.gz"):
        (entry,) = without_packed_twins(list_log(path))
        assert (entry.name.compressed, entry.name.live) == (True, False)
    (log_dir / "audit.log").write_text("x")
    names = [e.name.name for e in without_packed_twins(list_log(log_dir / "audit.log"))]
    assert names == ["audit.log.gz", "audit.log"]


def test_what_looks_like_a_backup_and_is_none_is_named(log_dir: Path) -> None:
    """Neither the log's own files nor those of others."""
    unknown = [
        "audit-2026-01-02.log",
        "audit.log.bak",
        "audit.log.old",
        "audit.log~",
        "audit.log.xz",
    ]
    others = [
        "audit.log",
        "audit.log.1",
        "audit-policy.yaml",
        "auditd.log",
        "notes.txt",
        "audit.py",
    ]
    for name in (*unknown, *others):
        (log_dir / name).write_text("x")
    assert sorted(unknown_backups(log_dir / "audit.log")) == sorted(unknown)
