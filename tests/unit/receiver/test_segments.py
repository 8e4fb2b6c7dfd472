"""Which segments are known, who still needs them, and which files stay open."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.identity import Identity, fingerprint
from k8s_audit_otlp.receiver.names import parse
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import _GONE_S, KnownSegments, LogLimits
from k8s_audit_otlp.receiver.source import open_source
from k8s_audit_otlp.state.ledger import Ledger, Tally
from tests.conftest import ManualClock

Add = Callable[..., Segment]


@pytest.fixture
def known(clock: ManualClock) -> Iterator[KnownSegments]:
    limits = LogLimits(max_open=3)
    segments = KnownSegments(None, limits, lambda: int(clock.now * 1e9))
    yield segments
    for segment in segments:
        segment.release()


@pytest.fixture
def add(known: KnownSegments, log_dir: Path) -> Add:
    """Add a segment with a file of so many bytes, read from it; the newest may be the live one."""

    def make(size: int = 10, *, live: bool = False) -> Segment:
        number = len(list(known)) + 1
        name = "audit.log" if live else f"audit.log.{99 - number}"
        path = log_dir / name
        data = (b"%06d" % number * size)[: size - 1] + b"\n"
        path.write_bytes(data)
        segment = known.add(Identity(f"{number:016x}", fingerprint(data), len(data), 0))
        segment.name, segment.path = parse("audit.log", name), path
        segment.state.seen_as(name)
        known.hold(segment, open_source(path, compressed=False), live=live)
        known.close_if_rotated(segment)
        return segment

    return make


def settle(ledger: Ledger, segment: Segment, end: int) -> None:
    start = ledger.next_offset(segment.seq)
    ledger.settle(ledger.open(Span(segment.seq, start, end), ""), Tally())


def take_away(known: KnownSegments, segment: Segment) -> None:
    """Delete the file of a segment, as a listing shows it."""
    assert segment.path is not None
    segment.path.unlink()
    bound = {s.seq for s in known if s is not segment and s.name is not None}
    known.unbind(bound, set(), nothing_listed=False)


def test_a_closed_segment_is_needed_until_every_ledger_has_settled_its_end(
    known: KnownSegments, add: Add
) -> None:
    """The slower of two exporters decides, to the byte; a live one is always needed."""
    quick, slow = Ledger(), Ledger()
    known.register(quick)
    known.register(slow)
    segment, live = add(10), add(10, live=True)
    for ledger in (quick, slow):
        settle(ledger, live, 10)
    settle(quick, segment, 10)
    settle(slow, segment, 9)
    known.release_done()
    assert segment.source is not None
    settle(slow, segment, 10)
    known.release_done()
    assert segment.source is None
    assert not segment.state.gone, "its file is still there"
    assert live.source is not None


def test_the_next_segment_is_the_first_with_something_and_the_live_one_otherwise(
    known: KnownSegments, add: Add
) -> None:
    """What cannot be read now holds up nothing behind it."""
    ledger = Ledger()
    known.register(ledger)
    first, second, live = add(10), add(10), add(10, live=True)
    assert known.next_for(ledger) is first
    first.trouble = "EIO"
    assert known.next_for(ledger) is second
    settle(ledger, second, 10)
    assert known.next_for(ledger) is live
    settle(ledger, live, 10)
    assert known.next_for(ledger) is live, "it may grow"
    first.trouble = ""
    assert known.next_for(ledger) is first


def test_an_older_log_in_the_live_place_holds_up_nothing(known: KnownSegments, add: Add) -> None:
    """It never rotates, and what comes after it has something."""
    ledger = Ledger()
    known.register(ledger)
    live, later = add(10, live=True), add(10)
    settle(ledger, live, 10)
    assert known.next_for(ledger) is later
    settle(ledger, later, 10)
    assert known.next_for(ledger) is live


def test_surplus_files_are_closed_from_the_one_that_is_needed_last(
    known: KnownSegments, add: Add
) -> None:
    """The live file and the one that is being read stay; three may be open."""
    known.register(Ledger())
    segments = [add() for _ in range(3)]
    live = add(live=True)
    known.release_surplus()
    assert [s.source is not None for s in (*segments, live)] == [True, True, False, True]
    known.hold(segments[2], open_source(segments[2].path, compressed=False), live=False)  # type: ignore[arg-type] # it has one
    assert segments[2].source is None, "more than the bound is open: it waits for its turn"


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


def test_what_was_written_behind_a_cut_ends_the_segment_before_it(
    known: KnownSegments, add: Add
) -> None:
    """Every ledger begins it there, one that comes later as well."""
    early, late = Ledger(), Ledger()
    known.register(early)
    before = add(100)
    part = known.add(Identity("f" * 16, "", 0, 0), begin=40, after=before.seq)
    known.register(late)
    assert (before.state.complete, before.state.cut) == (True, 40)
    assert early.next_offset(part.seq) == late.next_offset(part.seq) == 40
    assert early.settled_offset(part.seq) == 40


@pytest.mark.parametrize("settled", [39, 40])
def test_the_file_of_a_part_is_that_of_the_segment_before_it_while_that_is_needed(
    known: KnownSegments, add: Add, settled: int
) -> None:
    """What lies before the cut is read from it; a settled segment takes no descriptor."""
    ledger = Ledger()
    known.register(ledger)
    before = add(40)
    part = known.add(Identity("f" * 16, "", 0, 0), begin=40, after=before.seq)
    before.release()
    settle(ledger, before, settled)
    assert before.path is not None
    known.hold(part, open_source(before.path, compressed=False), live=True)
    assert (before.source is part.source) is (settled < 40)


def test_a_backup_was_closed_when_it_was_first_seen_as_one(
    known: KnownSegments, add: Add, clock: ManualClock
) -> None:
    """Rates of rotation come from these times."""
    segment = add()
    closed_ns = segment.state.closed_ns
    clock.advance(5)
    known.close_if_rotated(segment)
    assert segment.state.closed_ns == closed_ns == int((clock.now - 5) * 1e9)


def test_of_what_is_settled_the_farthest_mark_is_enough(known: KnownSegments, add: Add) -> None:
    """It names the file; marks on the way to it would fill the manifest."""
    segment = add()
    segment.state.marks = [(10, "far"), (5, "near")]
    known.release_done()
    assert segment.state.marks == [(10, "far")]


def test_a_stretch_that_nobody_can_read_is_one_byte_that_is_gone(known: KnownSegments) -> None:
    """The same key has the same identity, and no new segment has to follow it."""
    ledger = Ledger()
    known.register(ledger)
    real = known.add(Identity("a" * 16, "", 0, 0))
    lost = known.add_lost("unseen", "audit.log", b"key", (5, 9))
    assert (lost.state.lost, lost.state.size) == ("unseen", 1)
    assert lost.state.complete
    assert lost.state.gone
    assert (lost.state.first_ns, lost.state.last_ns) == (5, 9)
    assert lost.state.identity == fingerprint(b"key")
    assert known.predecessor() is real
    assert known.needed(lost)


def test_the_newest_is_the_live_one_or_else_what_was_found_last(
    known: KnownSegments, add: Add, clock: ManualClock
) -> None:
    """A log that has nothing yet remembers when that was so."""
    clock.advance(7)
    known.note_newest(1, set())
    assert known.manifest.empty_ns == int(clock.now * 1e9)
    first, second = add(), add()
    known.note_newest(1, {first.seq, second.seq})
    assert known.manifest.newest == second.seq
    live = add(live=True)
    _older = add()
    known.note_newest(live.seq, {live.seq})
    assert known.manifest.newest == live.seq
    assert known.predecessor() is live
    live.name = None
    known.note_newest(99, set())
    assert known.manifest.newest == live.seq, "nothing new was found"
    assert first.seq == 1


def test_a_file_that_shrank_or_begins_otherwise_is_let_go(known: KnownSegments, add: Add) -> None:
    """Only a live one is held against its beginning: a backup is not written any more."""
    kept, cut, live = add(10), add(10), add(10, live=True)
    assert cut.path is not None
    with cut.path.open("r+b") as file:
        file.truncate(5)
    known.forget_rewritten(lambda _: False)
    assert kept.source is not None
    assert [s.state.truncated for s in (kept, cut, live)] == [False, True, True]
    assert live.source is None
    assert live.key == (0, 0)
    assert live.name is None


def test_the_appearance_changes_with_each_thing_that_readers_care_about(
    known: KnownSegments, add: Add
) -> None:
    """A change that is left out would wake nobody."""
    segment = add()
    seen = [known.appearance()]
    for change in (
        lambda: setattr(segment, "name", None),
        lambda: setattr(segment.state, "size", 11),
        lambda: setattr(segment.state, "complete", False),
        lambda: setattr(segment.state, "gone", True),
        lambda: setattr(segment, "disk_size", 12),
        lambda: setattr(segment.state, "inode", 1),
        lambda: setattr(segment, "trouble", "EIO"),
        add,
    ):
        change()
        assert known.appearance() != seen[-1]
        seen.append(known.appearance())
