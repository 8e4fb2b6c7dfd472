"""The line in which a process died is known to the next one."""

from pathlib import Path

from k8s_audit_otlp.state.marker import Marker


def test_a_death_in_a_line_is_counted(tmp_path: Path) -> None:
    """Of each place apart, over any number of processes."""
    for count in range(1, 4):
        marker = Marker(tmp_path)
        marker.load()
        marker.enter("abc", 255)
        after = Marker(tmp_path)
        assert after.load()
        assert after.crash_count("abc", 255) == count
        assert after.crash_count("abc", 254) == 0
        after.enter("abc", 254)
        after.leave()


def test_a_line_that_was_left_killed_nobody(tmp_path: Path) -> None:
    """Whatever ended the process came later."""
    marker = Marker(tmp_path)
    assert not marker.load()
    marker.enter("a-much-longer-identity-than-the-next", 1)
    marker.enter("b", 2)
    marker.leave()
    after = Marker(tmp_path)
    assert not after.load()


def test_what_is_forgotten_is_gone_from_the_disk(tmp_path: Path) -> None:
    """The stretch is passed; the file is for a process that keeps dying."""
    marker = Marker(tmp_path)
    marker.enter("abc", 1)
    after = Marker(tmp_path)
    assert after.load()
    after.forget()
    assert after.crash_count("abc", 1) == 0
    assert not (tmp_path / "marker.json").exists()
    after.enter("abc", 9)
    assert (tmp_path / "marker.json").exists()


def test_a_marker_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Half a file, or another one's."""
    (tmp_path / "marker.json").write_bytes(b'{"current": ')
    assert not Marker(tmp_path).load()


def test_a_directory_that_is_gone_stops_nothing(tmp_path: Path) -> None:
    """Without a marker a crash is not explained, and nothing is lost."""
    marker = Marker(tmp_path / "gone")
    marker.enter("abc", 1)
    marker.leave()
    marker.forget()
