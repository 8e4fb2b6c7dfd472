"""Any one record changed, taken out or put in is named; order and repeats are no alarm."""

from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.tools.verify.exports.record import ExportRecord
from tests.kit.shipped import judged, receipt_of

_ID = "0123456789abcdef"
_STEP = 64  # bytes of a line
Bodies = list[str]
bodies = st.lists(st.text(max_size=20), min_size=2, max_size=40)
some_body = st.text(min_size=1, max_size=20)


def uid(at: int) -> str:
    return f"{_ID}-{at * _STEP:x}"


def events(of: Bodies) -> list[ExportRecord]:
    return [ExportRecord(uid(at), body=body) for at, body in enumerate(of)]


def receipt(of: Bodies) -> ExportRecord:
    """Return the receipt that an agent writes which delivered these bodies."""
    return receipt_of(events(of), len(of) * _STEP)


@given(bodies, st.data())
@settings(deadline=None)
def test_any_order_with_any_repeats_is_no_alarm(of: Bodies, data: st.DataObject) -> None:
    every = [receipt(of), *events(of)]
    again = data.draw(st.lists(st.sampled_from(every), max_size=10))
    found = judged(data.draw(st.permutations(every + again)))
    assert (found.changed, found.missing, found.not_judged) == ([], [], [])
    assert (found.judged, found.records) == (1, len(of))


@given(bodies, some_body, st.data())
@settings(deadline=None)
def test_a_changed_record_is_named(of: Bodies, more: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(of) - 1))
    items = events(of)
    items[at] = ExportRecord(uid(at), body=of[at] + more)
    found = judged([*items, receipt(of)])
    assert [uid(at) + " was changed" in line for line in found.changed] == [True]
    assert not found.missing


@given(bodies, st.data())
@settings(deadline=None)
def test_a_record_that_was_taken_out_is_named(of: Bodies, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(of) - 1))
    items = events(of)
    del items[at]
    found = judged([*items, receipt(of)])
    assert [uid(at) + " is missing" in line for line in found.missing] == [True]
    assert not found.changed


@given(bodies, some_body, st.data())
@settings(deadline=None)
def test_a_record_that_was_put_in_is_named(of: Bodies, more: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(1, len(of) * _STEP - 1).filter(lambda at: at % _STEP))
    unknown = f"{_ID}-{offset:x}"
    found = judged([*events(of), ExportRecord(unknown, body=more), receipt(of)])
    assert [unknown + " was put in" in line for line in found.changed] == [True]
    assert not found.missing


@given(bodies, st.data())
@settings(deadline=None)
def test_two_records_that_change_places_are_found(of: Bodies, data: st.DataObject) -> None:
    """Each has its uid, so a body under another uid is another record."""
    one, other = data.draw(st.lists(st.integers(0, len(of) - 1), min_size=2, max_size=2))
    items = events(of)
    items[one], items[other] = (
        ExportRecord(uid(one), body=of[other]),
        ExportRecord(uid(other), body=of[one]),
    )
    found = judged([*items, receipt(of)])
    assert bool(found.changed) == (of[one] != of[other])
