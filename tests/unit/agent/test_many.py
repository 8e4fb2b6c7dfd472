"""A thousand segments: descriptors stay bounded, order and counts hold."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit.agent import Fixture
from tests.kit.backends.steps import Accept, Throttle

SEGMENTS = 1000  # four times what is held open


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def write_segments(fixture: Fixture) -> None:
    """Write backups as lumberjack names them, by the second in which each was full, and a log."""
    for n in range(SEGMENTS + 1):
        full = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) - timedelta(seconds=SEGMENTS - n)
        event = {
            "kind": "Event",
            "auditID": f"{n:08}",
            "stage": "ResponseComplete",
            "requestReceivedTimestamp": f"{full:%Y-%m-%dT%H:%M:%S}.000000Z",
            "stageTimestamp": f"{full:%Y-%m-%dT%H:%M:%S}.000000Z",
        }
        name = f"audit-{full:%Y-%m-%dT%H-%M-%S}.000.log" if n < SEGMENTS else fixture.log.name
        fixture.log.with_name(name).write_text(json.dumps(event) + "\n")


@pytest.mark.timeout(300)  # seconds; a busy machine takes long
def test_a_thousand_segments_do_not_exhaust_descriptors(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """While the back end is down not all of them are held open; all arrive once it is up."""
    write_segments(fixture)
    fixture.backend.plan = [Throttle(503)]
    before = descriptors()
    with fixture.running() as agent:
        wait_for(lambda: len(agent.logs[0].segments()) == SEGMENTS + 1, 60)
        assert descriptors() - before < 320
        fixture.backend.plan = [Accept()]
        fixture.backend.wait_for(SEGMENTS + 1, timeout=200)
        assert descriptors() - before < 320
    received = fixture.backend.received
    first = {record.attributes["auditID"] for record in received.records[:4]}
    assert first <= {f"{n:08}" for n in range(8)}  # in order, as far as requests in flight allow
    assert received.duplicates == 0
