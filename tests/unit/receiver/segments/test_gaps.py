"""What is told of lost bytes: by the segment's state, and by the times of its neighbours."""

import sys
from typing import Any

import pytest

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.gaps import Gap, Losses
from k8s_audit_otlp.state.manifest import SegmentState


def state(seq: int, **fields: Any) -> SegmentState:
    """Give a segment of 100 bytes whose events happened at its number times ten."""
    known = {"size": 100, "first_ns": seq * 10, "last_ns": seq * 10 + 5} | fields
    return SegmentState(seq, f"{seq:016x}", "", 0, **known)


def losses(own: SegmentState, *others: SegmentState) -> Losses:
    return Losses(own, sorted([own, *others], key=lambda one: one.seq))


@pytest.mark.parametrize(
    ("fields", "reason", "open_end"),
    [
        ({}, "deleted", False),
        ({"open_end": True}, "deleted", True),
        ({"let_go": True}, "let_go", False),
        ({"truncated": True}, "truncated", False),
        ({"cut": 50}, "truncated", False),
        ({"lost": "unseen", "let_go": True}, "unseen", True),
    ],
)
def test_what_no_file_holds_is_told_by_why_that_is(
    fields: dict[str, Any], reason: str, open_end: bool
) -> None:
    """From where it was read up to as far as its size is known, between two events."""
    found = losses(state(2, **fields), state(1), state(3)).missing(40)
    until_ns = 25 if fields.get("lost") else 30  # a stretch knows the times around it
    assert found == Gap(Span(2, 40, 100), reason, "", open_end, 20, until_ns)
    assert losses(state(2, **fields)).missing(100) is None


def test_the_times_are_those_of_the_nearest_segments_that_have_events() -> None:
    """Not those of a stretch that nobody could read, nor of what was found behind newer ones."""
    own, stretch = state(4), state(5, lost="unseen")
    assert losses(own, stretch, state(6)).from_here(0, "truncated").until_ns == 60
    assert losses(own, state(6, first_ns=1)).from_here(0, "truncated").until_ns == 0  # found late
    assert losses(own).from_here(0, "corrupt_gzip", "the file has no end").until_ns == 0
    behind = losses(own, state(2), state(3, lost="unseen")).zeroed(Span(4, 0, 64), 45)
    assert (behind.since_ns, behind.until_ns) == (25, 45)


def test_nuls_lie_behind_what_stands_before_them_and_before_what_follows() -> None:
    """In the segment, if anything of it does; none is told where the order does not fit."""
    own = losses(state(2), state(1), state(3))
    assert own.zeroed(Span(2, 40, 90), 27) == Gap(Span(2, 40, 90), "zeroed", "", False, 20, 27)
    assert own.zeroed(Span(2, 40, 90), 0).until_ns == 30
    assert own.zeroed(Span(2, 40, 90), 18).since_ns == 15  # its first event is behind them
    assert own.zeroed(Span(2, 40, 90), 9).since_ns == 0


def test_nuls_before_the_first_line_were_never_lines_where_a_copy_was_cut() -> None:
    """The writer went on at its offset; after a power cut they stand for what was written."""
    assert losses(state(2, head_start=100), state(1)).never_was(0) == 100
    assert losses(state(2, head_start=99), state(1)).never_was(0) == 0
    assert losses(state(2, head_start=10, begin=10), state(1)).never_was(5) == 100
    assert losses(state(2, head_start=100), state(1)).never_was(101) == 0  # a line is before
    assert losses(state(2, head_start=9)).never_was(0) == sys.maxsize
