"""Durations and sizes are read as Go and Kubernetes write them, and written back the same."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.config.durations import (
    duration_ns,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)

DURATIONS = [
    ("0", 0.0, "0s"),
    ("0s", 0.0, "0s"),
    ("1ns", 1e-9, "1ns"),
    ("1500us", 0.0015, "1.5ms"),
    ("1.5µs", 1.5e-6, "1.5us"),
    ("300ms", 0.3, "300ms"),
    ("5s", 5.0, "5s"),
    (".5s", 0.5, "500ms"),
    ("1.25s", 1.25, "1.25s"),
    ("1h30m", 5400.0, "1h30m"),
    ("+90m", 5400.0, "1h30m"),
    (" 24h ", 86400.0, "24h"),
    ("7d", 604800.0, "168h"),
    ("1m0.001s", 60.001, "1m0.001s"),
]
BAD_DURATIONS = [
    ("30", "'30' has no unit; write 30s for seconds"),
    ("", "'' is not a duration; write one such as 300ms, 5s or 1h30m"),
    ("5 s", "'5 s' is not a duration; write one such as 300ms, 5s or 1h30m"),
    ("5sec", "'5sec' is not a duration; write one such as 300ms, 5s or 1h30m"),
    ("soon", "'soon' is not a duration; write one such as 300ms, 5s or 1h30m"),
    ("-5s", "'-5s' is negative; write a duration such as 5s or 1h30m"),
    ("9999999h", "'9999999h' is longer than 292 years; write a shorter duration"),
]
SIZES = [
    (0, 0),
    ("0", 0),
    (123, 123),
    ("1b", 1),
    ("250KB", 250_000),
    ("64MiB", 67_108_864),
    ("64Mi", 67_108_864),
    ("1.5 GiB", 1_610_612_736),
    ("2tb", 2_000_000_000_000),
]


def _outcome(parse: Callable[[str], float], text: str) -> float | str:
    try:
        return parse(text)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize(("text", "seconds", "written"), DURATIONS)
def test_a_duration_is_read_as_go_reads_it_and_written_short(
    text: str, seconds: float, written: str
) -> None:
    """The text gives the seconds; the seconds give the shortest text."""
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)
    assert format_duration(parse_duration(text)) == written


@pytest.mark.parametrize(("text", "message"), BAD_DURATIONS)
def test_what_is_no_duration_says_what_to_write(text: str, message: str) -> None:
    """The error holds what is wrong and the hint."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_duration(text)
    assert str(caught.value) == message


@given(st.integers(min_value=0, max_value=10**15))
def test_every_duration_survives_being_written_and_read(nanoseconds: int) -> None:
    """Eleven days to the nanosecond: text and seconds are the same value."""
    assert duration_ns(format_duration(nanoseconds / 1e9)) == nanoseconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    """Nothing else ever comes out."""
    outcome = _outcome(parse_duration, text)
    assert outcome >= 0 if isinstance(outcome, float | int) else "; write " in outcome


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_a_size_is_read_with_powers_of_1024_and_of_1000(text: str | int, size: int) -> None:
    """KiB and Ki count in 1024, KB in 1000."""
    assert parse_size(text) == size


@given(st.integers(min_value=0, max_value=2**60))
def test_every_size_survives_being_written_and_read(size: int) -> None:
    """The unit that is written loses nothing."""
    assert parse_size(format_size(size)) == size


@given(st.text(max_size=12))
def test_any_text_is_a_size_or_a_value_error(text: str) -> None:
    """Nothing else ever comes out."""
    outcome = _outcome(parse_size, text)
    assert outcome >= 0 if isinstance(outcome, float | int) else "; write " in outcome
