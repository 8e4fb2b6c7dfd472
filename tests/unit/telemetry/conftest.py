"""The agent's log as a text."""

import io
import logging
from collections.abc import Iterator

import pytest

from k8s_audit_otlp.telemetry.logs import set_up_logs
from tests.conftest import ManualClock


@pytest.fixture
def written(clock: ManualClock) -> Iterator[io.StringIO]:
    """Write the log as JSON to a text; put everything back as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up_logs("info", "json", stream, monotonic=clock)
    yield stream
    root.handlers[:], root.level = before, level
