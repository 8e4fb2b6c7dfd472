"""The files of one log, oldest first, as far as a listing can be trusted."""

import pytest

from k8s_audit_otlp.receiver.listing import list_log, without_packed_twins


def test_other_files_and_directories_are_left_out(log_dir):
    """Only what is a file and has a name of the log."""
    for name in ("audit.log", "audit.log.1", "notes.txt", "audit.log.2.gz"):
        (log_dir / name).write_text(name)
    (log_dir / "audit.log.3").mkdir()
    names = [e.name.name for e in list_log(log_dir / "audit.log")]
    assert names == ["audit.log.2.gz", "audit.log.1", "audit.log"]


def test_a_plain_file_hides_its_packed_twin(log_dir):
    """The twin may still be being written."""
    for name in ("audit.log.2.gz", "audit.log.1", "audit.log.1.gz", "audit.log"):
        (log_dir / name).write_text(name)
    names = [e.name.name for e in without_packed_twins(list_log(log_dir / "audit.log"))]
    assert names == ["audit.log.2.gz", "audit.log.1", "audit.log"]


def test_a_stamp_changes_with_the_file(log_dir):
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


def test_a_link_to_a_file_counts_as_the_file(log_dir, tmp_path):
    """Some installations keep the log elsewhere."""
    (tmp_path / "elsewhere").write_text("x")
    (log_dir / "audit.log").symlink_to(tmp_path / "elsewhere")
    (entry,) = list_log(log_dir / "audit.log")
    assert entry.inode == (tmp_path / "elsewhere").stat().st_ino


def test_a_missing_directory_is_an_error_that_says_so(tmp_path):
    """Whoever lists decides to wait."""
    with pytest.raises(FileNotFoundError):
        list_log(tmp_path / "away" / "audit.log")
