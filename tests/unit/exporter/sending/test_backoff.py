"""How long a request waits before it is repeated."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.backoff import Backoff


@given(st.integers(0, 10_000), st.floats(0, 0.999), st.none() | st.floats(0, 3600))
def test_a_wait_is_never_shorter_than_asked_and_never_without_bound(
    attempt: Any, jitter: Any, after_s: Any
) -> None:
    """Whatever the rng say."""
    delay = Backoff(5, 30, 1.5, 0.5).delay_s(attempt, jitter, after_s)
    assert delay >= (after_s or 0)
    assert 2.5 <= delay <= max(45, (after_s or 0) * 1.1)


def test_the_jitter_lies_on_both_sides_of_the_wait() -> None:
    """Else a fleet waits longer than it is told to, on the average."""
    backoff = Backoff(10, 30, 2, 0.5)
    assert [backoff.delay_s(0, jitter) for jitter in (0.0, 0.5, 1.0)] == [5.0, 10.0, 15.0]


def test_who_is_asked_to_wait_comes_back_a_little_later_than_all_others() -> None:
    """A fleet that a back end has sent away does not come back in one moment."""
    backoff = Backoff(1, 2, 1.0, 0.0)
    assert [backoff.delay_s(0, jitter, 60.0) for jitter in (0.0, 0.5)] == [60.0, 63.0]
