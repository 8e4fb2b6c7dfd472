"""A live file that was made and deleted between two looks at the directory is told of."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ManualClock
from tests.kit.log.log_files import FIRST, append
from tests.kit.log.lumberjack import backup_name

Receive = Callable[..., Any]
Event = Callable[..., bytes]


def rotate(receiver: Any, live: Path, number: int) -> None:
    backup = live.rename(backup_name(live, FIRST + number))
    receiver.log.moved(str(live), str(backup))


def remove(receiver: Any, live: Path) -> None:
    live.unlink()
    receiver.log.moved(str(live), "")


@pytest.fixture
def receiver(receive: Receive, live: Path, event: Event) -> Any:
    append(live, event(0))
    made = receive()
    assert made.drain() == [event(0)]
    return made


@pytest.mark.parametrize("more", [0, 2])
def test_a_live_file_that_came_and_went_is_told(
    receiver: Any, live: Path, event: Event, more: int
) -> None:
    """Between the last event that is known and the first one after it; so are several, once."""
    rotate(receiver, live, 0)
    for number in range(more + 1):
        append(live, event(1 + number))
        remove(receiver, live)
    append(live, event(9))
    assert receiver.drain() == [event(9)]
    assert receiver.gaps == [("unseen", 0, 1)]
    ((since_ns, until_ns),) = receiver.between
    assert (since_ns % 1_000_000, until_ns % 1_000_000) == (0, 9_000)


def test_it_is_told_where_nothing_follows_yet(receiver: Any, live: Path, event: Event) -> None:
    rotate(receiver, live, 0)
    append(live, event(1))
    remove(receiver, live)
    live.touch()
    receiver.drain()
    assert receiver.gaps == [("unseen", 0, 1)]
    append(live, event(2))
    assert receiver.drain() == [event(2)]
    assert len(receiver.gaps) == 1


def test_rotations_between_two_looks_leave_nothing_out(
    receiver: Any, live: Path, event: Event
) -> None:
    for number in range(1, 4):
        rotate(receiver, live, number)
        append(live, event(number))
    assert receiver.drain() == [event(1), event(2), event(3)]
    assert receiver.gaps == []


def test_a_file_with_a_second_name_is_no_other_one(receiver: Any, live: Path, event: Event) -> None:
    """As where whoever rotates makes a link and deletes the old name."""
    os.link(live, backup_name(live, FIRST))
    remove(receiver, live)
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


@pytest.mark.parametrize("looked", [True, False])
def test_a_file_that_was_away_for_a_moment_is_the_same(
    receiver: Any, live: Path, event: Event, looked: bool
) -> None:
    aside = live.rename(live.with_name("aside"))
    receiver.log.moved(str(live), str(aside))
    if looked:
        receiver.log.scan()
    aside.rename(live)
    receiver.log.moved(str(aside), str(live))
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == []


def test_what_is_heard_late_is_no_second_file(
    receiver: Any, live: Path, event: Event, clock: ManualClock
) -> None:
    """It was moved to another directory; inotify waits for the other half of that."""
    live.rename(live.parent.parent / "elsewhere")
    append(live, event(1))
    for _ in range(3):
        receiver.drain()
        clock.advance(0.2)
    receiver.log.moved(str(live), "")
    told = len(receiver.gaps)
    append(live, event(2))
    assert receiver.drain() == [event(2)]
    assert len(receiver.gaps) == told


def test_a_file_in_the_place_of_the_live_one_is_none_that_left(
    receiver: Any, live: Path, event: Event
) -> None:
    """As `sed -i` and editors put it there; a rotation after it is one."""
    other = live.with_name("sedXYZ")
    other.write_bytes(live.read_bytes())
    other.rename(live)
    receiver.log.moved(str(other), str(live))
    receiver.drain()
    told = len(receiver.gaps)
    rotate(receiver, live, 0)
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert len(receiver.gaps) == told
