"""What to do after an answer, as a table, and that it always comes to an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.retry_decisions import (
    MAX_QUARANTINED,
    BatchProgress,
    Decision,
    Next,
    after,
)
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge

OK = Delivered()
BAD = Rejected("HTTP 400")
LARGE = TooLarge("HTTP 413")
KEY = Misconfigured("HTTP 401")
DOWN = Retry("HTTP 503")
ASKED = Retry("HTTP 429", after_s=7.0)
UNREACHED = Retry("no connection", reached=False)

TABLE: list[tuple[Outcome, BatchProgress, Decision]] = [
    # accepted
    (OK, BatchProgress(500, 500), Decision(Next.REST)),
    (Delivered(3, "too old"), BatchProgress(500, 500), Decision(Next.REST)),
    (
        OK,
        BatchProgress(1, 9, failures=9, refused_in_a_row=64, out_of_time=True),
        Decision(Next.REST),
    ),
    # what may pass
    (UNREACHED, BatchProgress(500, 500, failures=99), Decision(Next.SAME, wait=True)),
    (DOWN, BatchProgress(500, 500, failures=1), Decision(Next.SAME, wait=True)),
    (ASKED, BatchProgress(500, 500, failures=1), Decision(Next.SAME, wait=True)),
    (KEY, BatchProgress(1, 1, failures=4), Decision(Next.SAME, wait=True)),
    # the fifth failure: does the back end take anything?
    (DOWN, BatchProgress(500, 500, failures=5), Decision(Next.PROBE)),
    (KEY, BatchProgress(500, 500, failures=5), Decision(Next.PROBE)),
    (ASKED, BatchProgress(500, 500, failures=5), Decision(Next.PROBE, wait=True)),
    (DOWN, BatchProgress(1, 2, failures=5), Decision(Next.PROBE)),
    (DOWN, BatchProgress(1, 1, failures=5), Decision(Next.SET_ASIDE)),
    # the answer to the probe, and the search after it
    (DOWN, BatchProgress(1, 500, failures=6), Decision(Next.ANOTHER, wait=True)),
    (DOWN, BatchProgress(1, 500, failures=6, singles_refused=6), Decision(Next.ANOTHER, wait=True)),
    (DOWN, BatchProgress(1, 500, failures=6, singles_refused=7), Decision(Next.SET_ASIDE)),
    (DOWN, BatchProgress(1, 3, failures=6, singles_refused=1), Decision(Next.ANOTHER, wait=True)),
    (DOWN, BatchProgress(1, 3, failures=6, singles_refused=2), Decision(Next.SET_ASIDE)),
    (DOWN, BatchProgress(1, 500, failures=6, others_accepted=True), Decision(Next.SET_ASIDE)),
    (
        ASKED,
        BatchProgress(1, 500, failures=6, others_accepted=True),
        Decision(Next.SET_ASIDE, wait=True),
    ),
    (DOWN, BatchProgress(250, 500, failures=6), Decision(Next.HALF)),
    (ASKED, BatchProgress(250, 500, failures=6), Decision(Next.HALF, wait=True)),
    # the request's own fault
    (BAD, BatchProgress(500, 500), Decision(Next.HALF)),
    (BAD, BatchProgress(500, 500, failures=5), Decision(Next.HALF)),
    (BAD, BatchProgress(1, 500, failures=5), Decision(Next.SET_ASIDE)),
    (LARGE, BatchProgress(500, 500), Decision(Next.FEWER)),
    (BAD, BatchProgress(1, 500), Decision(Next.SET_ASIDE)),
    (BAD, BatchProgress(1, 500, can_shrink=True), Decision(Next.SET_ASIDE)),
    (LARGE, BatchProgress(1, 500, can_shrink=True), Decision(Next.SHRUNK)),
    (LARGE, BatchProgress(1, 500), Decision(Next.SET_ASIDE)),
    # everything is refused
    (BAD, BatchProgress(1, 500, refused_in_a_row=6), Decision(Next.SET_ASIDE)),
    (BAD, BatchProgress(1, 500, refused_in_a_row=7), Decision(Next.SET_ASIDE, wait=True)),
    (
        BAD,
        BatchProgress(1, 500, refused_in_a_row=MAX_QUARANTINED - 1),
        Decision(Next.SET_ASIDE, wait=True),
    ),
    (
        BAD,
        BatchProgress(1, 500, refused_in_a_row=MAX_QUARANTINED),
        Decision(Next.ANOTHER, wait=True),
    ),
    # max_elapsed_time
    (DOWN, BatchProgress(500, 500, failures=1, out_of_time=True), Decision(Next.GIVE_UP)),
    (BAD, BatchProgress(1, 500, out_of_time=True), Decision(Next.GIVE_UP)),
]


@pytest.mark.parametrize(("outcome", "progress", "step"), TABLE)
def test_each_answer_leads_to_one_step(
    outcome: Outcome, progress: BatchProgress, step: Decision
) -> None:
    """The rules of the module, a line each."""
    assert after(outcome, progress) == step


OUTCOMES = st.sampled_from([BAD, LARGE, KEY, DOWN, ASKED, UNREACHED])
SIZES = st.builds(
    BatchProgress,
    st.integers(1, 10),
    st.integers(10, 20),
    failures=st.integers(0, 9),
    singles_refused=st.integers(0, 9),
    others_accepted=st.booleans(),
    refused_in_a_row=st.integers(0, MAX_QUARANTINED),
    can_shrink=st.booleans(),
    out_of_time=st.just(False),
)


@given(OUTCOMES, SIZES)
def test_no_answer_but_the_end_of_time_gives_up_a_record(
    outcome: Outcome, progress: BatchProgress
) -> None:
    """And none that may pass is repeated without a wait."""
    step = after(outcome, progress)
    assert step.next is not Next.GIVE_UP
    assert step != Decision(Next.SAME)
    if step.next is Next.SET_ASIDE:
        assert progress.sent == 1
    if isinstance(outcome, Retry) and outcome.after_s is not None:
        assert step.wait
