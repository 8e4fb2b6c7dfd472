"""A batch on its way settles once, with what became of its records."""

from threading import Lock
from typing import Any

from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.model import Batch, Span
from k8s_audit_otlp.state.content_hash import entry_of


def test_a_batch_in_flight_settles_once_all_its_records_are_decided(harness: Any) -> None:
    """Delivered, refused, dead-lettered: in any order, once."""
    b = harness(lambda _: None)
    in_flight = b.in_flight([b"%d" % i for i in range(6)])
    in_flight.decided(delivered=3)
    in_flight.decided(dead_lettered=1)
    assert b.offset == 0
    in_flight.decided(refused=2)
    assert b.offset == 6
    assert b.settled == [in_flight]
    assert b.tally.balance == 0


def test_a_batch_in_flight_without_records_settles_at_once(harness: Any) -> None:
    """The policy left nothing of it."""
    b = harness(lambda _: None)
    assert b.in_flight([]).settle_if_empty()
    assert not b.in_flight([b"x"]).settle_if_empty()


def test_a_batch_in_flight_gives_its_budget_back_to_the_last_byte(harness: Any) -> None:
    """What is freed early and what is left add up."""
    b = harness(lambda _: None)
    in_flight = b.in_flight([b"12345", b"678"])
    freed: list[int] = []
    in_flight.on_freed = freed.append
    in_flight.set_aside(b"678")
    assert freed == []
    in_flight.decided(delivered=1)
    assert freed == [5]  # what is set aside is held on
    assert in_flight.size == 3
    in_flight.decided(dead_lettered=1)
    assert b.settled == [in_flight]


def test_a_batch_in_flight_whose_budget_nobody_takes_back_keeps_its_size(harness: Any) -> None:
    """Then all of it is given back at the end."""
    b = harness(lambda _: None)
    in_flight = b.in_flight([b"12345", b"678"])
    in_flight.set_aside(b"678")
    in_flight.decided(delivered=1)
    assert in_flight.size == 8


def test_a_batch_that_was_given_up_frees_nothing_more(harness: Any) -> None:
    """The exporter began again while the rest of it was still being sent."""
    in_flight = harness(lambda _: None).in_flight([b"12345", b"678"])
    freed: list[int] = []
    in_flight.on_freed = freed.append
    in_flight.set_aside(b"678")
    assert in_flight.abandon() == 8
    in_flight.decided(delivered=1)
    assert freed == []


def test_a_batch_of_which_some_are_refused_has_no_hashes() -> None:
    """Nobody knows which of them are there: a hash over all would call the back end a forger."""
    records = [b"a", b"b", b"c"]
    entries = [entry_of(place, b"u", b"") for place in range(3)]
    batch = Batch("r", Span(1, 0, 3), records, digests=b"".join(entries))
    one, other = (InFlight(batch, lambda _in_flight, _tally: None, 3) for _ in range(2))
    one.not_delivered(records, 1)
    assert one.digests() is None
    other.not_delivered(records[:1], 1)
    assert other.digests() == b"".join(entries[1:])


def test_a_batch_that_is_decided_has_nothing_to_give_back(harness: Any) -> None:
    """Its settling has given its bytes back: twice would let others use more than there is."""
    b = harness(lambda _: None)
    in_flight = b.in_flight([b"12345", b"678"])
    in_flight.decided(delivered=2)
    assert in_flight.abandon() == 0
    left = b.in_flight([b"12345"])
    assert [left.abandon(), left.abandon()] == [5, 0]


class _Interrupted:
    """A lock behind which another thread gets its turn, once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.in_flight: InFlight | None = None

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self.in_flight is not None:
            in_flight, self.in_flight = self.in_flight, None
            assert in_flight.abandon() == 0


def test_a_batch_given_up_as_it_settles_gives_its_bytes_back() -> None:
    """Else they count as in flight for ever, and the exporter sends ever less at once."""
    lock: Any = _Interrupted()
    settled = []
    batch = Batch("r", Span(1, 0, 3), [b"a", b"b", b"c"])
    in_flight = InFlight(batch, lambda one, _tally: settled.append(one), 3, _lock=lock)
    lock.in_flight = in_flight
    in_flight.decided(delivered=3)
    assert settled == [in_flight]


def test_of_records_that_are_refused_by_number_alone_no_hash_is_left() -> None:
    """Nobody knows which of them they were, be it all but one; of all of them it is known."""
    digests = b"".join(entry_of(number, b"u", b"") for number in range(3))
    records = [b"a", b"b", b"c"]
    for count, left in ((1, None), (2, None), (3, b"")):
        batch = Batch("k8s_audit", Span(1, 0, 3), records, digests=digests)
        in_flight = InFlight(batch, lambda *_: None, 3)
        in_flight.not_delivered(records, count)
        assert in_flight.digests() == left
