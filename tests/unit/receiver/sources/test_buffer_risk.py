"""An apiserver whose buffer fills loses events where nobody behind it can see it."""

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


def test_a_full_request_that_comes_late_is_told() -> None:
    """A full one is sent at once, unless others are in its way."""
    assert "batch-buffer-size" in BufferRisk().note(400, 20.0, 1.0)
    assert not BufferRisk().note(400, None, 1.0)


def test_requests_of_one_size_are_full_ones() -> None:
    """An apiserver that sends fewer at once by its flags can be late as well."""
    risk = BufferRisk()
    assert not risk.note(50, 20.0, 1.0)
    assert not risk.note(50, 20.0, 1.1)
    assert "late" in risk.note(50, 20.0, 1.2)
    assert not risk.note(49, 20.0, 1.3)
    assert "late" in risk.note(3, 90.0, 1.4)
    assert not BufferRisk().note(1, 29.0, 1.0)
