"""What went while nobody looked, what is not there yet, and what cannot be read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.listing import list_log
from tests.conftest import ManualClock
from tests.kit.log.log_files import FIRST, append, rotate
from tests.kit.log.lumberjack import backup_name, compress_in_place


def test_an_empty_file_is_no_segment_until_it_has_a_line(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Half a line is not enough while the file is live."""
    live.touch()
    receiver = receive()
    assert receiver.drain() == []
    append(live, event(0)[:20])
    assert receiver.drain() == []
    assert receiver.segments() == []
    append(live, event(0)[20:])
    assert receiver.drain() == [event(0)]


def test_a_directory_that_is_moved_away_and_back_is_waited_for(
    receive: Callable[..., Any], live: Path, log_dir: Path, event: Callable[..., Any]
) -> None:
    """It is said once, nothing is taken for deleted, and reading goes on."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    away = log_dir.rename(log_dir.with_name("away"))
    assert receiver.drain() == []
    assert "waiting" in receiver.events.troubles[-1][1]
    away.rename(log_dir)
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    assert receiver.events.troubles[-1][1] == ""
    assert receiver.gaps == []


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_is_written_to_a_log_without_its_name_is_read(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], *, elsewhere: bool
) -> None:
    """The apiserver has a file that was deleted or moved open until it rotates."""
    append(live, event(0))
    rotate(live, 1)
    receiver = receive()
    with live.open("ab", buffering=0) as written:
        written.write(event(1))
        assert receiver.drain() == [event(0), event(1)]
        if elsewhere:
            live.rename(live.parent.with_name("elsewhere"))
        else:
            live.unlink()
        for number in (2, 3):
            assert receiver.drain() == []
            written.write(event(number))
            assert receiver.drain() == [event(number)]
    append(live, event(4))
    assert receiver.drain() == [event(4)]
    assert receiver.gaps == ([] if elsewhere else [("unseen", 0, 1)])
    receiver.log.scan()
    assert [s.live for s in receiver.log.segments() if s.source] == [True]


def test_an_older_copy_that_was_written_on_and_packed_is_not_what_was_read(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A log directory from a backup: the file ends before the one that was read did."""
    old = [event(number, 900) for number in range(40)]
    append(live, *old)
    receiver = receive()
    assert receiver.drain() == old
    backup = rotate(live, 1)
    append(live, event(50))
    assert receiver.drain() == [event(50)]
    receiver.drain()
    backup.unlink()
    new = [event(number, 900) for number in range(60, 79)]
    live.write_bytes(b"".join(old[:20] + new))
    compress_in_place(rotate(live, 2))
    append(live, event(90))
    got = receive(receiver).drain()
    assert [line for line in got if line in new] == new
    assert got[-1] == event(90)


@pytest.mark.parametrize("kept", [True, False])
def test_a_directory_on_another_disk_is_read_on_though_its_log_was_packed_since(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], *, kept: bool
) -> None:
    """What came after the copy is in the backup alone, whether or not the original is kept."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    original = live.rename(live.parent.with_name("original"))
    append(live, original.read_bytes(), event(1))
    if not kept:
        original.unlink()
    compress_in_place(rotate(live, 2))
    append(live, event(2))
    assert receiver.drain() == [event(1), event(2)]
    assert receiver.gaps == []


def test_what_is_no_file_is_not_said_to_be_absent(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A pipe in its place is named; the log that replaces it is read."""
    os.mkfifo(live)
    receiver = receive()
    assert receiver.drain() == []
    assert "is no regular file" in receiver.events.troubles[-1][1]
    live.unlink()
    append(live, event(0))
    assert receiver.drain() == [event(0)]


def test_a_log_that_appears_hours_later_is_read_from_its_beginning(
    receive: Callable[..., Any], live: Path, clock: ManualClock, event: Callable[..., Any]
) -> None:
    """Neither a missing directory entry nor the time matters."""
    receiver = receive()
    assert receiver.drain() == []
    clock.advance(7 * 3600)
    append(live, event(0))
    assert receiver.log.poll()
    assert receiver.drain() == [event(0)]


def test_a_segment_that_went_while_the_agent_was_away_is_a_gap(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """The checkpoint knows of it; nobody has it."""
    append(live, event(0), event(1))
    size = live.stat().st_size
    receiver = receive()
    receiver.log.scan()
    rotate(live, 0).unlink()
    append(live, event(2))
    second = receive(receiver)
    assert second.drain() == [event(2)]
    assert second.gaps == [("deleted", 0, size), ("unseen", 0, 1)]


def test_a_live_file_that_went_while_the_agent_was_away_is_a_gap_of_unknown_length(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """All that was known of it is settled, but what was added since is gone."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(live, event(1))
    live.unlink()
    append(live, event(2))
    second = receive(receiver)
    assert second.drain() == [event(2)]
    assert second.gaps == [("unseen", 0, 1)]


def test_a_damaged_gz_does_not_stop_the_rest(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A file from which nothing can be read has no identity; the log goes on."""
    backup_name(live, FIRST).with_suffix(".log.gz").write_bytes(b"\xfeno gzip")
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]


@pytest.mark.parametrize("target", ["audit.log.1", "nowhere"])
def test_a_link_that_leads_nowhere_does_not_stop_the_rest(
    receive: Callable[..., Any], live: Path, log_dir: Path, event: Callable[..., Any], target: str
) -> None:
    """It is no file of the log."""
    (log_dir / "audit.log.1").symlink_to(target)
    append(live, event(0))
    assert receive().drain() == [event(0)]


def test_a_settled_segment_that_is_gone_can_be_forgotten_after_a_while(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], clock: ManualClock
) -> None:
    """The manifest does not grow for ever; one listing that lacks a file is no proof."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    backup = rotate(live, 0)
    append(live, event(1))
    receiver.drain()
    assert receiver.log.finished() == []
    backup.unlink()
    receiver.log.scan()
    assert receiver.log.finished() == []
    clock.advance(60)
    (done,) = receiver.log.finished()
    receiver.log.forget([done.seq])
    assert [name for name, _ in receiver.segments()] == ["audit.log"]


def test_a_gz_that_was_listed_as_the_plain_file_is_missed_all_the_same(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """It was packed between the listing and the opening, and nobody had unpacked it."""
    append(live, event(0))
    backup = rotate(live, 0)
    append(live, event(1))
    listed = list_log(live)
    packed = compress_in_place(backup)
    receiver = receive(listing=lambda _: listed)
    receiver.log.scan()
    packed.unlink()
    receiver = receive(receiver)
    assert receiver.drain() == [event(1)]
    assert receiver.gaps == [("deleted", 0, 1)]
