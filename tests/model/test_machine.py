"""Whatever happens to the log, every line arrives once or a gap tells why not."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.model.machine import ReceiverMachine

TYPICAL = settings(
    max_examples=200,
    stateful_step_count=40,
    derandomize=True,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(900)  # seconds; a busy machine takes long
def test_every_line_arrives_once_or_a_gap_tells_why() -> None:
    """The receiver against a plain list of lines, 200 stories."""

    class Lenient(ReceiverMachine):
        strict = False  # the long run below is strict

    run_state_machine_as_test(Lenient, settings=TYPICAL)


@pytest.fixture
def denying_machine() -> Any:
    """Return a machine whose files stay unreadable while the log rotates."""

    class Denying(ReceiverMachine):
        @rule(
            which=st.integers(0, 9),
            batches=st.integers(0, 2),
            broken=st.booleans(),
            away=st.booleans(),
            rotations=st.integers(1, 3),
            kept=st.integers(1, 3),
        )
        def keep_from_reading_over_rotations(self, which: int, batches: int, **how: Any) -> None:
            self.deny(which, batches, **how)

    return Denying


@pytest.mark.timeout(900)
def test_what_cannot_be_read_while_the_log_rotates_arrives_or_a_gap_tells_why(
    denying_machine: Any,
) -> None:
    """A few stories; many are told in the long run."""
    denying_machine.strict = False
    run_state_machine_as_test(denying_machine, settings=settings(TYPICAL, max_examples=40))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_line_arrives_once_or_a_gap_tells_why_in_many_stories(denying_machine: Any) -> None:
    """The same with stories that differ each time, some of them long."""
    run_state_machine_as_test(
        denying_machine,
        settings=settings(TYPICAL, max_examples=10_000, stateful_step_count=80, derandomize=False),
    )
