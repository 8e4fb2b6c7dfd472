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

from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.sdk import AuditLogReceiver
from k8s_audit_otlp.state.lock import StateLockedError
from tests.kit.log.events import SECRET, EventSource


class Flushing(LoggerProvider):
    """A real provider whose flush can be made to fail; it counts what a flush found waiting."""

    def __init__(self) -> None:
        super().__init__(resource=Resource({"service.name": "mine"}), shutdown_on_exit=False)
        self.memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # as the SDK declares it
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

    def named(self, event_name: str) -> list[ReadableLogRecord]:
        return [one for one in self.records if one.log_record.event_name == event_name]

    @property
    def events(self) -> list[ReadableLogRecord]:
        return self.named("k8s.audit.event")

    def ids(self) -> list[Any]:
        return [(one.log_record.attributes or {})["auditID"] for one in self.events]


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
    receiver.start()
    assert receiver.flush()
    assert receiver.settled == 300
    receiver.close()
    assert provider.ids() == wanted
    record = provider.events[0]
    assert record.resource.attributes["service.name"] == "mine"
    assert record.instrumentation_scope is not None
    assert record.instrumentation_scope.name == "k8s-audit-otlp"
    assert record.log_record.event_name == "k8s.audit.event"
    attributes = record.log_record.attributes or {}
    assert attributes["log.source"] == "k8s-audit"  # which that resource does not say
    assert attributes["log.file.path"] == str(log_dir / "audit.log")
    assert orjson.loads(str(record.log_record.body))["auditID"] == wanted[0]


def test_the_next_start_goes_on_where_the_last_ended(log_dir: Path, provider: Flushing) -> None:
    """Nothing twice, nothing missing, rotation in between."""
    log = log_dir / "audit.log"
    first = _write(log, 50)
    receiver = _receiver(log_dir, provider)
    receiver.start()
    receiver.flush()
    receiver.close()
    more = _write(log, 10, seed=2)
    log.rename(log_dir / "audit-2026-01-02T03-04-05.678.log")
    last = _write(log, 10, seed=3)
    receiver = _receiver(log_dir, provider)
    receiver.start()
    assert receiver.flush()
    receiver.close()
    assert provider.ids() == first + more + last


def test_a_failed_flush_moves_nothing(log_dir: Path, provider: Flushing) -> None:
    """The same records are emitted again."""
    receiver = _receiver(log_dir, provider)
    receiver.start()
    assert receiver.flush()
    provider.takes = False
    wanted = _write(log_dir / "audit.log", 20)
    assert not receiver.flush()
    assert receiver.settled == 0
    provider.takes = True
    assert receiver.flush()
    receiver.close()
    assert provider.ids()[-20:] == wanted
    assert len(provider.ids()) >= 40
    assert receiver.settled == 20


def test_a_burst_is_no_larger_than_the_queue(log_dir: Path, provider: Flushing) -> None:
    """Each one is flushed before the next is emitted."""
    _write(log_dir / "audit.log", 100)
    receiver = _receiver(log_dir, provider, burst=30)
    receiver.start()
    receiver.flush()
    receiver.close()
    assert len(provider.events) == 100
    assert max(provider.waiting) == 30


def test_a_batch_processor_with_a_small_queue_loses_nothing(log_dir: Path) -> None:
    """Emitted all at once, it would drop what its queue does not hold."""
    wanted = _write(log_dir / "audit.log", 500)
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # as the SDK declares it
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(
        BatchLogRecordProcessor(memory, max_queue_size=64, max_export_batch_size=32)
    )
    receiver = _receiver(log_dir, provider, burst=64)
    receiver.start()
    assert receiver.flush()
    receiver.close()
    provider.shutdown()
    found = [one.log_record.attributes or {} for one in memory.get_finished_logs()]
    assert sorted(str(one["auditID"]) for one in found if "auditID" in one) == sorted(wanted)


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
    """ConsumerLag for a number of records."""

    def __init__(self, provider: Flushing) -> None:
        self._provider = provider

    def reaches(self, number: int) -> None:
        end = time.monotonic() + 60
        while len(self._provider.records) < number:
            assert time.monotonic() < end, f"{len(self._provider.records)} of {number} arrived"
            time.sleep(0.01)


def test_secrets_are_redacted_unless_asked_otherwise(log_dir: Path, provider: Flushing) -> None:
    """The keys of an exporter's `audit` block apply."""
    (log_dir / "audit.log").write_bytes(SECRET)
    receiver = _receiver(log_dir, provider, audit={"profile": "semconv"})
    receiver.start()
    receiver.flush()
    receiver.close()
    (record,) = provider.events
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
    receiver.start()
    assert receiver.flush()
    wanted = _write(log, 3, seed=2)
    assert receiver.flush()
    receiver.close()
    assert provider.ids() == wanted


def test_what_is_lost_is_said_in_the_stream(log_dir: Path, provider: Flushing) -> None:
    """A segment that is gone before it was read becomes a record of its own."""
    log = log_dir / "audit.log"
    _write(log, 5)
    receiver = _receiver(log_dir, provider)
    provider.takes = False
    receiver.start()
    receiver.flush()
    receiver.close()
    log.unlink()
    provider.takes = True
    provider.memory.clear()
    wanted = _write(log, 2, seed=2)
    receiver = _receiver(log_dir, provider)
    receiver.start()
    assert receiver.flush()
    receiver.close()
    gaps = [gap.log_record.attributes or {} for gap in provider.named("k8s.audit.gap")]
    assert [gap["k8s.audit.gap.reason"] for gap in gaps] == ["deleted", "unseen"]
    assert provider.ids() == wanted


def test_a_segment_that_is_through_gets_its_receipt(log_dir: Path, provider: Flushing) -> None:
    """As from the agent: it says how many records the provider took of it."""
    log = log_dir / "audit.log"
    _write(log, 7)
    with _receiver(log_dir, provider) as receiver:
        assert receiver.flush()
        log.rename(log_dir / "audit-2026-01-02T03-04-05.678.log")
        _write(log, 1, seed=2)
        assert receiver.flush()
        end = time.monotonic() + 60
        while not (receipts := provider.named("k8s.audit.segment")):
            assert time.monotonic() < end
            time.sleep(0.02)
    assert (receipts[0].log_record.attributes or {})["k8s.audit.segment.delivered"] == 7


@pytest.mark.parametrize(("name", "why"), [("", "is a directory"), ("*.log", "nothing matches")])
def test_a_start_that_fails_lets_go_of_the_state(
    log_dir: Path, provider: Flushing, name: str, why: str
) -> None:
    """The program may try again with another path."""
    state = log_dir.parent / "s"
    with pytest.raises(ConfigError, match=why):
        AuditLogReceiver(log_dir / name, logger_provider=provider, state_dir=state).start()
    _write(log_dir / "audit.log", 1)
    path = log_dir / "audit.log"
    with AuditLogReceiver(path, logger_provider=provider, state_dir=state) as one:
        assert one.flush()


def test_one_state_directory_serves_one_receiver(log_dir: Path, provider: Flushing) -> None:
    """A second one is refused."""
    _write(log_dir / "audit.log", 1)
    first = _receiver(log_dir, provider)
    first.start()
    with pytest.raises(StateLockedError, match=str(os.getpid())):
        _receiver(log_dir, provider).start()
    first.close()
