"""A position names bytes: logs that are cut and written on, restored, grown after they were closed.

Whoever had read the old bytes does not take the new ones for them.
"""

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.state.ledger import Ledger, Tally
from tests.kit.log.log_files import append, rotate
from tests.kit.log.lumberjack import backup_name, compress_in_place

KNOWN_LINES = 64  # before the place that was read last
UNSEEN = ("unseen", 0, 1)


def cut(path: Path, size: int, *lines: Any) -> None:
    """Cut a file in place and write on at once."""
    with path.open("r+b") as file:
        file.truncate(size)
        file.seek(0, 2)
        file.write(b"".join(lines))


@pytest.mark.parametrize("rotated", [True, False])
@pytest.mark.parametrize("then", ["poll", "scan", "restart"])
def test_a_cut_of_what_was_read_since_the_last_look_is_seen(
    receive: Any, live: Path, event: Any, *, then: str, rotated: bool
) -> None:
    """The file is as long as it was looked at, and shorter than it was read."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(live, event(1), event(2))
    assert receiver.read_on() == [event(1), event(2)]
    cut(live, len(event(0)), event(3))
    if then == "poll":
        assert receiver.log.poll()
    if rotated:
        rotate(live, 0)
    if then == "restart":
        receiver = receive(receiver)
    assert receiver.drain()[-1:] == [event(3)]
    assert receiver.gaps == [UNSEEN]
    (gap,) = (s for s in receiver.log.state().segments if s.lost)
    assert gap.name in gap.detail  # as those who verify the notice expect


@pytest.mark.parametrize("left", [0, 1])
def test_nobody_saw_the_end_of_a_log_that_was_cut(
    receive: Any, live: Path, event: Any, *, left: int
) -> None:
    """A process that was killed may have delivered more of it than it could note."""
    append(live, event(0), event(1))
    receiver = receive()
    receiver.drain()
    cut(live, left * len(event(0)), event(2))
    assert receive(receiver).drain() == [event(2)]
    receiver.log.scan()
    assert receiver.log.state().segments[0].open_end


def test_a_gap_at_a_cut_does_not_end_before_it_begins(receive: Any, live: Path, event: Any) -> None:
    """The file begins with what was read before the gap: that says nothing of where it ends."""
    append(live, event(0), event(1))
    receiver = receive()
    receiver.drain()
    append(live, event(2))
    cut(live, len(event(0)), event(3))
    receiver.drain()
    (told,) = [s.state for s in receiver.log.segments() if s.state.lost]
    assert told.first_ns < told.last_ns or not told.last_ns


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("kept", [1, 50, 99])
@pytest.mark.parametrize("added", [0, 3, 400])
def test_what_is_written_behind_a_cut_is_new(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    stopped: bool,
    kept: int,
    added: int,
) -> None:
    """However much was cut and grew again: everything new comes, under another identity."""
    before = [event(n) for n in range(100)]
    append(live, *before)
    receiver = receive()
    assert receiver.drain() == before
    after = [event(1000 + n) for n in range(added)]
    if stopped:
        cut(live, sum(map(len, before[:kept])), *after)
        receiver = receive(receiver)
    else:
        cut(live, sum(map(len, before[:kept])), *after)
    again = receiver.drain()
    assert again[len(again) - added :] == after
    repeats = len(again) - added
    assert repeats <= (0 if 100 - kept < KNOWN_LINES else kept), "more than nobody can know"
    assert receiver.gaps == [UNSEEN]
    append(live, event(5000))
    assert receiver.drain() == [event(5000)]
    first, _, second = [s.state for s in receiver.log.segments()]
    assert second.identity == f"{first.identity}.2"
    assert (first.size, first.cut) == (sum(map(len, before)), second.begin)


def test_a_log_cut_twice_is_followed_through_both(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """Each part has its own identity and begins where the one before still holds."""
    append(live, *(event(n) for n in range(40)))
    receiver = receive()
    receiver.drain()
    for turn in (1, 2):
        lines = live.read_bytes().splitlines(keepends=True)
        kept = sum(map(len, lines[:-5]))
        cut(live, kept, *(event(1000 * turn + n) for n in range(30)))
        got = receiver.drain()
        assert got[-30:] == [event(1000 * turn + n) for n in range(30)]
    identities = [s.state.identity for s in receiver.log.segments() if not s.state.lost]
    assert identities == [identities[0], f"{identities[0]}.2", f"{identities[0]}.3"]


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("kept", [1, 30, 39])
def test_no_uid_names_two_events_after_a_cut(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    stopped: bool,
    kept: int,
) -> None:
    """Who removes duplicates by uid keeps the event that took the place of one that was cut.

    So what is repeated around the cut comes under new uids.
    """
    named: dict[tuple[str, int], bytes] = {}
    lines = [event(n) for n in range(40)]
    append(live, *lines)
    receiver = receive()
    for turn in range(3):
        receiver.log.scan()
        while (segment := receiver.log.next_segment(receiver.ledger)) is not None:
            found = receiver.reader.read(segment, receiver.ledger.next_offset(segment.seq))
            if found is None:
                break
            at = found.span.start
            for line in getattr(found, "data", b"").splitlines(keepends=True):
                assert named.setdefault((segment.state.identity, at), line) == line
                at += len(line)
            mark = mark_of(getattr(found, "data", b""))
            receiver.ledger.settle(receiver.ledger.open(found.span, mark), Tally())
        lines = [*lines[:kept], *(event(1000 * (turn + 1) + n) for n in range(40))]
        cut(live, sum(map(len, lines[:kept])), *lines[kept:])
        receiver = receive(receiver) if stopped else receiver
    assert len({identity for identity, _ in named}) >= 3


@pytest.mark.parametrize("stopped", ["never", "after the look", "before the look"])
def test_who_lags_behind_a_cut_reads_what_is_left_and_is_told_the_rest(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], stopped: str
) -> None:
    """The bytes before the cut are still in the file, those behind it are not.

    Another exporter has read the bytes behind it; a process that finds the cut has not.
    """
    before = [event(n) for n in range(100)]
    append(live, *before)
    receiver = receive()
    slow = Ledger()
    receiver.log.register(slow)
    receiver.drain()
    cut(live, sum(map(len, before[:60])), event(1000))
    if stopped != "before the look":
        receiver.drain()
    receiver.reader = BlockReader(receiver.log, cache_bytes=0)
    receiver.ledger, receiver.gaps = slow, []
    if stopped != "never":
        receiver = receive(receiver)
    got = receiver.drain()
    kept = got.index(event(1000)) if event(1000) in got else len(got)
    (reason, start, end), unseen = receiver.gaps
    assert (reason, end, unseen) == ("truncated", sum(map(len, before)), UNSEEN)
    assert 0 < start <= sum(map(len, before[:60]))
    assert b"".join(got)[:start] == b"".join(before)[:start]
    assert got[-1] == event(1000)
    assert kept >= 60


def test_growth_after_rotation_is_read_though_the_file_was_packed_since(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A writer that keeps the old file open goes on in the backup."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    backup = live.rename(backup_name(live, 1_767_323_045_000))
    append(live, event(1))
    assert receiver.drain() == [event(1)]
    append(backup, event(2), event(3))
    compress_in_place(backup)
    assert receiver.drain() == [event(2), event(3)]
    assert receiver.gaps == []


@pytest.mark.parametrize("packed", [True, False])
def test_a_backup_that_is_put_back_is_not_sent_again(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], packed: bool
) -> None:
    """A restored copy, under another inode, while the agent is away."""
    append(live, event(0), event(1))
    receiver = receive()
    receiver.drain()
    backup = live.rename(backup_name(live, 1_767_323_045_000))
    append(live, event(2))
    receiver.drain()
    data = backup.read_bytes()
    backup.unlink()
    restored = backup.with_name(backup.name + ".gz") if packed else backup
    restored.write_bytes(gzip.compress(data) if packed else data)
    second = receive(receiver)
    assert second.drain() == []
    assert second.gaps == []


def test_an_older_copy_of_the_log_is_read_on_from_where_it_agrees(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A volume is set back to a snapshot, and the apiserver writes on."""
    append(live, *(event(n) for n in range(50)))
    shutil.copyfile(live, live.with_name("snapshot"))
    append(live, *(event(n) for n in range(50, 60)))
    receiver = receive()
    receiver.drain()
    live.unlink()
    live.with_name("snapshot").rename(live)
    append(live, *(event(n) for n in range(100, 130)))
    second = receive(receiver)
    assert second.drain()[-30:] == [event(n) for n in range(100, 130)]
    assert UNSEEN in second.gaps


def test_a_file_that_is_packed_while_its_reader_was_closed_goes_on_by_its_bytes(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """With few descriptors; what has another content under the same name is another segment."""
    backups = []
    for number in range(6):
        append(live, *(event(100 * number + n) for n in range(20)))
        backups.append(live.rename(backup_name(live, 1_767_323_045_000 + number)))
    append(live, event(9000))
    receiver = receive(max_open=2)
    receiver.log.scan()
    segment = receiver.log.next_segment(receiver.ledger)
    block = receiver.reader.read(segment, 0)
    receiver.ledger.settle(receiver.ledger.open(block.span), Tally())
    for backup in backups:
        compress_in_place(backup)
    rest = [event(100 * number + n) for number in range(1, 6) for n in range(20)]
    assert receiver.drain() == [*rest, event(9000)]
    assert receiver.gaps == []


@pytest.mark.parametrize("then", ["scan", "restart"])
@pytest.mark.parametrize("read", [0, 20])
def test_a_log_that_outgrows_what_was_cut_of_it_is_not_taken_for_what_it_was(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], read: int, then: str
) -> None:
    """What was told as lost is behind a position without bytes: it proves nothing of the file."""
    before = [event(n) for n in range(40)]
    append(live, *before[:read])
    receiver = receive()
    receiver.drain()
    append(live, *before[read:])
    receiver.log.scan()  # its size is known, nobody has read it
    kept = sum(map(len, before[:20]))
    cut(live, kept, event(100))
    receiver.drain()
    new = [event(200 + n) for n in range(60)]
    cut(live, kept, *new)  # longer than it ever was
    receiver = receive(receiver) if then == "restart" else receiver
    assert receiver.drain()[-60:] == new
    append(live, event(300))
    assert receiver.drain() == [event(300)]
    assert live.name in [name for name, _ in receiver.segments()[-1:]]
