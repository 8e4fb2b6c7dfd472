"""The inode number of a deleted file is soon another one's: alone it says nothing of a file."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ManualClock
from tests.kit.log.log_files import append, denied, rotate


@pytest.fixture
def log_dir() -> Iterator[Path]:
    """Give a directory that another user may enter."""
    with tempfile.TemporaryDirectory(prefix="inodes-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def use_again(gone: Path, live: Path, *lines: bytes) -> None:
    """Delete a file and write a new log with its inode number. Nobody may have it open."""
    gone.rename(live)
    os.truncate(live, 0)
    append(live, *lines)


@pytest.mark.parametrize("settled", [True, False])
def test_a_log_that_never_could_be_read_is_not_the_backup_whose_inode_it_has(
    receive: Callable[..., Any], live: Path, event: Any, *, settled: bool
) -> None:
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    first = rotate(live, 0)
    append(live, event(1))
    receiver.log.scan()
    if settled:
        assert receiver.drain() == [event(0), event(1)]
    receiver.log.close()
    second = rotate(live, 1)
    use_again(first, live, event(2))
    with denied(live):
        receiver = receive(receiver)
        assert receiver.drain() == ([] if settled else [event(1)])
    unread = rotate(live, 2)
    append(live, event(3))
    with denied(unread):
        assert receiver.drain() == [event(3)]
        receiver = receive(receiver)
        assert receiver.drain() == []
    unread.unlink()
    append(live, event(4))
    receiver.drain()
    second.unlink()
    receiver.drain()
    assert ("unseen", 0, 1) in receiver.gaps
    assert (("deleted", 0, len(event(0))) in receiver.gaps) != settled


@pytest.mark.parametrize("restart", [True, False])
def test_each_file_of_a_log_without_rights_is_told_when_it_is_gone(
    receive: Callable[..., Any], live: Path, event: Any, *, restart: bool
) -> None:
    """Though the newest has the inode number of the one before it."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    rotate(live, 0)
    append(live, event(1))
    receiver.log.close()
    with denied(live):
        receiver = receive(receiver)
        assert receiver.drain() == []
    second = rotate(live, 1)
    with denied(second):
        assert (receiver.drain(), receiver.gaps) == ([], [])
    use_again(second, live, event(2))
    with denied(live):
        receiver = receive(receiver) if restart else receiver
        assert (receiver.drain(), receiver.gaps) == ([], [("unseen", 0, 1)])
    rotate(live, 2).unlink()
    append(live, event(3))
    assert receiver.drain() == [event(3)]
    assert receiver.gaps == [("unseen", 0, 1)] * 2


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("smaller", [True, False])
@pytest.mark.parametrize("readable", [True, False])
def test_a_log_that_is_replaced_before_it_could_be_read_is_told(
    receive: Callable[..., Any],
    live: Path,
    event: Any,
    clock: ManualClock,
    *,
    restart: bool,
    smaller: bool,
    readable: bool,
) -> None:
    """Though the new one has its name and its inode number, and can be read or not yet either."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    rotate(live, 0)
    append(live, event(1), event(2))
    receiver.log.close()
    clock.advance(1)
    with denied(live):
        receiver = receive(receiver)
        assert (receiver.drain(), receiver.gaps) == ([], [])
    os.truncate(live, 0)
    lines = [event(2_000_000 + n) for n in range(1 if smaller else 5)]
    append(live, *lines)
    clock.advance(2)
    if not readable:
        with denied(live):
            assert receiver.drain() == []
    gaps = receiver.gaps
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == lines
    gaps += receiver.gaps if restart else []
    assert gaps == [("unseen", 0, 1)]
    rotate(live, 4_000)
    append(live, event(4_000_000))
    receiver.gaps.clear()
    assert (receiver.drain(), receiver.gaps) == ([event(4_000_000)], [])


def test_a_log_that_could_not_be_read_for_a_while_is_told_of_nothing(
    receive: Callable[..., Any], live: Path, event: Any, clock: ManualClock
) -> None:
    """It is the one that was seen, however much was written meanwhile."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rotate(live, 0)
    append(live, event(1))
    receiver.log.close()
    clock.advance(1)
    with denied(live):
        receiver = receive(receiver)
        receiver.drain()
    append(live, event(2_000_000))
    assert (receiver.drain(), receiver.gaps) == ([event(1), event(2_000_000)], [])
