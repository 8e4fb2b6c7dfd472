"""Reasons say what happened and where, and never quote an event."""

import pytest

from k8s_audit_otlp.exporter.reasons import describe, reason_of, why_of
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge

OUTCOMES: list[tuple[Outcome, str, str]] = [
    (Delivered(2, "too old"), "delivered", "too old"),
    (Retry("no connection", reached=False), "connection", "no connection"),
    (Retry("HTTP 503"), "retryable", "HTTP 503"),
    (TooLarge("HTTP 413"), "too_large", "HTTP 413"),
    (Rejected("HTTP 400"), "rejected", "HTTP 400"),
    (Misconfigured("HTTP 401"), "misconfigured", "HTTP 401"),
]


@pytest.mark.parametrize(("outcome", "reason", "why"), OUTCOMES)
def test_every_outcome_has_a_reason_for_counters_and_one_for_people(
    outcome: Outcome, reason: str, why: str
) -> None:
    """The first is of a closed set."""
    assert (reason_of(outcome), why_of(outcome)) == (reason, why)


def test_what_nobody_foresaw_is_named_with_its_place_and_without_its_text() -> None:
    """The text may quote an event."""
    with pytest.raises(AttributeError) as caught:
        why_of("secret-of-mine")  # type: ignore[arg-type]  # what nobody foresaw
    said = describe(caught.value)
    assert said.startswith("unforeseen AttributeError at reasons.py:")
    assert "secret" not in said


def test_an_error_from_elsewhere_has_no_place_here() -> None:
    """There is nothing of ours to name."""
    assert describe(ValueError("secret")) == "unforeseen ValueError"
