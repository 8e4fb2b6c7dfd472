"""A log reaches a real LoggerProvider, and the position moves only when that was flushed."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp.sdk import AuditLogReceiver
from k8s_audit_otlp.state.lock import StateLockedError
from k8s_audit_otlp.tools.demo.events import EventSource

SECRET = (
    b'{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"s",'
    b'"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/a/secrets","verb":"create",'
    b'"user":{"username":"u"},"objectRef":{"resource":"secrets","namespace":"a"},'
    b'"requestObject":{"kind":"Secret","data":{"password":"c2VzYW1l"}},'
    b'"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z",'
    b'"stageTimestamp":"2026-01-02T03:04:05.000001Z"}\n'
)


class Flushing(LoggerProvider):
    """A real provider whose flush can be made to fail; it counts what a flush found waiting."""

    def __init__(self) -> None:
        super().__init__(resource=Resource({"service.name": "mine"}), shutdown_on_exit=False)
        self.memory = InMemoryLogRecordExporter()
        self.takes = True
        self.waiting: list[int] = []
        self._seen = 0

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        if not self.takes:
            return False
        done = super().force_flush(timeout_millis)
        arrived = len(self.memory.get_finished_logs())
        self.waiting.append(arrived - self._seen)
        self._seen = arrived
        return done

    @property
    def records(self) -> Sequence[ReadableLogRecord]:
        return self.memory.get_finished_logs()

    def ids(self) -> list[Any]:
        return [one.log_record.attributes["auditID"] for one in self.records]  # type: ignore[index]


@pytest.fixture
def provider() -> Flushing:
    made = Flushing()
    made.add_log_record_processor(SimpleLogRecordProcessor(made.memory))
    return made


def _write(log: Path, number: int, seed: int = 1) -> list[str]:
    source = EventSource(seed)
    events = [source.event() for _ in range(number)]
    with log.open("ab") as file:
        file.writelines(line + b"\n" for _, line in events)
    return [audit_id for audit_id, _ in events]


def _receiver(log_dir: Path, provider: LoggerProvider, **more: Any) -> AuditLogReceiver:
    path, state = log_dir / "audit.log", log_dir.parent / "state"
    return AuditLogReceiver(path, logger_provider=provider, state_dir=state, **more)


def test_every_event_becomes_a_record_of_the_provider(log_dir: Path, provider: Flushing) -> None:
    """With the provider's resource, our scope, and the attributes of the mapping."""
    wanted = _write(log_dir / "audit.log", 300)
    receiver = _receiver(log_dir, provider)
    receiver.open()
    assert receiver.poll()
    assert receiver.settled == 300
    receiver.close()
    assert provider.ids() == wanted
    record = provider.records[0]
    assert record.resource.attributes["service.name"] == "mine"
    assert record.instrumentation_scope is not None
    assert record.instrumentation_scope.name == "k8s-audit-otlp"
    assert record.log_record.event_name == "k8s.audit.event"
    assert orjson.loads(str(record.log_record.body))["auditID"] == wanted[0]


def test_the_next_start_goes_on_where_the_last_ended(log_dir: Path, provider: Flushing) -> None:
    """Nothing twice, nothing missing, rotation in between."""
    log = log_dir / "audit.log"
    first = _write(log, 50)
    receiver = _receiver(log_dir, provider)
    receiver.open()
    receiver.poll()
    receiver.close()
    more = _write(log, 10, seed=2)
    log.rename(log_dir / "audit-2026-01-02T03-04-05.678.log")
    last = _write(log, 10, seed=3)
    receiver = _receiver(log_dir, provider)
    receiver.open()
    assert receiver.poll()
    receiver.close()
    assert provider.ids() == first + more + last


def test_a_failed_flush_moves_nothing(log_dir: Path, provider: Flushing) -> None:
    """The same records are emitted again."""
    wanted = _write(log_dir / "audit.log", 20)
    receiver = _receiver(log_dir, provider)
    receiver.open()
    provider.takes = False
    assert not receiver.poll()
    assert receiver.settled == 0
    provider.takes = True
    assert receiver.poll()
    receiver.close()
    assert provider.ids() == wanted + wanted
    assert receiver.settled == 20


def test_a_burst_is_no_larger_than_the_queue(log_dir: Path, provider: Flushing) -> None:
    """Each one is flushed before the next is emitted."""
    _write(log_dir / "audit.log", 100)
    receiver = _receiver(log_dir, provider, burst=30)
    receiver.open()
    receiver.poll()
    receiver.close()
    assert sum(provider.waiting) == 100
    assert max(provider.waiting) == 30


def test_a_batch_processor_with_a_small_queue_loses_nothing(log_dir: Path) -> None:
    """Emitted all at once, it would drop what its queue does not hold."""
    wanted = _write(log_dir / "audit.log", 500)
    memory = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(
        BatchLogRecordProcessor(memory, max_queue_size=64, max_export_batch_size=32)
    )
    receiver = _receiver(log_dir, provider, burst=64)
    receiver.open()
    assert receiver.poll()
    receiver.close()
    provider.shutdown()
    found = [one.log_record.attributes["auditID"] for one in memory.get_finished_logs()]  # type: ignore[index]
    assert sorted(map(str, found)) == sorted(wanted)


def test_a_running_receiver_follows_the_log(log_dir: Path, provider: Flushing) -> None:
    """From `start` to `close`, in a thread of its own."""
    log = log_dir / "audit.log"
    wanted = _write(log, 5)
    arrived = AwaitableCount(provider)
    with _receiver(log_dir, provider):
        arrived.reaches(5)
        wanted += _write(log, 5, seed=2)
        arrived.reaches(10)
    assert provider.ids() == wanted


class AwaitableCount:
    """Waits for a number of records."""

    def __init__(self, provider: Flushing) -> None:
        self._provider = provider

    def reaches(self, number: int) -> None:
        end = time.monotonic() + 10
        while len(self._provider.records) < number:
            assert time.monotonic() < end, f"{len(self._provider.records)} of {number} arrived"
            time.sleep(0.01)


def test_secrets_are_redacted_unless_asked_otherwise(log_dir: Path, provider: Flushing) -> None:
    """The keys of an exporter's `audit` block apply."""
    (log_dir / "audit.log").write_bytes(SECRET)
    receiver = _receiver(log_dir, provider, audit={"profile": "semconv"})
    receiver.open()
    receiver.poll()
    receiver.close()
    (record,) = provider.records
    assert "c2VzYW1l" not in str(record.log_record.body)
    attributes = record.log_record.attributes or {}
    assert "verb" not in attributes
    assert attributes["k8s.audit.verb"] == "create"


def test_a_mistake_in_the_audit_block_is_said_at_once(log_dir: Path, provider: Flushing) -> None:
    """Before anything is read."""
    with pytest.raises(ValueError, match="profle"):
        _receiver(log_dir, provider, audit={"profle": "semconv"})


def test_it_may_begin_at_the_end(log_dir: Path, provider: Flushing) -> None:
    """What was there before is not wanted."""
    log = log_dir / "audit.log"
    _write(log, 5)
    receiver = _receiver(log_dir, provider, audit={"start_at": "end"})
    receiver.open()
    assert receiver.poll()
    wanted = _write(log, 3, seed=2)
    assert receiver.poll()
    receiver.close()
    assert provider.ids() == wanted


def test_what_is_lost_is_said_in_the_stream(log_dir: Path, provider: Flushing) -> None:
    """A segment that is gone before it was read becomes a record of its own."""
    log = log_dir / "audit.log"
    _write(log, 5)
    receiver = _receiver(log_dir, provider)
    receiver.open()
    provider.takes = False
    receiver.poll()
    receiver.close()
    log.unlink()
    provider.takes = True
    provider.memory.clear()
    wanted = _write(log, 2, seed=2)
    receiver = _receiver(log_dir, provider)
    receiver.open()
    assert receiver.poll()
    receiver.close()
    *gaps, one, two = provider.records
    events = [one, two]
    assert {gap.log_record.event_name for gap in gaps} == {"k8s.audit.gap"}
    reasons = [(gap.log_record.attributes or {})["k8s.audit.gap.reason"] for gap in gaps]
    assert reasons == ["deleted", "unseen"]
    assert [(one.log_record.attributes or {})["auditID"] for one in events] == wanted


def test_one_state_directory_serves_one_receiver(log_dir: Path, provider: Flushing) -> None:
    """A second one is refused."""
    _write(log_dir / "audit.log", 1)
    first = _receiver(log_dir, provider)
    first.open()
    with pytest.raises(StateLockedError, match=str(os.getpid())):
        _receiver(log_dir, provider).open()
    first.close()
