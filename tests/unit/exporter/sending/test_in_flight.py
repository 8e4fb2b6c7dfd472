"""A batch on its way settles once, with what became of its records."""

from typing import Any


def test_a_batch_in_flight_settles_once_all_its_records_are_decided(harness: Any) -> None:
    """Delivered, refused, dead-lettered: in any order, once."""
    b = harness(lambda _: None)
    flight = b.flight([b"%d" % i for i in range(6)])
    flight.decided(delivered=3)
    flight.decided(dead_lettered=1)
    assert b.offset == 0
    flight.decided(refused=2)
    assert b.offset == 6
    assert b.settled == [flight]
    assert b.tally.balance == 0


def test_a_batch_in_flight_without_records_settles_at_once(harness: Any) -> None:
    """The policy left nothing of it."""
    b = harness(lambda _: None)
    assert b.flight([]).settle_if_empty()
    assert not b.flight([b"x"]).settle_if_empty()


def test_a_batch_in_flight_gives_its_budget_back_to_the_last_byte(harness: Any) -> None:
    """What is freed early and what is left add up."""
    b = harness(lambda _: None)
    flight = b.flight([b"12345", b"678"])
    freed = []
    flight.on_freed = freed.append
    flight.set_aside(b"678")
    assert freed == []
    flight.decided(delivered=1)
    assert freed == [5]  # what is set aside is held on
    assert flight.size == 3
    flight.decided(dead_lettered=1)
    assert b.settled == [flight]


def test_a_batch_in_flight_whose_budget_nobody_takes_back_keeps_its_size(harness: Any) -> None:
    """Then all of it is given back at the end."""
    b = harness(lambda _: None)
    flight = b.flight([b"12345", b"678"])
    flight.set_aside(b"678")
    flight.decided(delivered=1)
    assert flight.size == 8
