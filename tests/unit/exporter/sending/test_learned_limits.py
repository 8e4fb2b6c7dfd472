"""The limit of a back end, learned from its answers."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.learned_limits import LearnedLimit


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**7)), max_size=60))
def test_the_limit_stays_between_its_bounds(steps: Any) -> None:
    """Whatever is accepted and refused: never over what is configured, never nothing."""
    limit = LearnedLimit(900_000)
    for accepted, size in steps:
        (limit.accepted if accepted else limit.too_large)(size)
        assert 16 * 1024 <= limit.bytes <= 900_000


def test_a_limit_that_was_lowered_is_followed() -> None:
    """What was accepted yesterday is no proof against a refusal today."""
    limit = LearnedLimit(900_000)
    limit.accepted(890_000)
    limit.too_large(880_000)
    assert limit.bytes == 440_000


def test_what_is_accepted_is_proof() -> None:
    """A larger request that passes lifts the limit at once."""
    limit = LearnedLimit(900_000)
    limit.too_large(100_000)
    assert limit.bytes == 50_000
    limit.accepted(400_000)
    assert limit.bytes == 400_000
