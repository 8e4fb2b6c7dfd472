"""A log that is copied and cut, or whose place another file takes, is followed."""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ManualClock
from tests.kit.log.log_files import FIRST, append, copytruncate, rotate
from tests.kit.log.lumberjack import backup_name


def test_copytruncate_is_followed_into_the_copy(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """What was read of the log counts for its copy."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(live, event(1))
    copytruncate(live)
    append(live, event(2))
    assert receiver.drain() == [event(1), event(2)]
    assert receiver.gaps == []


def test_a_copy_that_is_seen_before_the_log_is_cut_is_the_same_segment(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Between copying and cutting both are there."""
    append(live, event(0))
    receiver = receive()
    shutil.copyfile(live, live.with_name("audit.log.1"))
    assert receiver.drain() == [event(0)]
    append(live, event(1))
    shutil.copyfile(live, live.with_name("audit.log.1"))
    live.write_bytes(b"")
    append(live, event(2))
    assert receiver.drain() == [event(1), event(2)]


def test_a_log_that_lies_beside_its_copy_is_read_on(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Found together at the first look, the log that grows counts, not the copy."""
    append(live, event(0))
    shutil.copyfile(live, live.with_name("audit.log.1"))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(live, event(1))
    assert receiver.drain() == [event(1)]


def test_bytes_that_were_cut_and_are_in_no_copy_are_a_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Somebody emptied the log before it was read."""
    append(live, event(0), event(1))
    size = live.stat().st_size
    receiver = receive()
    receiver.log.scan()
    live.write_bytes(b"")
    append(live, event(2))
    assert receiver.drain() == [event(2)]
    assert receiver.gaps == [("truncated", 0, size), ("unseen", 0, 1)]


def test_what_was_written_between_the_copy_and_the_cut_is_a_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], clock: ManualClock
) -> None:
    """The copy is read; the bytes that it lacks are told."""
    append(live, event(0))
    shutil.copyfile(live, live.with_name("audit.log.1"))
    append(live, event(1))
    size = live.stat().st_size
    receiver = receive()
    receiver.log.scan()
    live.write_bytes(b"")
    append(live, event(2))
    assert receiver.drain() == [event(0)]
    assert receiver.gaps == []  # the rest of the copy may be under way
    clock.advance(6)
    assert receiver.drain() == [event(2)]
    assert receiver.gaps == [("truncated", len(event(0)), size)]


@pytest.mark.parametrize("whole", [True, False])
def test_a_copy_that_is_under_way_is_waited_for(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: ManualClock,
    *,
    whole: bool,
) -> None:
    """A backup that is restored, as far as it is there; told is only what does not come."""
    lines = [event(n) for n in range(10)]
    append(live, *lines[:4])
    receiver = receive()
    receiver.drain()
    append(live, *lines[4:])
    receiver.log.scan()
    backup = rotate(live, 0)
    append(live, event(11))
    backup.unlink()
    backup.write_bytes(b"".join(lines[:6]))
    receiver = receive(receiver)
    assert receiver.drain() == lines[4:6]
    clock.advance(1)
    append(backup, lines[6])
    assert receiver.drain() == [lines[6]]
    assert receiver.gaps == []
    if whole:
        append(backup, *lines[7:])
        assert receiver.drain() == [*lines[7:], event(11)]
        assert receiver.gaps == []
    else:
        clock.advance(6)
        assert receiver.drain() == [event(11)]
        assert receiver.gaps == [("truncated", 7 * len(lines[0]), 10 * len(lines[0]))]


def test_a_backup_that_is_written_over_is_not_read_for_what_it_was(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """No uid of its events names others, and who lacked them is told."""
    append(live, event(10), event(11))
    receiver = receive()
    receiver.log.scan()
    backup = rotate(live, 0)
    append(live, event(12))
    receiver.log.scan()
    size = backup.stat().st_size
    with backup.open("r+b") as file:
        file.write(event(20) + event(21))
    assert receiver.read_on() == []
    assert sorted(receiver.drain()) == [event(12), event(20), event(21)]
    assert receiver.gaps == [("truncated", 0, size)]


def test_a_log_that_was_cut_and_grew_beyond_its_old_size_is_noticed(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Its size alone looks like growth; its first line does not."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    live.write_bytes(event(1) + event(2))
    assert receiver.log.poll()
    assert receiver.drain() == [event(1), event(2)]


def test_a_hole_that_a_cut_leaves_is_passed(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The writer keeps its offset, so the file begins with NULs; two such holes look alike."""
    append(live, event(0) * 100)
    receiver = receive()
    receiver.drain()
    for number in (1, 2):
        write_on_after_a_cut(live, event(number) * number)
        assert receiver.drain() == [event(number)] * number
    assert receiver.gaps == [("unseen", 0, 1)] * 2


def write_on_after_a_cut(live: Path, data: bytes) -> None:
    """Empty a log whose writer keeps its offset."""
    size = live.stat().st_size
    with live.open("r+b") as file:
        file.truncate(0)
        file.seek(size)
        file.write(data)


def test_what_was_written_before_a_cut_and_not_seen_is_a_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The hole in front of the next line says how much that was."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    append(live, event(1), event(2))
    write_on_after_a_cut(live, event(3))
    assert receiver.drain() == [event(3)]
    unseen = ("zeroed", len(event(0)), len(event(0) + event(1) + event(2)))
    assert sorted(receiver.gaps) == [("unseen", 0, 1), unseen]


def test_an_inode_that_is_used_again_is_another_segment(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The number of a settled file may be that of a file never seen."""
    append(live, event(0))
    first = rotate(live, 0)
    receiver = receive()
    assert receiver.drain() == [event(0)]
    receiver.log.scan()
    inode = first.stat().st_ino
    packed = gzip.compress(event(1))
    first.write_bytes(packed)  # the same inode, and another name and content
    other = first.rename(first.with_name(backup_name(live, FIRST + 1).name + ".gz"))
    assert other.stat().st_ino == inode
    assert receive(receiver).drain() == [event(1)]


def test_two_files_with_the_same_first_line_are_two_segments(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The second gets an occurrence number."""
    append(live, event(0), event(1))
    rotate(live, 0)
    append(live, event(0), event(2))
    receiver = receive()
    assert receiver.drain() == [event(0), event(1), event(0), event(2)]
    (_, one), (_, two) = receiver.segments()
    assert two == f"{one}.2"


def test_an_older_log_in_the_place_of_the_log_goes_on_where_it_was(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """What was settled of it is not sent again; what is added to it is."""
    append(live, event(0), event(1))
    backup = rotate(live, 0)
    append(live, event(2))
    receiver = receive()
    assert receiver.drain() == [event(0), event(1), event(2)]
    shutil.copyfile(backup, live.with_name("restored"))
    live.with_name("restored").rename(live)
    append(live, event(3))
    assert receiver.drain() == [event(3)]


def test_a_copy_in_the_place_of_the_log_is_read_on(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """An editor writes a new file; the inode changes, the content does not."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    shutil.copyfile(live, live.with_name("edited"))
    live.with_name("edited").rename(live)
    append(live, event(1))
    assert receiver.drain() == [event(1)]


def test_what_is_written_to_a_log_that_a_copy_has_replaced_is_read(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The apiserver has the old file open until it rotates or starts again."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    with live.open("ab", buffering=0) as old:
        shutil.copyfile(live, live.with_name("edited"))
        live.with_name("edited").rename(live)
        assert receiver.drain() == []
        old.write(event(1))
        assert receiver.drain() == [event(1)]
        old.write(event(2))
    append(live, event(3))
    assert receiver.drain() == [event(2), event(3)]
    assert receiver.gaps == [("unseen", 0, 1)]


def test_a_log_that_a_copy_replaced_while_no_agent_ran_may_have_gone_on(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """On the same disk that is no move; nobody has the old file open any more."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    shutil.copyfile(live, live.with_name("edited"))
    append(live, event(1))
    live.with_name("edited").rename(live)
    append(live, event(2))
    second = receive(receiver)
    assert second.drain() == [event(2)]
    assert second.gaps == [("unseen", 0, 1)]
    third = receive(second)
    assert (third.drain(), third.gaps) == ([], [])


def test_a_file_that_parts_from_a_known_one_and_meets_it_again_is_read_from_there(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A spool after a failed sync: what was in flight comes again in another order."""
    same, filler = event(0), [b"x" * 3000 + b"\n"] * 3
    append(live, same, event(1), *filler)
    receiver = receive()
    assert receiver.drain() == [same, event(1), *filler]
    rotate(live, 1)
    append(live, same, event(2), *filler, event(1))
    assert event(2) in receiver.drain()
