"""What was there before the first look at a log is no gap; what is missing since may be one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ManualClock
from tests.kit.log.log_files import append, rotate, rotations

UNSEEN = ("unseen", 0, 1)


def test_the_log_is_no_gap_after_itself(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Hours without an event, restarts, renames to and fro."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    for number in range(1, 4):
        receiver = receive(receiver)
        backup = rotate(live, number)
        live.unlink()
        assert receiver.drain() == []
        backup.rename(live)
        append(live, event(number))
        assert receiver.drain() == [event(number)]
        assert receiver.gaps == []


@pytest.mark.parametrize("restart", [True, False])
def test_a_log_that_was_awaited_and_is_there_with_backups_may_have_had_more(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: ManualClock,
    restart: bool,
) -> None:
    """It was looked for before and not there: nothing proves that its first file is still here."""
    receiver = receive()
    assert receiver.drain() == []
    rotations(live, event, range(5), kept=2)
    append(live, event(5))
    second = receive(receiver) if restart else receiver
    assert second.drain() == [event(n) for n in (3, 4, 5)]
    assert second.gaps == [UNSEEN]
    lost, following = (s.state for s in second.log.segments()[:2])
    assert (lost.first_ns, lost.last_ns) == (clock.now * 1e9, following.first_ns)
    third = receive(second)
    assert (third.drain(), third.gaps) == ([], [])


def test_what_was_there_before_the_first_look_is_no_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Backups at a first start: what lies before them was never ours."""
    rotations(live, event, range(5), kept=2)
    receiver = receive()
    assert receiver.drain() == [event(n) for n in (3, 4)]
    assert receiver.gaps == []


def test_a_log_that_was_awaited_and_begins_with_its_live_file_is_no_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """No rotation yet, none deleted."""
    receiver = receive()
    receiver.drain()
    append(live, event(0))
    second = receive(receiver)
    assert second.drain() == [event(0)]
    assert second.gaps == []


def test_a_log_older_than_the_first_look_at_it_was_elsewhere(
    receive: Any, live: Path, event: Any, clock: Any
) -> None:
    """Its file system was mounted after the agent had started: the past was never ours."""
    clock.advance(10_000)
    receiver = receive()
    assert receiver.drain() == []
    rotations(live, event, range(5), kept=2)
    assert receiver.drain() == [event(3), event(4)]
    assert receiver.gaps == []


def test_a_gap_before_the_first_file_says_why_it_may_not_be_the_first(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    receiver = receive()
    receiver.drain()
    append(live, event(0))
    backup = rotate(live, 0)
    assert receiver.drain() == [event(0)]
    (gap,) = [s.state for s in receiver.log.segments() if s.state.lost]
    assert gap.detail.startswith(f"nothing proves that {backup.name} is the first file")
