"""Whatever happens to the log, every line arrives once or a gap tells why not."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

TYPICAL = settings(
    max_examples=200,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(900)  # seconds; a busy machine takes long
def test_every_line_arrives_once_or_a_gap_tells_why(
    receiver_machine: Any,
) -> None:
    """The receiver against a plain list of lines, 200 stories."""

    class Lenient(receiver_machine):
        strict = False  # the long run below is strict

    run_state_machine_as_test(Lenient, settings=TYPICAL)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_line_arrives_once_or_a_gap_tells_why_in_many_stories(receiver_machine: Any) -> None:
    """The same with stories that differ each time, some of them long."""
    run_state_machine_as_test(
        receiver_machine,
        settings=settings(TYPICAL, max_examples=10_000, stateful_step_count=80, derandomize=False),
    )
