"""A log that is rotated while it is empty proves what follows."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from k8s_audit_otlp.receiver.log_file import LogFile, open_log_file
from tests.kit.log.log_files import append, rotate, rotations


def seen_empty(receive: Callable[..., Any], live: Path, *, restart: bool) -> Any:
    """Look at the log while it is empty; a restart is told of where inodes have generations."""
    live.touch()
    if restart and not generation(live):
        pytest.skip("this file system does not tell a file from another of its inode number")
    receiver = receive()
    assert receiver.drain() == []
    return receiver


@pytest.mark.parametrize("known", [True, False])
def test_a_live_file_that_was_empty_at_a_stop_and_is_a_backup_now_is_no_gap(
    receive: Any, live: Path, event: Any, *, known: bool
) -> None:
    """It is the very file that was seen, though what was known before it is deleted by now."""
    if known:
        append(live, event(0))
        rotate(live, 0)
    else:
        live.touch()
    if not generation(live):
        pytest.skip("this file system does not tell a file from another of its inode number")
    receiver = receive()
    receiver.drain()
    rotations(live, event, [1], kept=1)
    append(live, event(2))
    second = receive(receiver)
    assert second.drain() == [event(1), event(2)]
    assert second.gaps == []


@pytest.mark.parametrize("looks", [0, 1, 3])
def test_what_came_and_went_while_stopped_is_a_gap_though_the_log_is_empty_again(
    receive: Any, live: Path, event: Any, clock: Any, *, looks: int
) -> None:
    """However often the new live file was looked at before it had a line."""
    live.touch()
    receiver = receive()
    receiver.drain()
    receiver.log.close()
    since_ns = int(clock.now * 1e9)
    rotations(live, event, [1, 2], kept=1)
    for backup in live.parent.glob("audit-*"):
        backup.unlink()
    receiver = receive(receiver)
    for _ in range(looks):
        clock.advance(1)
        assert receiver.drain() == []
    append(live, event(3))
    assert receiver.drain() == [event(3)]
    assert receiver.gaps == [("unseen", 0, 1)]
    (told,) = [s.state for s in receiver.log.segments() if s.state.lost]
    assert told.first_ns == since_ns


def generation(path: Path) -> int:
    source = open_log_file(path, compressed=False)
    assert isinstance(source, LogFile)
    return source.generation


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("before", [0, 1])
def test_a_log_that_was_rotated_while_it_was_empty_still_proves_what_follows(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], restart: bool, before: int
) -> None:
    """The very file that was seen without a line is there under the name of a backup."""
    if before:
        append(live, event(0))
        rotate(live, 0).unlink()
    live.touch()
    receiver = receive()
    assert receiver.drain() == []
    rotate(live, 1)
    append(live, event(2))
    second = receive(receiver) if restart else receiver
    assert second.drain() == [event(2)]
    assert second.gaps == []


@pytest.mark.parametrize("restart", [True, False])
def test_a_clock_that_is_set_back_puts_nothing_in_front_of_an_empty_file(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], *, restart: bool
) -> None:
    """Names order by time: what was written after the first file is listed before it."""
    receiver = seen_empty(receive, live, restart=restart)
    rotate(live, 0)
    append(live, event(1))
    rotate(live, -86_400_000)
    second = receive(receiver) if restart else receiver
    assert second.drain() == [event(1)]
    assert second.gaps == []


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("restart", [True, False])
def test_an_empty_file_is_known_packed_as_long_as_nobody_wrote_to_it(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    clock: Any,
    *,
    restart: bool,
    late: int,
) -> None:
    """By its time, which gzip and logrotate keep: a later one proves nothing."""
    live.touch()
    receiver = receive()
    assert receiver.drain() == []
    backup = rotate(live, 1)
    packed = backup.with_name(backup.name + ".gz")
    packed.write_bytes(gzip.compress(b""))
    os.utime(packed, (clock.now + late, clock.now + late))
    backup.unlink()
    append(live, event(2))
    second = receive(receiver) if restart else receiver
    assert second.drain() == [event(2)]
    assert second.gaps == [("unseen", 0, 1)] * late


@pytest.mark.parametrize("restart", [True, False])
def test_an_empty_first_file_whose_file_system_was_away_is_known_again(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], *, restart: bool
) -> None:
    """Though another empty log stood in its place meanwhile."""
    receiver = seen_empty(receive, live, restart=restart)
    mounted, away = live.parent, live.parent.with_name("away")
    mounted.rename(away)
    mounted.mkdir()
    live.touch()
    second = receive(receiver) if restart else receiver
    for _ in range(2):
        assert second.drain() == []
    append(away / live.name, event(1))
    rotate(away / live.name, 1)
    append(away / live.name, event(2))
    live.unlink()
    mounted.rmdir()
    away.rename(mounted)
    assert second.drain() == [event(1), event(2)]
    assert second.gaps == []


class Stopped:
    """A receiver that has ended, with the state of one whose empty file was another one."""

    def __init__(self, receiver: Any) -> None:
        self.log, self.ledger = self, receiver.ledger
        self.close = receiver.log.close
        self._state = receiver.log.state()

    def state(self) -> Any:
        (file,) = self._state.unnamed
        other = msgspec.structs.replace(file, generation=file.generation ^ 1)
        return msgspec.structs.replace(self._state, unnamed=[other])


@pytest.mark.parametrize("rotated", [True, False])
def test_a_file_with_the_inode_number_of_an_empty_one_proves_nothing(
    receive: Any, live: Path, event: Any, *, rotated: bool
) -> None:
    """The empty one was the first of all; it was written and deleted while no agent ran."""
    live.touch()
    if not generation(live):
        pytest.skip("this file system does not tell a file from another of its inode number")
    receiver = receive()
    assert receiver.drain() == []
    append(live, event(1))
    if rotated:
        rotate(live, 1)
    second = receive(Stopped(receiver))
    assert second.drain() == [event(1)]
    assert second.gaps == [("unseen", 0, 1)]


@pytest.mark.parametrize("half", [0, 50])
def test_what_is_written_to_an_empty_log_after_its_deletion_is_read(
    receive: Any, live: Path, event: Any, half: int
) -> None:
    """Who writes it has it open and does not know; a line that is half there is waited for."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    rotate(live, 0)
    with live.open("ab", buffering=0) as file:
        file.write(event(1)[:half])
        assert receiver.drain() == []
        live.unlink()
        assert receiver.drain() == []
        file.write(event(1)[half:])
        assert receiver.drain() == [event(1)]
        file.write(event(2))
        assert receiver.drain() == [event(2)]
    append(live, event(3))
    assert receiver.drain() == [event(3)]
