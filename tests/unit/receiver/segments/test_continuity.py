"""Nothing that was written and deleted unseen is passed over in silence; nothing else is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.state.ledger import Ledger
from tests.kit.log.log_files import FIRST, append, copytruncate, rotate, rotations
from tests.kit.log.lumberjack import backup_name, compress_in_place

UNSEEN = ("unseen", 0, 1)


@pytest.mark.parametrize("kept", [1, 2, 3])
@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("empty", [True, False])
def test_more_rotations_than_are_kept_are_told(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    kept: int,
    restart: bool,
    empty: bool,
) -> None:
    """Stopped or frozen, with a live file that was empty at the last look or not."""
    append(live, event(0))
    if empty:
        rotate(live, 0)
    receiver = receive()
    assert receiver.drain() == [event(0)]
    if empty:
        (live.parent / backup_name(live, FIRST).name).unlink()
    rotations(live, event, range(1, 7), kept=kept)
    append(live, event(7))
    second = receive(receiver) if restart else receiver
    got = second.drain()
    if not restart:  # the descriptor of what was live was open
        assert got[0] == event(1)
        got = got[1:]
    assert got == [event(n) for n in range(7 - kept, 8)]
    assert second.gaps == [UNSEEN]
    (gap,) = [s.state for s in second.log.segments() if s.state.lost]
    assert gap.first_ns
    assert gap.last_ns > gap.first_ns
    assert second.drain() == []
    third = receive(second)
    assert (third.drain(), third.gaps) == ([], [])


@pytest.mark.parametrize("kept", [1, 2, 3])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("restart", [True, False])
def test_rotations_that_leave_the_last_known_file_are_no_gap(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    kept: int,
    packed: bool,
    restart: bool,
) -> None:
    """The oldest goes first: what was known and is still there proves that nothing is missing."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    for turn in range(4):
        rotations(live, event, range(10 * turn + 1, 10 * turn + 1 + kept), kept=kept + 1)
        if packed:
            for backup in live.parent.glob("audit-*.log"):
                compress_in_place(backup)
        if restart:
            before, receiver = receiver, receive(receiver)
            receiver.gaps = before.gaps
        assert len(receiver.drain()) == kept
    assert receiver.gaps == []


def test_everyone_is_told_however_far_they_are(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """One is caught up, one has read nothing, one comes from another life."""
    append(live, event(0))
    receiver = receive()
    lagging = Ledger()
    receiver.log.register(lagging)
    receiver.drain()
    rotations(live, event, range(1, 5), kept=1)
    append(live, event(5))
    assert receiver.drain() == [event(1), event(4), event(5)]
    assert receiver.gaps == [UNSEEN]
    receiver.ledger, receiver.gaps = lagging, []
    assert receiver.drain() == [event(n) for n in (0, 1, 4, 5)]
    assert receiver.gaps == [UNSEEN]


def test_an_end_that_nobody_saw_stays_open_after_restarts(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """What a lagging consumer reads first does not close it for the others."""
    append(live, event(0), event(1))
    receiver = receive()
    receiver.log.scan()
    rotations(live, event, range(2, 6), kept=1)
    for _ in range(3):
        receiver = receive(receiver)
        receiver.log.scan()
        gap = receiver.reader.read(receiver.log.next_segment(receiver.ledger), 0)
        assert (gap.reason, gap.open_end) == ("deleted", True)
        receiver.reader.read(receiver.log.next_segment(Ledger()), 0)


def test_a_segment_that_comes_back_goes_on_where_it_was(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], tmp_path: Path
) -> None:
    """It was moved away, not deleted; not a byte is passed over for the gap that was told."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    append(live, event(1), event(2))
    away = rotate(live, 0).rename(tmp_path / "away")
    append(live, event(3))
    second = receive(receiver)
    assert second.drain() == [event(3)]
    assert second.gaps == [UNSEEN]
    away.rename(backup_name(live, FIRST))
    assert second.drain() == [event(1), event(2)]


@pytest.mark.parametrize("began", [0, 9])
def test_a_gap_says_between_which_events_it_lies(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], began: int
) -> None:
    """Not from what was read last, which need not have arrived, but from what surely lies before.

    It ends before the first event of what follows, unless a clock was set back meanwhile.
    """
    append(live, event(began), event(began + 1))
    receiver = receive()
    receiver.log.scan()
    segment = receiver.log.next_segment(receiver.ledger)
    receiver.reader.read(segment, 0)  # read, not delivered
    rotations(live, event, range(2, 5), kept=1)
    second = receive(receiver)
    second.log.scan()
    first = second.log.next_segment(second.ledger)
    gap = second.reader.read(first, 0)
    assert (gap.reason, gap.open_end) == ("deleted", True)
    assert gap.since_ns == first.state.first_ns > 0
    following = second.log.segments()[-1].state.first_ns
    assert gap.until_ns == (0 if began else following)
    assert (following > gap.since_ns) == (not began)


def test_a_position_proves_what_no_checkpoint_names(receive: Any, live: Path, event: Any) -> None:
    """Killed between a rotation and the next checkpoint, with a retention that deletes at once."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    before = receiver.log.state()
    rotations(live, event, [1, 2], kept=1)
    receiver.log.scan()
    identity = receiver.segments()[-1][1]
    append(live, event(3))
    for expected, gaps in ((identity, []), ("another", [UNSEEN])):
        before.following = {2: "one that is gone", 3: expected}
        receiver.log.close()
        again = receive()
        again.log.close()
        log = type(again.log)(
            "audit",
            live,
            again.events,
            before,
            limits=again.log.limits,
            clock_ns=again.log.clock_ns,
        )
        log.register(again.ledger)
        again.log, again.reader = log, type(again.reader)(log)
        again.drain()
        log.close()
        assert again.gaps == [("deleted", 0, len(event(0))), *gaps]


@pytest.mark.parametrize("kept", [10, 40])
def test_a_gap_at_a_cut_ends_at_the_first_event_that_is_new(
    receive: Any, live: Path, event: Any, kept: int
) -> None:
    """What is sent again does not end it, or the gap would end before it begins."""
    lines = [event(n) for n in range(50)]
    append(live, *lines)
    receiver = receive()
    receiver.drain()
    live.write_bytes(b"".join(lines[:kept]) + event(100) + event(101))
    receiver.drain()
    assert receiver.gaps == [UNSEEN]
    (gap,) = [s.state for s in receiver.log.segments() if s.state.lost]
    first_ns = receiver.log.segments()[0].state.first_ns
    assert (gap.first_ns - first_ns, gap.last_ns - first_ns) == (49_000, 100_000)


def test_what_was_read_since_the_last_look_and_is_deleted_unsent_is_told(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any]
) -> None:
    """A reader is ahead of the last look at the file; what it had read and not sent is lost."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    append(live, event(1), event(2))
    (segment,) = receiver.log.segments()
    read = receiver.reader.read(segment, receiver.ledger.next_offset(segment.seq))
    assert read.data == event(1) + event(2)
    second = receive(receiver)
    rotations(live, event, range(3, 7), kept=1)
    append(live, event(7))
    assert second.drain() == [event(6), event(7)]
    sizes = [len(event(n)) for n in range(3)]
    assert second.gaps == [("deleted", sizes[0], sum(sizes)), UNSEEN]


def gone(live: Path) -> None:
    live.unlink()


def replaced(live: Path) -> None:
    live.with_name("new").write_bytes(b"")
    live.with_name("new").replace(live)


def emptied(live: Path) -> None:
    live.write_bytes(b"")


@pytest.mark.parametrize(
    ("happens", "restart", "said"),
    [
        (gone, True, "audit.log, the last file that the state knows, is gone"),
        (replaced, True, "audit.log, the last file that the state knows, is gone"),
        (gone, False, "audit.log is read to its end but deleted or replaced"),
        (replaced, False, "audit.log is read to its end but deleted or replaced"),
        (emptied, False, "audit.log was cut or overwritten"),
    ],
)
def test_a_gap_says_which_proof_is_lacking(
    receive: Callable[..., Any],
    live: Path,
    event: Callable[..., Any],
    happens: Callable[[Path], None],
    restart: bool,
    said: str,
) -> None:
    """Also where the new file is as long as the old one: nobody can tell whether all is there."""
    append(live, event(0))
    receiver = receive()
    receiver.drain()
    happens(live)
    append(live, event(1))
    second = receive(receiver) if restart else receiver
    assert second.drain() == [event(1)]
    assert second.gaps == [UNSEEN]
    (gap,) = [s.state for s in second.log.segments() if s.state.lost]
    assert gap.detail.startswith(said)


@pytest.mark.parametrize("restart", [True, False])
def test_a_log_that_is_cut_again_and_again_is_not_known_by_having_been_empty(
    receive: Callable[..., Any], live: Path, event: Callable[..., Any], restart: bool
) -> None:
    """It stays the same file; what it held in between went with a copy that nobody keeps."""
    append(live, event(0))
    receiver = receive()
    assert receiver.drain() == [event(0)]
    copytruncate(live)
    receiver.log.scan()
    append(live, event(1))
    for _ in range(2):
        copytruncate(live)
        live.with_name("audit.log.2").unlink()
    append(live, event(2))
    receiver = receive(receiver) if restart else receiver
    assert receiver.drain() == [event(2)]
    assert receiver.gaps == [UNSEEN]
