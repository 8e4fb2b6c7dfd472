"""A position moves over what is settled, never over what is not."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.state.content_hash import entry_of
from k8s_audit_otlp.state.ledger import Ledger, Place, Tally


class LedgerMachine(RuleBasedStateMachine):
    """The ledger against a list of spans, each with its count and whether it is settled."""

    SEGMENTS = (1, 2, 3)

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.spans: dict[int, list[Any]] = {n: [] for n in self.SEGMENTS}  # [end, records, settled]
        self.open: list[Any] = []  # (ticket, entry)
        self.settled_twice: list[Any] = []

    def _opened(self, segment: int) -> int:
        spans = self.spans[segment]
        return spans[-1][0] if spans else 0

    def _safe(self, segment: int) -> tuple[int, int]:
        spans = self.spans[segment]
        passed = spans[: self._settled_first(spans)]
        return (passed[-1][0] if passed else 0), sum(count for _, count, _ in passed)

    @rule(segment=st.sampled_from(SEGMENTS), size=st.integers(0, 50), records=st.integers(0, 5))
    def open_span(self, segment: int, size: int, records: int) -> None:
        start = self._opened(segment)
        entry = [start + size, records, False]
        ticket = self.ledger.open(Span(segment, start, start + size))
        self.spans[segment].append(entry)
        self.open.append((ticket, entry))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99))
    def settle(self, which: int) -> None:
        ticket, entry = self.open.pop(which % len(self.open))
        entry[2] = True
        tally = Tally(read=entry[1], delivered=entry[1], lines=1, dropped={"rule": entry[1]})
        safe = self.ledger.settle(ticket, tally)
        assert safe == self._safe(ticket.span.segment)[0]
        self.settled_twice.append(ticket)

    @precondition(lambda self: self.settled_twice)
    @rule(which=st.integers(0, 99))
    def settle_again(self, which: int) -> None:
        ticket = self.settled_twice[which % len(self.settled_twice)]
        self.ledger.settle(ticket, Tally(read=1000, delivered=1000))

    @rule(segment=st.sampled_from(SEGMENTS), gap=st.integers(1, 9))
    def open_elsewhere(self, segment: int, gap: int) -> None:
        start = self._opened(segment) + gap
        with pytest.raises(ValueError, match="segment is at"):
            self.ledger.open(Span(segment, start, start + 1))

    @rule(segment=st.sampled_from(SEGMENTS), offset=st.integers(1, 100))
    def begin(self, segment: int, offset: int) -> None:
        self.ledger.begin(segment, offset)
        spans = self.spans[segment]
        if self._settled_first(spans) == len(spans) and offset > self._opened(segment):
            spans.append([offset, 0, True])

    @rule()
    def restart(self) -> None:
        """Go on from a snapshot: what was open is opened again by whoever reads."""
        self.ledger = Ledger(self.ledger.places())
        for spans in self.spans.values():
            del spans[self._settled_first(spans) :]
        self.open, self.settled_twice = [], []

    @invariant()
    def offsets_and_tallies_are_those_of_the_list(self) -> None:
        places = self.ledger.places()
        for segment in self.SEGMENTS:
            offset, records = self._safe(segment)
            place = places.get(segment, Place())
            tally = place.tally
            assert place.offset == self.ledger.settled_offset(segment) == offset
            assert self.ledger.next_offset(segment) == self._opened(segment)
            assert (tally.read, tally.delivered) == (records, records)
            assert tally.dropped.get("rule", 0) == records
        waiting = sum(len(spans) - self._settled_first(spans) for spans in self.spans.values())
        assert self.ledger.in_flight() == waiting

    @staticmethod
    def _settled_first(spans: list[Any]) -> int:
        """How many are passed: those settled, less the last of no bytes, whose line goes on."""
        first = next((i for i, span in enumerate(spans) if not span[2]), len(spans))
        while first and spans[first - 1][0] == (spans[first - 2][0] if first > 1 else 0):
            first -= 1
        return first


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_a_snapshot_does_not_change_any_more() -> None:
    """It goes into a file while senders settle."""
    ledger = Ledger()
    ticket = ledger.open(Span(1, 0, 10))
    places = ledger.places()
    ledger.settle(ticket, Tally(read=1, dropped={"a": 1}))
    assert places == {1: Place()}


def test_a_segment_can_begin_later_but_never_earlier() -> None:
    """What was settled or is on its way stays so."""
    ledger = Ledger({1: Place(50, "mark")})
    for offset in (10, 50):
        ledger.begin(1, offset)
        assert ledger.place(1) == Place(50, "mark")
    ledger.begin(1, 60)
    ledger.open(Span(1, 60, 70))
    ledger.begin(1, 90)
    assert ledger.next_offset(1) == 70


def test_a_forgotten_segment_gives_its_tally_away() -> None:
    """The totals go on."""
    ledger = Ledger()
    ledger.settle(ledger.open(Span(1, 0, 10)), Tally(read=3, delivered=3))
    assert ledger.forget(1) == Tally(read=3, delivered=3)
    assert ledger.forget(1) == Tally()
    assert ledger.places() == {}


def test_a_tally_balances_when_nothing_is_missing() -> None:
    """What was read is delivered, dropped, dead-lettered or refused."""
    tally = Tally(read=10, delivered=4, dropped={"a": 1, "b": 2}, dead_lettered=2, refused=1)
    assert tally.balance == 0
    tally.add(Tally(read=1))
    assert tally.balance == 1


def test_what_is_read_counts_at_once_and_apart_from_what_became_of_it() -> None:
    """So the sum can fail: a record of which nobody said what became of it shows."""
    ledger = Ledger()
    first, second = ledger.open(Span(1, 0, 10), read=3), ledger.open(Span(1, 10, 20), read=2)
    assert (ledger.tally().read, ledger.tally().balance) == (5, 5)
    assert ledger.place(1).tally.read == 0
    ledger.settle(first, Tally(delivered=1, dropped={"a": 1}, refused=1))
    assert (ledger.tally().read, ledger.tally().balance) == (5, 2)
    assert ledger.place(1).tally.balance == 0
    ledger.settle(second, Tally(delivered=1))
    assert ledger.place(1).tally.balance == 1
    ledger.open(Span(1, 20, 30), read=4)
    ledger.rewind()
    assert ledger.tally().read == 5


def test_no_span_is_open_that_would_be_read_backwards() -> None:
    """It would settle bytes a second time, and leave the place before them."""
    ledger = Ledger({1: Place(50)})
    with pytest.raises(ValueError, match="is at 50"):
        ledger.open(Span(1, 50, 40))


def test_what_a_span_was_settled_as_first_is_what_counts() -> None:
    """Also while it waits for the one before it."""
    ledger = Ledger()
    first, second = ledger.open(Span(1, 0, 10)), ledger.open(Span(1, 10, 20))
    for tally in (Tally(delivered=1), Tally(dead_lettered=1)):
        ledger.settle(second, tally)
    ledger.settle(first, Tally())
    assert ledger.place(1).tally == Tally(delivered=1)
    assert ledger.settlements == 2


def test_adding_tallies_leaves_the_added_one_alone() -> None:
    """Rules are merged, times widened."""
    one = Tally(dropped={"a": 1}, first_ns=5, last_ns=7)
    other = Tally(dropped={"a": 1, "b": 1}, first_ns=3, last_ns=6)
    one.add(other)
    assert one.dropped == {"a": 2, "b": 1}
    assert (one.first_ns, one.last_ns) == (3, 7)
    assert other.dropped == {"a": 1, "b": 1}


# -- going back ------------------------------------------------------------------------------------


def settled(ledger: Ledger, end: int, records: int = 1, segment: int = 1) -> None:
    start = ledger.next_offset(segment)
    ticket = ledger.open(Span(segment, start, end), f"mark of {end}")
    ledger.settle(ticket, Tally(read=records, delivered=records))


def test_set_back_forgets_what_is_on_its_way_and_keeps_what_is_settled() -> None:
    """Whatever a failed exporter had sent counts for nothing afterwards."""
    ledger = Ledger()
    settled(ledger, 10)
    late = ledger.open(Span(1, 10, 20))
    later = ledger.open(Span(1, 20, 30))
    ledger.settle(later, Tally(read=5, delivered=5))
    ledger.rewind()
    assert (ledger.next_offset(1), ledger.in_flight(), ledger.rewinds) == (10, 0, 1)
    again = ledger.open(Span(1, 10, 15))
    assert ledger.settle(late, Tally(read=9, delivered=9)) == 10
    assert ledger.settle(again, Tally(read=1, delivered=1)) == 15
    assert ledger.place(1).tally == Tally(read=2, delivered=2)


def test_a_moved_place_is_told_and_one_that_waits_for_others_is_not() -> None:
    ledger, told = Ledger(), []
    ledger.listen(lambda of, segment: told.append((segment, of.settled_offset(segment))))
    first, second = ledger.open(Span(1, 0, 10)), ledger.open(Span(1, 10, 20))
    ledger.settle(second, Tally())
    assert told == []
    ledger.settle(first, Tally())
    assert told == [(1, 20)]


def test_parts_of_a_line_count_when_the_line_ends() -> None:
    """Who is killed inside a list of events reads it again: it must not be counted twice."""
    ledger = Ledger()
    entries = [entry_of(0, b"u", bytes([n])) for n in range(3)]
    part = ledger.open(Span(1, 0, 0))
    ledger.settle(part, Tally(read=2, delivered=2), b"".join(entries[:2]))
    assert ledger.place(1).tally == Tally()
    assert ledger.place(1).content.records == 0
    end = ledger.open(Span(1, 0, 30))
    assert ledger.settle(end, Tally(read=1, delivered=1, lines=1), entries[2]) == 30
    assert ledger.place(1).tally == Tally(read=3, delivered=3, lines=1)
    assert ledger.place(1).content.records == 3
