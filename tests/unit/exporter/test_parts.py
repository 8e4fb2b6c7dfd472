"""The small parts of a delivery: waits, compression, the gate, the limit, a flight."""

import gzip

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.gate import Gate
from k8s_audit_otlp.exporter.limit import LearnedLimit
from k8s_audit_otlp.transport.compress import compressor

# -- back-off ---------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.floats(0, 0.999), st.none() | st.floats(0, 3600))
def test_a_wait_is_never_shorter_than_asked_and_never_without_bound(attempt, roll, after_s):
    """Whatever the dice say."""
    delay = Backoff(5, 30, 1.5, 0.5).delay_s(attempt, roll, after_s)
    assert delay >= (after_s or 0)
    assert 2.5 <= delay <= max(45, (after_s or 0) * 1.1)


# -- compression ------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [None, -2, -1, 0, 1, 2, 3, 4, 6, 9])
def test_gzip_unpacks_to_what_it_was_at_every_level(level):
    """The fast library and the small one."""
    data = b"audit " * 1000
    packed = compressor("gzip", level)(data)
    assert gzip.decompress(packed) == data
    assert len(packed) < len(data)


@pytest.mark.parametrize("level", [None, 1, 22])
def test_zstd_unpacks_to_what_it_was(level):
    """With the size in its head, which some receivers want."""
    data = b"audit " * 1000
    packed = compressor("zstd", level)(data)
    assert zstandard.ZstdDecompressor().decompress(packed) == data


def test_none_leaves_the_bytes_alone():
    """Not even copied."""
    data = b"audit"
    assert compressor("none")(data) is data


# -- the gate ---------------------------------------------------------------------------------


def test_the_gate_opens_when_the_last_one_leaves():
    """Two in back-off, and somebody who stalls."""
    opened = []
    gate = Gate(lambda: opened.append(1))
    gate.enter_backoff("503", 1)
    gate.enter_backoff("503", 1)
    gate.stall("dead letter", "full")
    gate.leave_backoff()
    gate.leave_backoff()
    assert not gate.open
    assert opened == []
    assert gate.stalled == "full"
    gate.stall("dead letter", "")
    assert gate.open
    assert opened == [1]


def test_each_who_stalls_must_take_it_back():
    """One that is content does not open for the other."""
    gate = Gate(lambda: None)
    gate.stall("a", "one")
    gate.stall("b", "two")
    gate.stall("a", "")
    assert gate.stalled == "two"
    gate.stall("b", "")
    assert gate.open


def test_taking_back_what_was_never_said_wakes_nobody():
    """It is said once a second."""
    opened = []
    gate = Gate(lambda: opened.append(1))
    gate.stall("a", "")
    assert opened == []


# -- the learned limit ------------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**7)), max_size=60))
def test_the_limit_stays_between_its_bounds(steps):
    """Whatever is accepted and refused: never over what is configured, never nothing."""
    limit = LearnedLimit(900_000)
    for accepted, size in steps:
        (limit.accepted if accepted else limit.too_large)(size)
        assert 16 * 1024 <= limit.bytes <= 900_000


def test_a_limit_that_was_lowered_is_followed():
    """What was accepted yesterday is no proof against a refusal today."""
    limit = LearnedLimit(900_000)
    limit.accepted(890_000)
    limit.too_large(880_000)
    assert limit.bytes == 440_000


def test_what_is_accepted_is_proof():
    """A larger request that passes lifts the limit at once."""
    limit = LearnedLimit(900_000)
    limit.too_large(100_000)
    assert limit.bytes == 50_000
    limit.accepted(400_000)
    assert limit.bytes == 400_000


# -- a flight ---------------------------------------------------------------------------------


def test_a_flight_settles_once_all_its_records_are_decided(bench):
    """Delivered, refused, dead-lettered: in any order, once."""
    b = bench(lambda _: None)
    flight = b.flight([b"%d" % i for i in range(6)])
    flight.decided(delivered=3)
    flight.decided(dead_lettered=1)
    assert b.offset == 0
    flight.decided(refused=2)
    assert b.offset == 6
    assert b.settled == [flight]
    assert b.tally.balance == 0


def test_a_flight_without_records_settles_at_once(bench):
    """The policy left nothing of it."""
    b = bench(lambda _: None)
    assert b.flight([]).settle_if_empty()
    assert not b.flight([b"x"]).settle_if_empty()


def test_a_flight_gives_its_budget_back_to_the_last_byte(bench):
    """What is freed early and what is left add up."""
    b = bench(lambda _: None)
    flight = b.flight([b"12345", b"678"])
    freed = []
    flight.on_freed = freed.append
    flight.set_aside(b"678")
    assert freed == []
    flight.decided(delivered=1)
    assert sum(freed) + flight.size == 8
    flight.decided(dead_lettered=1)
    assert b.settled == [flight]


def test_a_flight_whose_budget_nobody_takes_back_keeps_its_size(bench):
    """Then all of it is given back at the end."""
    b = bench(lambda _: None)
    flight = b.flight([b"12345", b"678"])
    flight.set_aside(b"678")
    flight.decided(delivered=1)
    assert flight.size == 8
