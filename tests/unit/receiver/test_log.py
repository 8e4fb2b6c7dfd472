"""The segments of one log on real files: renamed, packed, cut, replaced, deleted, gone astray."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.state.ledger import Tally
from tests.conftest import ManualClock
from tests.kit.log.log_files import append, rename_numbered, rotate
from tests.kit.log.lumberjack import compress_in_place


@pytest.mark.parametrize("name", ["audit.log", "kube-apiserver.log", "audit", "a.b.json"])
def test_backups_come_oldest_first_and_the_live_file_last(
    receive: Callable[..., Any], log_dir: Path, event: Callable[..., Any], name: str
) -> None:
    """Whatever the file is called, the first listing is read in the order it was written."""
    live = log_dir / name
    for number in range(3):
        live.write_bytes(event(number))
        backup = rotate(live, number)
        if number == 1:
            compress_in_place(backup)
    append(live, event(3))
    receiver = receive(name=name)
    assert receiver.drain() == [event(n) for n in range(4)]
    assert receiver.segments()[-1][0] == name
    size = len(event(3))
    assert repr(receiver.log) == f"<AuditLog audit:{live} 4 segments, live {size} B>"


def test_each_segment_is_told_of_once(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """However often it is looked at, and not again by the process after this one."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    rotate(live, 0)
    append(live, event(1))
    receiver.drain()
    receiver.drain()
    assert [name for _, name in receiver.events.found] == ["audit.log", "audit.log"]
    after = receive(receiver)
    after.drain()
    assert after.events.found == []


def test_logrotate_names_are_read_from_the_highest_number_down(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """audit.log.2.gz is older than audit.log.1, which is older than audit.log."""
    for number in range(3):
        live.write_bytes(event(number))
        rename_numbered(live, compress=number == 0)
    append(live, event(3))
    assert receive().drain() == [event(n) for n in range(4)]


def test_several_rotations_between_two_looks_lose_nothing(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The live file of the last look and everything made since are found."""
    receiver = receive()
    append(live, event(0))
    assert receiver.drain() == [event(0)]
    for number in range(1, 5):
        append(live, event(number))
        rotate(live, number)
    append(live, event(5))
    assert receiver.drain() == [event(n) for n in range(1, 6)]


def test_a_file_that_is_deleted_before_it_was_read_is_read_all_the_same(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """It was opened when it was discovered."""
    append(live, event(0), event(1))
    receiver = receive()
    receiver.log.scan()
    append(live, event(2))
    rotate(live, 0).unlink()
    append(live, event(3))
    assert receiver.drain() == [event(n) for n in range(4)]
    assert receiver.gaps == [("unseen", 0, 1)]  # nothing proves that it was the only one


def test_an_empty_live_file_is_held_until_it_has_a_name(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Written and deleted between two looks, it is read from the descriptor."""
    live.touch()
    receiver = receive()
    assert receiver.drain() == []
    append(live, event(0))
    rotate(live, 0).unlink()
    append(live, event(1))
    assert receiver.drain() == [event(0), event(1)]


def test_a_packed_twin_that_takes_the_place_of_its_plain_file_is_not_read_again(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The plain file goes while it is being read; the .gz is the same segment."""
    append(live, *(event(n, 30_000) for n in range(20)))
    receiver = receive()
    receiver.log.scan()
    segment = receiver.log.next_segment(receiver.ledger)
    first = receiver.reader.read(segment, 0)
    receiver.ledger.settle(receiver.ledger.open(first.span), Tally())
    backup = rotate(live, 0)
    compress_in_place(backup)
    rest = receiver.drain()
    assert first.data + b"".join(rest) == b"".join(event(n, 30_000) for n in range(20))
    assert [name for name, _ in receiver.segments()] == [f"{backup.name}.gz"]


def test_a_restart_goes_on_in_the_middle_of_a_packed_file(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Offsets count decompressed bytes, so they outlive the compression."""
    append(live, *(event(n, 30_000) for n in range(20)))
    receiver = receive()
    receiver.log.scan()
    segment = receiver.log.next_segment(receiver.ledger)
    first = receiver.reader.read(segment, 0)
    receiver.ledger.settle(receiver.ledger.open(first.span), Tally())
    compress_in_place(rotate(live, 0))
    second = receive(receiver)
    rest = second.drain()
    assert first.data + b"".join(rest) == b"".join(event(n, 30_000) for n in range(20))


def test_a_half_written_gz_beside_its_plain_twin_is_left_alone(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """kube-apiserver writes the .gz at its final name."""
    append(live, event(0), event(1))
    backup = rotate(live, 0)
    packed = gzip.compress(backup.read_bytes())
    half = backup.with_name(backup.name + ".gz")
    half.write_bytes(packed[: len(packed) // 2])
    receiver = receive()
    assert receiver.drain() == [event(0), event(1)]
    half.write_bytes(packed)
    backup.unlink()
    assert receiver.drain() == []
    assert receiver.gaps == []


def test_a_clock_that_is_set_back_does_not_reorder_what_is_known(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A later backup has an earlier name."""
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    rotate(live, 9_000)
    append(live, event(1))
    receiver.log.scan()
    rotate(live, 5_000)
    append(live, event(2))
    assert receiver.drain() == [event(0), event(1), event(2)]


def test_a_clock_that_is_set_back_does_not_stop_the_last_line(
    receive: Callable[..., Any], live: Path, clock: ManualClock, event: Callable[..., Any]
) -> None:
    """The wait for a closed file's unterminated line is measured anew, not for hours."""
    append(live, event(0), event(1)[:-1])
    rotate(live, 0)
    receiver = receive()
    assert receiver.drain() == [event(0)]
    clock.advance(-86_400)
    assert receiver.drain() == []
    clock.advance(6)
    assert receiver.drain() == [event(1)[:-1]]


def test_growth_that_nobody_looked_at_before_packing_is_read(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The log grows, is renamed and packed between two looks; its size was that of before."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(live, event(1))
    compress_in_place(rotate(live, 0))
    assert receiver.drain() == [event(1)]


@pytest.mark.parametrize("compress", [False, True])
def test_open_files_are_bounded_and_everything_is_read(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], compress: bool
) -> None:
    """With more segments than descriptors, the ones that come last are opened last."""
    for number in range(30):
        append(live, event(number))
        backup = rotate(live, number)
        if compress:
            compress_in_place(backup)
    receiver = receive(max_open=4)
    receiver.log.scan()
    assert sum(s.source is not None for s in receiver.log.segments()) <= 4
    assert receiver.drain() == [event(n) for n in range(30)]
    assert receiver.gaps == []


def test_poll_asks_for_a_scan_only_when_the_log_is_elsewhere(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Growth is seen without listing the directory."""
    append(live, event(0))
    receiver = receive()
    receiver.log.scan()
    woken = []
    receiver.log.listen(lambda: woken.append(1))
    assert not receiver.log.poll()
    assert woken == []
    append(live, event(1))
    assert not receiver.log.poll()
    assert woken == [1]
    rotate(live, 0)
    assert receiver.log.poll()


def test_poll_asks_for_a_scan_when_a_file_without_a_line_is_another_size(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Smaller too: it was cut, and begins anew."""
    append(live, event(0)[:20])
    receiver = receive()
    receiver.log.scan()
    assert not receiver.log.poll()
    for size in (19, 21):
        os.truncate(live, size)
        assert receiver.log.poll()


def test_who_waits_at_the_live_file_asks_again_where_another_one_came_later(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """An older log was put into its place: what comes after it may have something."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    (segment,) = receiver.log.segments()
    version = receiver.log.version
    receiver.log.ask_again_later(segment)
    assert receiver.log.version == version
    append(live.with_name("audit.log.1"), event(1))
    receiver.log.scan()
    version = receiver.log.version
    receiver.log.ask_again_later(segment)
    assert receiver.log.version == version + 1
