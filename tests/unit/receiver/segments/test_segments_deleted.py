"""Which segments are finished when their files are deleted, let go, or come back."""

from k8s_audit_otlp.receiver.identity import Identity, fingerprint
from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.receiver.segments import _GONE_S, KnownSegments
from k8s_audit_otlp.state.ledger import Ledger
from tests.conftest import ManualClock
from tests.unit.receiver.segments.known_segments import Add, add, known, settle, take_away

__all__ = ["add", "known"]


def test_of_deleted_files_the_oldest_is_let_go_when_nothing_else_can_be_closed(
    known: KnownSegments, add: Add
) -> None:
    """It cannot be opened again; that it was our choice is noted."""
    known.register(Ledger())
    segments = [add() for _ in range(3)]
    for segment in segments:
        take_away(known, segment)
    live = add(live=True)
    known.release_surplus(reading=segments[0])
    assert [s.state.let_go for s in segments] == [False, True, False]
    assert segments[1].state.gone
    assert segments[1].source is None
    assert live.source is not None


def test_a_deleted_segment_is_finished_once_settled_and_unseen_for_a_while(
    known: KnownSegments, add: Add, clock: ManualClock
) -> None:
    """A listing is no snapshot, and what the next new one has to follow is kept."""
    ledger = Ledger()
    known.register(ledger)
    first, second = add(), add()
    for segment in (first, second):
        settle(ledger, segment, 10)
        take_away(known, segment)
    known.release_done()
    assert [s.seq for s in known.settled()] == [1, 2]
    assert known.finished() == []
    clock.advance(_GONE_S - 0.1)
    assert known.finished() == []
    clock.advance(0.1)
    assert known.finished() == [first.state], "the newest is what the next one follows"
    known.forget([1])
    assert [s.seq for s in known] == [2]


def test_a_segment_that_is_seen_again_waits_its_while_anew(
    known: KnownSegments, add: Add, clock: ManualClock
) -> None:
    """It was a `.gz` under another name in between."""
    ledger = Ledger()
    known.register(ledger)
    first, _second = add(), add()
    settle(ledger, first, 10)
    take_away(known, first)
    known.release_done()
    assert known.finished() == []
    clock.advance(_GONE_S)
    name, first.name = first.name, parse("audit.log", "audit.log.7.gz")
    assert known.finished() == []
    first.name = None
    assert name is None
    assert known.finished() == []
    clock.advance(_GONE_S)
    assert known.finished() == [first.state]


def test_an_empty_directory_takes_only_the_backups(known: KnownSegments, add: Add) -> None:
    """It may be unmounted: the live file comes back, and it is not gone."""
    backup, live = add(), add(live=True)
    backup.release()
    live.release()
    known.unbind(set(), set(), nothing_listed=True)
    assert live.name is not None
    assert backup.name is None
    assert not backup.state.gone, "nothing proves it"
    known.unbind({live.seq}, set(), nothing_listed=False)
    assert backup.state.gone


def test_a_segment_that_an_unreadable_file_may_hold_is_not_gone(
    known: KnownSegments, add: Add
) -> None:
    """It is once nothing is in doubt."""
    segment = add()
    segment.release()
    known.unbind(set(), {segment.seq}, nothing_listed=False)
    assert segment.trouble
    assert not segment.state.gone
    known.unbind(set(), set(), nothing_listed=False)
    assert segment.state.gone
    assert not segment.trouble
    known.unbind(set(), {segment.seq}, nothing_listed=False)
    assert not segment.trouble, "what is gone is held up by nothing"


def test_a_stretch_that_nobody_can_read_is_one_byte_that_is_gone(known: KnownSegments) -> None:
    """The same key has the same identity, and no new segment has to follow it."""
    ledger = Ledger()
    known.register(ledger)
    real = known.add(Identity("a" * 16, "", 0, 0), "audit.log")
    lost = known.add_lost("unseen", "audit.log", b"key", (5, 9))
    assert (lost.state.lost, lost.state.size) == ("unseen", 1)
    assert lost.state.complete
    assert lost.state.gone
    assert (lost.state.first_ns, lost.state.last_ns) == (5, 9)
    assert lost.state.identity == fingerprint(b"key")
    assert known.predecessor() is real
    assert known.needed(lost)


def test_a_file_that_shrank_or_begins_otherwise_is_let_go(known: KnownSegments, add: Add) -> None:
    """A backup, too: somebody may copy another one over it."""
    kept, cut, live = add(10), add(10), add(10, live=True)
    assert cut.path is not None
    with cut.path.open("r+b") as file:
        file.truncate(5)
    known.forget_rewritten(lambda segment: segment is kept)
    assert kept.source is not None
    assert [s.state.truncated for s in (kept, cut, live)] == [False, True, True]
    assert live.source is None
    assert live.name is None


def test_what_can_be_opened_again_is_closed_before_a_deleted_file(
    known: KnownSegments, add: Add
) -> None:
    """However much later it is needed: a deleted one is gone once it is closed."""
    known.register(Ledger())
    deleted, backup, other = add(), add(), add()
    take_away(known, deleted)
    live = add(live=True)
    known.release_surplus()
    assert deleted.source is not None
    assert not deleted.state.let_go
    assert [s.source is not None for s in (backup, other, live)] == [True, False, True]
