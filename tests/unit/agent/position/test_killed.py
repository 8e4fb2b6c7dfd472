"""A killed process has moved its position for good, however early and however often it dies."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.kit.agent import Fixture
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Accept, Delay, Refuse

EVENTS = 3000
LISTED = 1000  # in one line
BATCH = 20_000  # bytes: some 200 requests


@pytest.fixture
def config(fixture: Fixture) -> Path:
    file = fixture.folder / "agent.yaml"
    file.write_text(
        f"""
receivers: {{k8s_audit: {{include: [{fixture.log}]}}}}
exporters:
  otlp_http:
    endpoint: {fixture.backend.url}
    sending_queue: {{num_consumers: 2, batch: {{sizer: bytes, max_size: {BATCH}}}}}
service: {{state_dir: {fixture.state}}}
"""
    )
    return file


def run_until_killed(
    config: Path, backend: Backend, seconds: float, until: Callable[[], bool] | None = None
) -> None:
    """Let an agent live for *seconds* after the first new record has arrived, or so much."""
    before = len(backend.received.uids)
    begun = until or (lambda: len(backend.received.uids) > before)
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", str(config)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not begun() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)


def test_every_life_of_a_tenth_of_a_second_gets_further(
    fixture: Fixture, config: Path, backend: Backend
) -> None:
    """What repeats is what was in flight at a kill: two requests, and no more."""
    backend.plan = lambda _: Delay(0.02)
    fixture.write(EVENTS)
    lives = 4
    arrived = [0]
    for _ in range(lives):
        run_until_killed(config, backend, 0.1)
        arrived.append(len(backend.received.uids))
    assert all(more > before for before, more in pairwise(arrived))
    backend.plan = [Accept()]
    fixture.exporters = (
        f"otlp_http: {{endpoint: {backend.url}, "
        f"sending_queue: {{num_consumers: 2, batch: {{sizer: bytes, max_size: {BATCH}}}}}}}"
    )
    fixture.once()
    assert len(backend.received.uids) == EVENTS
    per_request = EVENTS / (fixture.log.stat().st_size / BATCH)
    assert backend.received.duplicates <= lives * 2 * per_request * 1.5


def test_a_list_of_events_that_was_half_sent_is_counted_once(
    fixture: Fixture, config: Path, backend: Backend
) -> None:
    """A line of many requests is read again as a whole: its receipt tells each event once."""
    backend.plan = lambda _: Delay(0.06)
    fixture.write(1)
    event = json.loads(fixture.log.read_bytes())
    items = [{**event, "auditID": f"item-{n}"} for n in range(LISTED)]
    line = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}
    with fixture.log.open("a") as log:
        log.write(json.dumps(line) + "\n")
    received = backend.received
    run_until_killed(config, backend, 0, lambda: len(received.uids) > LISTED // 10)
    assert len(received.uids) < LISTED
    run_until_killed(config, backend, 0, lambda: received.duplicates > 0)
    assert received.duplicates
    backend.plan = [Accept()]
    fixture.exporters = (
        f"otlp_http: {{endpoint: {backend.url}, "
        f"sending_queue: {{num_consumers: 2, batch: {{sizer: bytes, max_size: {BATCH}}}}}}}"
    )
    fixture.log.rename(fixture.log.with_name("audit-2026-01-02T03-04-05.678.log"))
    fixture.write(1)
    fixture.once()
    (receipt,) = [n for n in backend.received.notices if n.event_name == "k8s.audit.segment"]
    told = [receipt.attributes[f"k8s.audit.segment.{key}"] for key in ("records", "delivered")]
    assert told == [LISTED + 1] * 2
    of_segment = {uid for uid in backend.received.uids if uid.startswith(receipt.uid.split("-")[1])}
    assert len(of_segment) == LISTED + 1


def test_starts_that_nobody_answered_are_told_afterwards(
    fixture: Fixture, config: Path, backend: Backend
) -> None:
    """How many they were, and when the first of them was."""
    backend.plan = lambda _: Refuse(503)
    fixture.write(1)
    begun = time.time_ns()
    checkpoint, seen = fixture.state / "checkpoint.json", {b""}

    def stored() -> bool:
        return checkpoint.exists() and checkpoint.read_bytes() not in seen

    lives = 3
    for _ in range(lives):
        run_until_killed(config, backend, 0, stored)
        seen.add(checkpoint.read_bytes())
    backend.plan, last = [Accept()], time.time_ns()
    fixture.exporters = f"otlp_http: {{endpoint: {backend.url}}}"
    fixture.once()
    [told] = fixture.notices("k8s.audit.agent.started")
    assert told["k8s.audit.notice.count"] == lives + 1
    assert begun < told["k8s.audit.notice.since_ns"] < last
