"""Which segments are known, who still needs them, and which files stay open."""

import pytest

from k8s_audit_otlp.receiver.identity import Identity
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.state.ledger import Ledger
from tests.conftest import ManualClock
from tests.unit.receiver.segments.known_segments import Add, add, known, settle

__all__ = ["add", "known"]


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
    known.hold(segments[2], open_log_file(segments[2].path, compressed=False), live=False)  # type: ignore[arg-type] # it has one
    assert segments[2].source is None, "more than the bound is open: it waits for its turn"


def test_what_was_written_behind_a_cut_ends_the_segment_before_it(
    known: KnownSegments, add: Add
) -> None:
    """Every ledger begins it there, one that comes later as well."""
    early, late = Ledger(), Ledger()
    known.register(early)
    before = add(100)
    part = known.add(Identity("f" * 16, "", 0, 0), "audit.log", begin=40, after=before.seq)
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
    part = known.add(Identity("f" * 16, "", 0, 0), "audit.log", begin=40, after=before.seq)
    before.release()
    settle(ledger, before, settled)
    assert before.path is not None
    known.hold(part, open_log_file(before.path, compressed=False), live=True)
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


def test_of_what_is_settled_the_farthest_marks_are_enough(known: KnownSegments, add: Add) -> None:
    """They name the file; all those on the way to them would fill the manifest, but for a few."""
    for _ in range(6):
        add().state.marks = [(place, "mark") for place in range(10, 0, -1)]
    known.release_done()
    assert [len(segment.state.marks) for segment in known] == [4, 4, 10, 10, 10, 10]


def test_the_newest_is_the_live_one_or_else_what_was_found_last(
    known: KnownSegments, add: Add, clock: ManualClock
) -> None:
    """A log that has nothing yet remembers when that was so."""
    clock.advance(7)
    known.note_newest(1, set(), empty=True)
    was_empty_ns = int(clock.now * 1e9)
    clock.advance(1)
    known.note_newest(1, set(), empty=False)
    assert known.manifest.empty_ns == was_empty_ns, "nobody knows what came meanwhile"
    first, second = add(), add()
    known.note_newest(1, {first.seq, second.seq}, empty=True)
    assert known.manifest.newest == second.seq
    live = add(live=True)
    _older = add()
    known.note_newest(live.seq, {live.seq}, empty=True)
    assert known.manifest.newest == live.seq
    assert known.predecessor() is live
    live.name = None
    known.note_newest(99, set(), empty=True)
    assert known.manifest.newest == live.seq, "nothing new was found"
    assert first.seq == 1


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
