"""Plans can be written as text and mean what they mean in Python."""

import pytest

from tests.kit.backends.intake import Course, parse_plan
from tests.kit.backends.steps import Accept, Cut, Delay, Mix, ReceivedRequest, Throttle

REQUEST = ReceivedRequest(1, "/v1/logs", {}, 0, b"")


def test_a_plan_in_text_is_the_plan_in_python() -> None:
    """Calls, repeats, nested steps and tuples are read."""
    text = "Throttle(429, retry_after=1) * 2, Delay(0.5, then=Cut(accepted=True)), Accept()"
    assert parse_plan(text) == [
        *[Throttle(429, retry_after=1)] * 2,
        Delay(0.5, then=Cut(accepted=True)),
        Accept(),
    ]
    (mix,) = parse_plan("Mix(3, (Accept(), Throttle(503)), weights=(9, 1))")
    assert isinstance(mix, Mix)
    assert parse_plan("") == []


@pytest.mark.parametrize("text", ["Explode()", "print(1)", "Accept", "1", "__import__('os')"])
def test_nothing_but_steps_is_read(text: str) -> None:
    """Any other code is refused by name, and the error lists the steps."""
    with pytest.raises(ValueError, match="is no step; the steps are Accept, "):
        parse_plan(text)


def test_a_course_stays_at_its_last_step() -> None:
    """A list is used up; an empty one accepts."""
    course = Course([Throttle(), Accept()])
    assert [course.step_for(REQUEST) for _ in range(3)] == [Throttle(), Accept(), Accept()]
    assert Course().step_for(REQUEST) == Accept()
