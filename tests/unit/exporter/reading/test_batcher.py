"""Batches keep every limit, and together they are what was put in."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.batcher import Batcher, BatchLimits
from k8s_audit_otlp.exporter.learned_limits import LearnedLimit
from k8s_audit_otlp.model import Batch, EncodedBlock, Span
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.otlp.wire import time_of
from tests.kit.present import present

SECOND = 10**9
# A line is the (time in seconds, size) of its records; none is a line that the policy took away.
LINES = st.lists(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 300)), max_size=3), max_size=12
)


def record(second: int, size: int = 0) -> bytes:
    return encode_record(second * SECOND, 1, 9, "", "x" * size, {})


def block_of(lines: list[Any], start: int = 0) -> EncodedBlock:
    """Encode lines of ten bytes."""
    records, ends, dropped = [], [], []
    for number, line in enumerate(lines, 1):
        end = start + 10 * number
        records += [record(*each) for each in line]
        ends += [end] * len(line)
        dropped += [] if line else [(end, "rule")]
    span = Span(1, start, start + 10 * len(lines))
    return EncodedBlock(span, records, ends, dropped, len(lines))


def batches_of(blocks: list[Any], limits: BatchLimits) -> Iterator[Batch]:
    batcher = Batcher("r", limits)
    for block in blocks:
        if block.span.end > block.span.start:
            batcher.add(block)
    while (batch := batcher.take()) is not None:
        yield batch


@settings(max_examples=150, deadline=None)
@given(
    st.lists(LINES, max_size=3),
    st.builds(
        BatchLimits,
        max_bytes=st.sampled_from([1, 400, 900, 10**6]),
        max_records=st.integers(0, 5),
        max_span_ns=st.sampled_from([0, 1, 5 * SECOND]),
    ),
)
def test_batches_keep_the_limits_and_lose_nothing(groups: Any, limits: Any) -> None:
    """Whatever the lines: spans touch, records and dropped events come once and in order."""
    blocks, start = [], 0
    for lines in groups:
        blocks.append(block_of(lines, start))
        start = blocks[-1].span.end
    batches = list(batches_of(blocks, limits))
    assert [r for b in batches for r in b.records] == [r for b in blocks for r in b.records]
    assert sum(sum(b.dropped.values()) for b in batches) == sum(len(b.dropped) for b in blocks)
    assert sum(b.lines for b in batches) == sum(b.lines for b in blocks)
    at = 0
    for batch in batches:
        assert batch.span.start == at
        at = batch.span.end
        assert len(batch.records) <= (limits.max_records or 1000)
        assert sum(map(len, batch.records)) <= limits.max_bytes or len(batch.records) == 1
        times = [time for r in batch.records if (time := time_of(r))]
        assert not limits.max_span_ns or not times or max(times) - min(times) <= limits.max_span_ns
    assert at == start


def test_a_batch_is_closed_where_its_events_lie_too_far_apart() -> None:
    """It is full at once, and the next begins with the event that did not fit."""
    batcher = Batcher("r", BatchLimits(max_span_ns=2 * SECOND))
    batcher.add(block_of([[(10, 0)], [(12, 0)]]))
    assert not batcher.full
    batcher.add(block_of([[(13, 0)], [(9, 0)]], start=20))
    assert batcher.full
    taken = [present(batcher.take()).records for _ in range(3)]
    assert taken == [[record(10), record(12)], [record(13)], [record(9)]]


def test_an_event_without_a_time_lies_within_any_span() -> None:
    """The back end gives it a time of its own."""
    batcher = Batcher("r", BatchLimits(max_span_ns=SECOND))
    batcher.add(block_of([[(0, 0)], [(50, 0)], [(0, 0)]]))
    assert not batcher.full
    assert len(present(batcher.take()).records) == 3


def test_a_batch_that_stops_within_a_line_does_not_pass_it() -> None:
    """The position stays before a list of events until its last one is sent.

    What stands before the list goes apart, so that its batch need not wait for the list's end.
    """
    batcher = Batcher("r", BatchLimits(max_records=2))
    batcher.add(block_of([[(1, 0)], [(2, 0), (3, 0), (4, 0)], [(5, 0)]]))
    batches = list(iter(batcher.take, None))
    spans = [(b.span.start, b.span.end) for b in batches]
    assert spans == [(0, 10), (10, 10), (10, 30)]
    assert [len(b.records) for b in batches] == [1, 2, 2]
    assert [b.lines for b in batches] == [1, 0, 2]


def test_what_was_learned_bounds_the_next_batch() -> None:
    """The learned limit counts where it is smaller, less the bytes beside the records."""
    learned = LearnedLimit(1000)
    batcher = Batcher("r", BatchLimits(), learned=learned, overhead=100)
    batcher.add(block_of([[(1, 400)]] * 8))
    assert batcher.full
    assert len(present(batcher.take()).records) == 2


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 300)), min_size=1), max_size=9),
    st.sampled_from([500, 900, 3000]),
)
def test_every_part_of_a_request_has_its_overhead(groups: Any, most: int) -> None:
    """Records of many hours have a resource for each; the request stays below its bound."""
    batcher = Batcher("r", BatchLimits(most, part_ns=SECOND), overhead=100)
    start, sent = 0, []
    for group in groups:
        batcher.add(block := block_of([group], start))
        start = block.span.end
        while batcher.full and (batch := batcher.take()) is not None:
            sent.append(batch)
    sent += iter(batcher.take, None)
    for batch in sent:
        parts = {time_of(one) // SECOND for one in batch.records}
        size = sum(map(len, batch.records)) + 100 * len(parts)
        assert size <= most or len(batch.records) == 1
    assert sum(len(batch.records) for batch in sent) == sum(map(len, groups))


def test_a_block_that_does_not_follow_is_refused() -> None:
    """A hole would let a position pass what nobody read."""
    batcher = Batcher("r", BatchLimits())
    batcher.add(block_of([[(1, 0)]]))
    with pytest.raises(ValueError, match="does not follow 1:10"):
        batcher.add(block_of([[(1, 0)]], start=20))


@pytest.mark.parametrize(
    ("limits", "reached"),
    [
        ({"min_records": 4}, [False, True]),
        ({"min_bytes": 400}, [False, True]),
        ({"min_records": 4, "min_bytes": 9000}, [False, False]),
        ({"min_records": 9, "min_bytes": 400}, [False, False]),
    ],
)
def test_a_batch_need_not_wait_once_all_its_minimums_are_reached(
    limits: dict[str, int], reached: list[bool]
) -> None:
    """One that is not set is none."""
    batcher = Batcher("r", BatchLimits(**limits))
    found = []
    for start in (0, 10):
        batcher.add(block_of([[(1, 100)] * 2], start))
        found.append(batcher.reached_minimum)
    assert found == reached


@pytest.mark.parametrize("part_ns", [0, SECOND])
def test_a_request_holds_its_overhead_too(part_ns: int) -> None:
    """Resource and scope count to what the back end takes, those of its first part once."""
    size = len(record(1, 100))
    for overhead, most in ((0, 4), (size, 3)):
        limits = BatchLimits(max_bytes=4 * size, part_ns=part_ns)
        batcher = Batcher("r", limits, overhead=overhead)
        batcher.add(block_of([[(1, 100)]] * 8))
        batch = batcher.take()
        assert batch is not None
        assert len(batch.records) == most


def test_each_batch_has_the_times_of_its_own_records() -> None:
    """What lies behind a batch in the same block may never arrive: its time is not yet passed."""
    block = block_of([[(second, 10)] for second in range(1, 6)])
    block = replace(block, first_ns=SECOND, last_ns=5 * SECOND)
    batches = batches_of([block], BatchLimits(max_records=2))
    times = [(batch.first_ns // SECOND, batch.last_ns // SECOND) for batch in batches]
    assert times == [(1, 2), (3, 4), (5, 5)]


def test_the_times_of_a_batch_are_the_outer_ones_of_its_blocks() -> None:
    """Events are written about in the order of their times, not quite."""
    batcher = Batcher("r", BatchLimits())
    for start, first, last in ((0, 3, 9), (10, 2, 8)):
        block = block_of([[(first, 0)]], start)
        batcher.add(replace(block, first_ns=first * SECOND, last_ns=last * SECOND))
    batch = batcher.take()
    assert batch is not None
    assert (batch.first_ns, batch.last_ns) == (2 * SECOND, 9 * SECOND)
