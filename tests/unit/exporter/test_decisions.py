"""What to do after an answer, as a table, and that it always comes to an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.exporter.decisions import (
    MAX_QUARANTINED,
    GiveUp,
    NextPart,
    Send,
    SetAside,
    Sizes,
    Step,
    Wait,
    after,
    waits_after,
)
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge

OK = Delivered()
BAD = Rejected("HTTP 400")
LARGE = TooLarge("HTTP 413")
KEY = Misconfigured("HTTP 401")
DOWN = Retry("HTTP 503")
ASKED = Retry("HTTP 429", after_s=7.0)
UNREACHED = Retry("no connection", reached=False)

TABLE: list[tuple[Outcome, Sizes, Step]] = [
    # accepted
    (OK, Sizes(500, 500), Send(NextPart.REST)),
    (Delivered(3, "too old"), Sizes(500, 500), Send(NextPart.REST)),
    (OK, Sizes(1, 9, failures=9, unproven=64, out_of_time=True), Send(NextPart.REST)),
    # what may pass
    (UNREACHED, Sizes(500, 500, failures=99), Wait(NextPart.SAME)),
    (DOWN, Sizes(500, 500, failures=1), Wait(NextPart.SAME)),
    (ASKED, Sizes(500, 500, failures=1), Wait(NextPart.SAME)),
    (KEY, Sizes(1, 1, failures=4), Wait(NextPart.SAME)),
    # the fifth failure: does the back end take anything?
    (DOWN, Sizes(500, 500, failures=5), Send(NextPart.PROBE)),
    (KEY, Sizes(500, 500, failures=5), Send(NextPart.PROBE)),
    (ASKED, Sizes(500, 500, failures=5), Wait(NextPart.PROBE)),
    (DOWN, Sizes(1, 2, failures=5), Send(NextPart.PROBE)),
    (DOWN, Sizes(1, 1, failures=5), SetAside(wait=False)),
    # the answer to the probe, and the search after it
    (DOWN, Sizes(1, 500, failures=6), Wait(NextPart.ANOTHER)),
    (DOWN, Sizes(1, 500, failures=6, tried=6), Wait(NextPart.ANOTHER)),
    (DOWN, Sizes(1, 500, failures=6, tried=7), SetAside(wait=False)),
    (DOWN, Sizes(1, 3, failures=6, tried=1), Wait(NextPart.ANOTHER)),
    (DOWN, Sizes(1, 3, failures=6, tried=2), SetAside(wait=False)),
    (DOWN, Sizes(1, 500, failures=6, proven=True), SetAside(wait=False)),
    (ASKED, Sizes(1, 500, failures=6, proven=True), SetAside(wait=True)),
    (DOWN, Sizes(250, 500, failures=6), Send(NextPart.HALF)),
    (ASKED, Sizes(250, 500, failures=6), Wait(NextPart.HALF)),
    # the request's own fault
    (BAD, Sizes(500, 500), Send(NextPart.HALF)),
    (BAD, Sizes(500, 500, failures=5), Send(NextPart.HALF)),
    (BAD, Sizes(1, 500, failures=5), SetAside(wait=False)),
    (LARGE, Sizes(500, 500), Send(NextPart.FEWER)),
    (BAD, Sizes(1, 500), SetAside(wait=False)),
    (BAD, Sizes(1, 500, can_shrink=True), SetAside(wait=False)),
    (LARGE, Sizes(1, 500, can_shrink=True), Send(NextPart.SHRUNK)),
    (LARGE, Sizes(1, 500), SetAside(wait=False)),
    # everything is refused
    (BAD, Sizes(1, 500, unproven=6), SetAside(wait=False)),
    (BAD, Sizes(1, 500, unproven=7), SetAside(wait=True)),
    (BAD, Sizes(1, 500, unproven=MAX_QUARANTINED - 1), SetAside(wait=True)),
    (BAD, Sizes(1, 500, unproven=MAX_QUARANTINED), Wait(NextPart.ANOTHER)),
    # max_elapsed_time
    (DOWN, Sizes(500, 500, failures=1, out_of_time=True), GiveUp()),
    (BAD, Sizes(1, 500, out_of_time=True), GiveUp()),
]


@pytest.mark.parametrize(("outcome", "sizes", "step"), TABLE)
def test_each_answer_leads_to_one_step(outcome: Outcome, sizes: Sizes, step: Step) -> None:
    """The rules of the module, a line each."""
    assert after(outcome, sizes) == step


def test_steps_of_different_kinds_are_never_equal() -> None:
    """Or the table could not tell a wait from none."""
    assert Send(NextPart.SAME) != Wait(NextPart.SAME)  # type: ignore[comparison-overlap] # that is the point
    assert waits_after(Wait(NextPart.SAME))
    assert waits_after(SetAside(wait=True))
    assert not waits_after(Send(NextPart.REST))
    assert not waits_after(SetAside(wait=False))
    assert not waits_after(GiveUp())


OUTCOMES = st.sampled_from([BAD, LARGE, KEY, DOWN, ASKED, UNREACHED])
SIZES = st.builds(
    Sizes,
    st.integers(1, 10),
    st.integers(10, 20),
    failures=st.integers(0, 9),
    tried=st.integers(0, 9),
    proven=st.booleans(),
    unproven=st.integers(0, MAX_QUARANTINED),
    can_shrink=st.booleans(),
    out_of_time=st.just(False),
)


@given(OUTCOMES, SIZES)
def test_no_answer_but_the_end_of_time_gives_up_a_record(outcome: Outcome, sizes: Sizes) -> None:
    """And none that may pass is repeated without a wait."""
    step = after(outcome, sizes)
    assert not isinstance(step, GiveUp)
    assert step != Send(NextPart.SAME)
    if isinstance(step, SetAside):
        assert sizes.sent == 1
    if isinstance(outcome, Retry) and outcome.after_s is not None:
        assert waits_after(step)
