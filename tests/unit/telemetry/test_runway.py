"""The time that is left before something is lost: never told too long."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.telemetry.runway import (
    Retention,
    WriteRate,
    observed_retention,
    retention_of_flags,
    runway_s,
)
from tests.kit.present import present

MIB = 1 << 20


def test_the_recipes_flags_keep_a_gigabyte_or_a_week() -> None:
    """Ten backups of 100 MB, seven days."""
    flags = {"audit-log-maxsize": "100", "audit-log-maxbackup": "10", "audit-log-maxage": "7"}
    assert retention_of_flags(flags) == Retention(1000 * MIB, 7 * 86_400.0)


def test_flags_at_zero_set_no_bound() -> None:
    """kube-apiserver keeps everything then."""
    assert not retention_of_flags({"audit-log-maxbackup": "0"}).bounded
    assert not retention_of_flags({}).bounded


def test_a_backlog_shortens_the_runway() -> None:
    """What is not delivered yet lies nearer to its deletion."""
    kept = Retention(1000 * MIB)
    assert runway_s(kept, MIB, backlog_bytes=0, backlog_s=0) == 1000
    assert runway_s(kept, MIB, backlog_bytes=900 * MIB, backlog_s=900) == 100
    assert runway_s(kept, MIB, backlog_bytes=2000 * MIB, backlog_s=900) == 0


def test_the_shortest_bound_counts() -> None:
    """Bytes, days, or what the back end takes."""
    kept = Retention(1000 * MIB, 7 * 86_400.0)
    assert runway_s(kept, 1, backlog_bytes=0, backlog_s=86_400) == 6 * 86_400
    assert runway_s(kept, 1, backlog_bytes=0, backlog_s=3600, window_s=18 * 3600) == 17 * 3600


@pytest.mark.parametrize(
    ("retention", "rate"), [(Retention(), 5.0), (Retention(MIB), None), (Retention(MIB), 0.0)]
)
def test_what_is_not_known_is_not_guessed(retention: Retention, rate: float | None) -> None:
    """No bound, no rate, or no writing at all: no number."""
    assert runway_s(retention, rate, backlog_bytes=1, backlog_s=1) is None


def test_what_lies_there_is_what_is_kept_once_something_was_deleted() -> None:
    """A compressed file that nobody read counts as the others do."""
    assert observed_retention([10, 10, 0, 0], deleted=True) == Retention(40)
    assert observed_retention([10, 10], deleted=False) == Retention()
    assert observed_retention([0, 0], deleted=True) == Retention()


def test_the_rate_is_that_of_the_writer() -> None:
    """What lay there before the first look is not counted, rotation is."""
    rate = WriteRate()
    assert rate.bytes_per_s is None
    rate.look(0, {1: 10_000, 2: 500})
    assert rate.bytes_per_s is None
    rate.look(1, {1: 10_000, 2: 1500})
    rate.look(2, {2: 2000, 3: 500})
    assert rate.bytes_per_s == pytest.approx(1000)


def test_the_rate_forgets() -> None:
    """Half an hour of silence after a storm is silence."""
    rate = WriteRate()
    rate.look(0, {1: 0})
    rate.look(10, {1: 10 * MIB})
    rate.look(1800, {1: 10 * MIB})
    assert present(rate.bytes_per_s) < 0.05 * MIB


@given(
    kept=st.integers(1, 20),
    size=st.integers(1, 50),
    rate=st.integers(1, 30),
    written=st.integers(0, 2000),
    behind=st.integers(0, 500),
)
def test_no_byte_is_deleted_before_its_runway_ends(
    kept: Any, size: int, rate: Any, written: Any, behind: Any
) -> None:
    """Against a plain model of rotation: *kept* backups of *size* bytes, *rate* bytes a second."""
    oldest = max(0, written - behind)  # the byte that is not delivered yet
    seconds = runway_s(Retention(kept * size), rate, backlog_bytes=written - oldest, backlog_s=0)
    file, second, total = oldest // size, 0, written
    while total // size - 1 - file < kept:  # so many backups are newer than its file
        second += 1
        total += rate
    assert present(seconds) <= present(second)
