"""NULs in a log: holes of a power cut are told, what may still come is waited for."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ManualClock
from tests.kit.log.log_files import append, rotate

HOLE = bytes(5000)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("size", [64, 5000, 3_000_000])
def test_lines_that_are_zeroed_are_a_gap(receive: Any, live: Path, event: Any, size: int) -> None:
    append(live, event(0), bytes(size), event(1))
    receiver = receive()
    assert receiver.drain() == [event(0), event(1)]
    assert receiver.gaps == [("zeroed", len(event(0)), len(event(0)) + size)]


@pytest.mark.parametrize("size", [5000, 3_000_000, 20_000_000])
def test_a_hole_over_parts_of_two_lines_is_one_gap(
    receive: Any, live: Path, event: Any, size: int
) -> None:
    """What is left of the two are records that cannot be read."""
    torn, rest = event(1)[:40], event(2)[-50:]
    append(live, event(0), torn, bytes(size), rest, event(3))
    receiver = receive()
    assert b"".join(receiver.drain()) == event(0) + torn + rest + event(3)
    assert {reason for reason, *_ in receiver.gaps} == {"zeroed"}
    assert sum(end - start for _, start, end in receiver.gaps) == size


@pytest.mark.parametrize("hole", [HOLE, bytes(20_000_000)], ids=len)
@pytest.mark.parametrize("sparse", [True, False])
def test_what_is_written_where_nuls_stood_at_the_end_is_read(
    receive: Any, live: Path, event: Any, hole: bytes, sparse: bool
) -> None:
    """As on a network file system, where the size is there before the data."""
    append(live, event(0), *([] if sparse else [hole]))
    os.truncate(live, len(event(0)) + len(hole))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    overwrite(live, len(event(0)), event(1) + event(2))
    assert receiver.drain() == [event(1), event(2)]
    assert receiver.gaps == []


@pytest.mark.parametrize("stopped", [True, False])
def test_nuls_at_the_end_are_a_gap_once_something_follows(
    receive: Any, live: Path, event: Any, stopped: bool
) -> None:
    """A power cut left them, and the apiserver goes on behind them."""
    append(live, event(0), HOLE)
    receiver = receive()
    receiver.drain()
    append(live, event(1))
    receiver = receive(receiver) if stopped else receiver
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == [("zeroed", len(event(0)), len(event(0)) + len(HOLE))]


def test_nuls_at_the_end_of_a_backup_are_a_gap(receive: Any, live: Path, event: Any) -> None:
    append(live, event(0), HOLE)
    rotate(live, 0)
    append(live, event(1))
    receiver = receive(settle_s=0.0)
    assert receiver.drain() == [event(0), event(1)]
    assert receiver.gaps == [("zeroed", len(event(0)), len(event(0)) + len(HOLE))]


@pytest.mark.parametrize("before", [1, 500])
def test_nuls_at_the_head_of_a_file_are_lines_that_a_power_cut_took(
    receive: Any, live: Path, event: Any, before: int
) -> None:
    """But for those that copying and cutting a log leaves: as many as the file before it had."""
    append(live, event(0) * before)
    receiver = receive()
    receiver.drain()
    rotate(live, 0)
    append(live, HOLE, event(1))
    receiver = receive(receiver)
    assert receiver.drain() == [event(1)]
    start = 0 if before > 1 else len(event(0))
    assert receiver.gaps == [("zeroed", start, len(HOLE))]
    gap = receiver.reader.read(receiver.log.segments()[-1], start)
    first, last = gap.since_ns % 1_000_000_000, gap.until_ns % 1_000_000_000
    assert (first, last) == (0, 1000)  # those of the events around it


@pytest.mark.parametrize("numbered", [True, False])
def test_a_backup_of_nuls_alone_is_told_once(
    receive: Any, live: Path, event: Any, clock: ManualClock, numbered: bool
) -> None:
    """Whatever it is called later, packed or by another number."""
    backup = live.with_name("audit.log.1" if numbered else "audit-2026-01-02T03-04-05.678.log")
    backup.write_bytes(HOLE)
    os.utime(backup, (clock.now, clock.now))
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    assert receiver.gaps == []  # it may be a copy under way
    clock.advance(61)
    receiver.drain()
    assert receiver.gaps == [("zeroed", 0, 1)]
    if numbered:
        backup.rename(live.with_name("audit.log.2"))
    else:
        backup.with_name(backup.name + ".gz").write_bytes(gzip.compress(HOLE))
        backup.unlink()
    again = receive(receiver)
    assert again.drain() == []
    assert again.gaps == []


def test_a_hole_ends_the_line_that_it_tore_however_long_that_is(
    receive: Any, live: Path, event: Any
) -> None:
    """Or the beginning of one event would stand with the end of another."""
    torn = event(1)[:30] + b"x" * 3_000_000
    append(live, event(0), torn, HOLE, event(2))
    receiver = receive(max_line_bytes=2_000_000)
    assert receiver.drain() == [event(0), torn[: 256 * 1024], event(2)]
    start = len(event(0) + torn)
    assert receiver.gaps == [("zeroed", start, start + len(HOLE))]


def test_a_few_nuls_in_a_line_are_part_of_it(receive: Any, live: Path, event: Any) -> None:
    line = event(0)[:40] + b"\0\0" + event(0)[40:]
    append(live, line, event(1))
    receiver = receive()
    assert receiver.drain() == [line, event(1)]
    assert receiver.gaps == []


def test_nuls_over_what_was_sent_and_what_was_not_lie_between_two_events(
    receive: Any, live: Path, event: Any
) -> None:
    """What was sent is no loss: the place from which on it is one is in the midst of them."""
    append(live, *[event(n) for n in range(100)])
    receiver = receive()
    receiver.drain()
    sent = live.stat().st_size
    append(live, *[event(n) for n in range(100, 120)])
    start = sum(len(event(n)) for n in range(70))
    end = live.stat().st_size
    overwrite(live, start, bytes(end - start))
    append(live, event(200))
    receiver = receive(receiver)
    assert receiver.drain() == [event(200)]
    assert receiver.gaps == [("zeroed", sent, end)]
    for since_ns, until_ns in receiver.between:
        assert 0 < since_ns < until_ns


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("where", ["head", "middle", "end"])
def test_a_hole_in_what_was_delivered_is_no_loss(
    receive: Any, live: Path, event: Any, where: str, stopped: bool
) -> None:
    """A disk lost part of a backup that nobody needs any more: nothing is told or sent again."""
    lines = [event(n) for n in range(200)]
    append(live, *lines)
    receiver = receive()
    assert receiver.drain() == lines
    backup = rotate(live, 0)
    append(live, event(200))
    assert receiver.drain() == [event(200)]
    size = backup.stat().st_size
    overwrite(backup, {"head": 0, "middle": size // 2, "end": size - len(HOLE)}[where], HOLE)
    receiver = receive(receiver) if stopped else receiver
    append(live, event(201))
    assert receiver.drain() == [event(201)]
    assert receiver.gaps == []


def test_what_is_not_delivered_is_read_behind_a_hole_in_what_was(
    receive: Any, live: Path, event: Any
) -> None:
    """From the place where it stopped, as the same segment."""
    append(live, *(event(n) for n in range(100)))
    receiver = receive()
    receiver.drain()
    append(live, *(event(n) for n in range(100, 200)))
    backup = rotate(live, 0)
    append(live, event(200))
    overwrite(backup, 0, HOLE)
    receiver = receive(receiver)
    assert receiver.drain() == [event(n) for n in range(100, 201)]
    assert receiver.gaps == []
