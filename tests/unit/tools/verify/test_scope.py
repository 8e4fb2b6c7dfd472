"""What of an export is judged, by the times that receipts and gaps give."""

from itertools import count

import pytest

from k8s_audit_otlp.evidence.chain import words
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt
from k8s_audit_otlp.tools.verify.scope import Scope

GAP = "k8s.audit.gap."
NUMBERS = count(1)


def receipt(identity: str, first: int, last: int) -> ExportRecord:
    said = Receipt(identity, first_event_ns=first, last_event_ns=last)
    return ExportRecord(f"receipt-{identity}-{next(NUMBERS)}", said, {})


def gap(identity: str, **times: int) -> ExportRecord:
    return ExportRecord(
        f"gap-otlp_http-{identity}-0-ff", None, {words(GAP + k): v for k, v in times.items()}
    )


def left_out(scope: Scope, *items: ExportRecord) -> set[str]:
    assert len(list(scope.taking(items))) == len(items)
    return scope.left_out


A = "00000000000000aa"


@pytest.mark.parametrize(
    ("times", "is_left_out"),
    [
        ({"since_ns": 10, "until_ns": 90}, True),
        ({"since_ns": 10, "told_ns": 99}, True),
        ({"told_ns": 99}, True),
        ({"since_ns": 200}, True),
        ({"since_ns": 10, "until_ns": 150}, False),
        ({"told_ns": 500}, True),
        ({"told_ns": 150}, False),
        ({"since_ns": 10, "told_ns": 500}, False),
        ({"since_ns": 150, "until_ns": 160}, False),
        ({}, False),
    ],
)
def test_a_gap_that_cannot_lie_in_the_range_is_left_out(
    times: dict[str, int], *, is_left_out: bool
) -> None:
    """One of which nobody knows when it was counts, or is named if it was told of after it."""
    assert left_out(Scope("", 100, 200), gap(A, **times)) == ({A} if is_left_out else set())


def test_a_gap_goes_with_the_receipt_of_its_segment() -> None:
    assert left_out(
        Scope("", 100, 200), gap(A, since_ns=10, until_ns=20), receipt(A, 110, 120)
    ) == (set())


@pytest.mark.parametrize("by_end", [False, True])
def test_a_segment_that_was_lost_as_a_whole_lies_where_its_gap_does(*, by_end: bool) -> None:
    """Its receipt has no time of an event, and must not take the loss out of the range."""
    for since, until in ((100, 200), (100, 0)):
        scope = Scope("", since, until, by_end=by_end)
        assert not left_out(scope, gap(A, since_ns=110, until_ns=120), receipt(A, 0, 0))
        assert not scope.beyond
    later = Scope("", 200, 300, by_end=by_end)
    assert left_out(later, gap(A, since_ns=110, until_ns=120), receipt(A, 0, 0)) == {A}


@pytest.mark.parametrize(("last", "day"), [(99, 0), (100, 1), (199, 1), (200, 2)])
def test_a_segment_belongs_to_the_day_in_which_it_ends(last: int, day: int) -> None:
    """And to no other, whenever it began; receipts of a part of it do not count."""
    for at in range(3):
        scope = Scope("", at * 100, at * 100 + 100, by_end=True)
        out = left_out(scope, receipt(A, 5, last), receipt(A, 5, min(last, 50)))
        assert (A in out) == (at != day)
        assert [span[:2] for span in scope.judged] == ([(5, last)] if at == day else [])


@pytest.mark.parametrize("times", [{"since_ns": 10, "until_ns": 150}, {"told_ns": 150}])
def test_a_gap_belongs_to_the_day_in_which_it_ends(times: dict[str, int]) -> None:
    days = [Scope("", at * 100, at * 100 + 100, by_end=True) for at in range(3)]
    assert [A in left_out(day, gap(A, **times)) for day in days] == [True, False, True]
