"""A file that is gone from between two others is told, whoever took it and in whatever order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.log.log_files import append, rename_numbered, rotate

UNSEEN = ("unseen", 0, 1)
SECOND = 1_000_000  # microseconds, the number of an event
YEAR = 31_536_000


@pytest.mark.parametrize("restart", [True, False])
def test_a_backup_that_somebody_took_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], *, restart: bool
) -> None:
    """The file before it is still there: lumberjack wrote into its name when the next began."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rotate(live, 4_000)
    append(live, event(4 * SECOND))
    rotate(live, 9_000).unlink()
    append(live, event(9 * SECOND))
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == [event(9 * SECOND)]
    assert receiver.gaps == [UNSEEN]
    (gap,) = [s.state for s in receiver.log.segments() if s.state.lost]
    assert gap.last_ns - gap.first_ns == 5 * SECOND * 1000
    assert "audit.log begins later than at 2026-01-02T03:04:09.000Z" in gap.detail
    third = receive(receiver)
    assert (third.drain(), third.gaps) == ([], [])


def test_a_hole_in_a_backlog_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """At the very first look, too."""
    taken = []
    for turn in range(4):
        append(live, event(4 * turn * SECOND))
        taken.append(rotate(live, 4_000 * turn + 4_000))
    append(live, event(16 * SECOND))
    taken[2].unlink()
    receiver = receive()
    assert receiver.drain() == [event(4 * turn * SECOND) for turn in (0, 1, 3, 4)]
    assert receiver.gaps == [UNSEEN]


@pytest.mark.parametrize("kept", ["future", "past"])
def test_a_clock_that_was_set_back_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], kept: str
) -> None:
    """Lumberjack deletes what it takes for the oldest; the file before it stays."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    if kept == "future":
        rotate(live, YEAR * 1000)
        append(live, event(4 * SECOND))
        rotate(live, 8_000).unlink()
        append(live, event(8 * SECOND))
        rotate(live, 12_000)
    else:
        rotate(live, 4_000)
        append(live, event(4 * SECOND))
        rotate(live, -YEAR * 1000).unlink()
    append(live, event(12 * SECOND) if kept == "future" else earlier(event(SECOND)))
    second = receive(receiver)
    second.drain()
    assert second.gaps == [UNSEEN]
    (gap,) = [s.state for s in second.log.segments() if s.state.lost]
    assert gap.first_ns == 0
    assert "the clock was set back" in gap.detail


def earlier(line: bytes) -> bytes:
    return line.replace(b"2026-01-02", b"2025-01-02")


def test_a_number_that_is_missing_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Logrotate counts without leaving one out."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    for number in (1, 2, 3):
        rename_numbered(live)
        append(live, event(number))
    live.with_name("audit.log.2").unlink()
    receiver = receive(receiver)
    assert receiver.drain() == [event(2), event(3)]
    assert receiver.gaps == [UNSEEN]


@pytest.mark.parametrize("restart", [True, False])
def test_an_older_file_that_is_put_beside_the_log_is_no_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], *, restart: bool
) -> None:
    """It follows nothing, and what comes next follows the log."""
    append(live, event(20 * SECOND))
    receiver = receive()
    receiver.drain()
    live.with_name("audit-2026-01-02T03-04-07.000.log").write_bytes(event(0))
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == [event(0)]
    rotate(live, 30_000)
    append(live, event(30 * SECOND))
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == [event(30 * SECOND)]
    assert receiver.gaps == []


def test_a_clock_that_was_wrong_for_a_while_is_no_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Each file begins when the one before it was full, whatever the clock said."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rotate(live, -YEAR * 1000)
    append(live, earlier(event(0)))
    assert receive(receiver).drain() == [earlier(event(0))]
    rotate(live, 4_000)
    append(live, event(4 * SECOND))
    second = receive(receiver)
    assert second.drain() == [earlier(event(0)), event(4 * SECOND)]
    assert second.gaps == []


@pytest.mark.parametrize("hours", [-5, 2, 5.75])
def test_names_in_local_time_are_no_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], hours: float
) -> None:
    """Some programs tell lumberjack to; an old first event makes the name look like a later one."""
    append(live, earlier(event(0)))
    receiver = receive()
    receiver.drain()
    for turn in (1, 2):
        rotate(live, int(hours * 3_600_000) + 9_000 * turn)
        append(live, event(9 * turn * SECOND - 2_000), event(9 * turn * SECOND))
        assert len(receiver.drain()) == 2
    assert receiver.gaps == []


def test_events_that_were_collected_elsewhere_may_be_late(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A spool's files are named by when they were full, their events by when they happened."""
    receiver = receive(collected=True)
    for number in range(3):
        append(live, event(9 * number * SECOND))
        rotate(live, number)
    append(live, event(99))
    assert len(receiver.drain()) == 4
    assert receiver.gaps == []


def test_a_file_with_a_number_that_came_and_went_beside_files_with_dates_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Each kind of name deletes its own oldest: those with dates prove nothing of the others."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rename_numbered(live)
    append(live, event(1))
    receiver.drain()
    rotate(live, 0)
    append(live, event(2))
    live.with_name("audit.log.1").unlink()
    rename_numbered(live).unlink()
    append(live, event(3))
    second = receive(receiver)
    assert second.drain() == [event(3)]
    assert second.gaps == [UNSEEN]
    (gap,) = [s.state for s in second.log.segments() if s.state.lost]
    assert gap.last_ns - gap.first_ns == 2_000
