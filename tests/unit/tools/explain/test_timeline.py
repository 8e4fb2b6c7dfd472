"""Volume over time stays within its bound and loses no byte."""

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.tools.explain import timeline
from k8s_audit_otlp.tools.explain.timeline import Timeline, micro_text

times = st.lists(
    st.tuples(st.integers(1_700_000_000, 1_800_000_000), st.integers(0, 1000)), min_size=1
)


@given(times, st.integers(1, 100))
def test_the_bars_hold_every_byte(found: Any, most: Any) -> None:
    """They are equally wide and cover the whole range."""
    line = Timeline()
    for second, size in found:
        line.add(micro_text(second * 10**9), size)
    bars = line.bars(most)
    assert 1 <= len(bars) <= most
    assert sum(size for _, size in bars) == sum(size for _, size in found)
    assert len({b[0] - a[0] for a, b in pairwise(bars)}) <= 1
    first = min(second for second, _ in found)
    assert bars[0][0] <= first * 10**9
    assert line.seconds == max(second for second, _ in found) - first


def test_a_long_log_is_counted_coarser() -> None:
    """A month of seconds does not stay a month of seconds."""
    line = Timeline()
    moments = range(0, 31 * 86_400, 60)
    for second in moments:
        line.add(micro_text((1_767_323_045 + second) * 10**9), 1)
    assert len(line._bytes) <= timeline.MOST_MOMENTS
    assert sum(size for _, size in line.bars(96)) == len(moments)


def test_without_a_time_there_is_nothing_to_draw() -> None:
    """A log of lines that are no events."""
    assert Timeline().bars(10) == []
    assert Timeline().seconds == 0
