"""An apiserver whose buffer fills loses events where nobody behind it can see it."""

import pytest

from k8s_audit_otlp.receiver.sources.buffer_risk import BufferRisk


def test_an_ordinary_stream_is_no_risk() -> None:
    """Small requests wait up to 30 s in the apiserver, by its own choice."""
    risk = BufferRisk()
    for second in range(60):
        assert not risk.note(100, 29.0, second)
        assert not risk.note(400, 0.2, second + 0.5)


def test_a_rate_near_the_throttle_is_told() -> None:
    """10 requests a second of 400 events are the most that it sends."""
    risk = BufferRisk()
    said = [risk.note(400, 0.1, tenth / 10) for tenth in range(100)]
    assert not said[10]
    assert "throttle-qps" in said[-1]


def said_of(*requests: tuple[int, float | None], every_s: float = 0.1) -> list[str]:
    risk = BufferRisk()
    return [risk.note(events, age, n * every_s) for n, (events, age) in enumerate(requests)]


def test_full_requests_that_stay_late_are_told() -> None:
    """Full ones are sent at once, unless others are in their way."""
    said = said_of((400, 20.0), (400, 20.1), (400, 20.2))
    assert said[:2] == ["", ""]
    assert "batch-buffer-size" in said[-1]
    assert not any(said_of(*[(400, None)] * 5))


def test_full_are_those_of_the_most_events() -> None:
    """An apiserver may send fewer at once by its flags, and others may send between."""
    assert "buffer fills" in said_of((50, 20.0), (50, 20.1), (50, 20.2))[-1]
    others = [(7, 2.0), (50, 20.0), (3, 28.0), (50, 20.1), (50, 20.2), (9, 0.1), (50, 20.2)]
    assert "buffer fills" in said_of(*others)[-1]
    assert not any(said_of(*[(1, 29.0)] * 20))  # in blocking mode there is no buffer


def test_a_buffer_that_empties_is_not_told() -> None:
    """After a burst each request is less late than the one before."""
    assert not any(said_of(*[(400, 30.0 - second) for second in range(30)]))


def test_a_request_that_was_repeated_is_told_as_that() -> None:
    """An apiserver that repeats for a minute soon drops; what it has is in no buffer."""
    (said,) = said_of((3, 75.0))
    assert "75 s late" in said
    assert "repeated" in said


@pytest.mark.parametrize("age", [900.0, 86_400.0, 28_469_573.0])
@pytest.mark.parametrize("step", [0.0, 0.1, -40.0])
def test_a_replay_is_no_risk(age: float, step: float) -> None:
    """No buffer makes events so late, and how fast they come says nothing of an apiserver."""
    replay = [(size, age + n * step) for n, size in enumerate([400] * 12 + [7])]
    assert not any(said_of(*replay, every_s=0.01))
    assert not any(said_of(*[(10_000, age)] * 9, every_s=0.01))


def test_a_replay_hides_no_buffer_that_fills_behind_it() -> None:
    """A live request soon says again how late requests are as a rule."""
    said = said_of((400, 9e6), (7, 9e6), (20, 1.0), *[(400, 20.0)] * 3)
    assert "buffer fills" in said[-1]


def test_a_clock_that_is_behind_is_told_no_longer_than_it_is_unknown() -> None:
    """Requests that are not full tell how late those are that no buffer holds up."""
    said = said_of((20, 310.0), *[(400, 300.2), (20, 320.0)] * 10)
    assert not any(said)
    said = said_of((20, 310.0), (400, 300.0), *[(400, 350.0)] * 3)
    assert "buffer fills" in said[-1]
