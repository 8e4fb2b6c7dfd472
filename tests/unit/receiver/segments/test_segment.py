"""What is known of one generation while its file grows, is renamed, changed and deleted."""

from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.identity import fingerprint
from k8s_audit_otlp.receiver.log_file import open_log_file
from k8s_audit_otlp.receiver.marks import extended, holds
from k8s_audit_otlp.receiver.segment import Segment, reopened
from k8s_audit_otlp.state.manifest import SegmentState

LINES = b'{"auditID":"a"}\n{"auditID":"b"}\n'
SECOND = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "audit.log"
    file.write_bytes(LINES)
    return file


@pytest.fixture
def segment(path: Path) -> Segment:
    state = SegmentState(1, "abc", fingerprint(LINES[:16]), 16, names=[path.name])
    made = Segment(state, path=path)
    made.hold(open_log_file(path, compressed=False), SECOND)
    return made


def test_growth_is_seen_once(segment: Segment, path: Path) -> None:
    """And a segment that was complete is not any more."""
    assert segment.state.size == len(LINES)
    segment.state.complete = True
    assert not segment.look(2 * SECOND)
    with path.open("ab") as file:
        file.write(LINES)
    assert segment.look(3 * SECOND)
    assert not segment.look(4 * SECOND)
    assert (segment.state.size, segment.state.complete) == (2 * len(LINES), False)


def test_how_long_it_has_not_changed_survives_a_clock_that_is_set_back(segment: Segment) -> None:
    """It is waited for a little longer, not for ever."""
    assert not segment.unchanged_for(5.0, 5 * SECOND)
    assert segment.unchanged_for(5.0, 6 * SECOND)
    segment.changed_ns = 1000 * SECOND
    assert not segment.unchanged_for(5.0, 10 * SECOND)
    assert segment.unchanged_for(5.0, 15 * SECOND)


def test_a_cut_segment_does_not_grow_with_what_is_written_over_it(
    segment: Segment, path: Path
) -> None:
    """That belongs to the next one."""
    segment.state.cut = 10
    with path.open("ab") as file:
        file.write(LINES)
    segment.look(2 * SECOND)
    assert segment.state.size == len(LINES)


def test_a_file_is_known_by_its_head_and_by_what_was_read_farthest(
    segment: Segment, path: Path
) -> None:
    """The same beginning with another end is another file."""
    segment.state.marks = extended([], 0, LINES)
    assert segment.source is not None
    assert holds(segment.source, segment.state)
    path.write_bytes(LINES[:16] + b'{"auditID":"X"}\n')
    assert not holds(open_log_file(path, compressed=False), segment.state)
    path.write_bytes(b'{"auditID":"Y"}\n' + LINES[16:])
    assert not holds(open_log_file(path, compressed=False), segment.state)


def test_a_shorter_file_is_a_truncated_one(segment: Segment, path: Path) -> None:
    """What no copy holds is lost."""
    path.write_bytes(LINES[:16])
    segment.hold(open_log_file(path, compressed=False), 2 * SECOND)
    assert segment.state.truncated
    assert segment.state.size == len(LINES)


@pytest.mark.parametrize(
    ("complete", "truncated", "open_end"),
    [(True, False, False), (False, False, True), (False, True, True)],
)
def test_what_is_gone_has_an_open_end_if_it_could_have_grown(
    segment: Segment, *, complete: bool, truncated: bool, open_end: bool
) -> None:
    """Nobody saw what came after the last look."""
    segment.state.complete, segment.state.truncated = complete, truncated
    segment.let_go()
    state = segment.state
    assert (state.gone, state.complete, state.let_go) == (True, True, True)
    assert state.open_end is open_end
    assert segment.source is None
    assert "gone" in repr(segment)


def test_a_packed_file_that_nobody_unpacked_is_gone_with_a_byte_that_stands_for_it() -> None:
    """Else a reader at its known end would find nothing missing. What came was no whole line."""
    state = SegmentState(1, "a" * 16, "head", 0, names=["audit.log.1"], size=7, promised=1)
    state.marks = [(9, "mark")]
    Segment(state).gone()
    assert (state.size, state.torn, state.open_end) == (10, 10, True)
    plain = SegmentState(1, "a" * 16, "head", 0, names=["audit.log.1"], size=7)
    Segment(plain).gone()
    assert (plain.size, plain.torn) == (7, 0)


def test_only_our_descriptor_keeps_an_unlinked_file(segment: Segment, path: Path) -> None:
    """Its bytes can be read as long as it is held."""
    assert not segment.unlinked
    path.unlink()
    assert segment.unlinked
    assert segment.source is not None
    assert segment.source.read_at(0, 100) == LINES


def test_a_file_is_opened_again_only_where_it_is_the_same(segment: Segment, path: Path) -> None:
    """Under its last name; another one that has taken it is not."""
    segment.state.marks = extended([], 0, LINES)
    segment.release()
    assert reopened(segment) is not None
    path.write_bytes(b"another\n" * 10)
    assert reopened(segment) is None
    path.unlink()
    assert reopened(segment) is None


@pytest.mark.parametrize(("complete", "truncated"), [(True, False), (True, True), (False, False)])
def test_of_a_file_that_is_gone_the_end_is_open_unless_it_was_seen(
    segment: Segment, complete: bool, truncated: bool
) -> None:
    """One that was cut had been written on, for all that anybody knows."""
    segment.state.complete, segment.state.truncated = complete, truncated
    segment.gone()
    assert segment.state.open_end == (truncated or not complete)
    assert segment.state.gone
    assert segment.state.complete


def test_the_size_of_what_was_written_over_a_segment_is_not_its_own(
    segment: Segment, path: Path
) -> None:
    """It was cut and written anew: what it had is in a copy, and no longer than it was."""
    path.write_bytes(b'{"auditID":"c"}\n' * 9)
    assert not segment.look(2 * SECOND)
    assert segment.state.size == len(LINES)
