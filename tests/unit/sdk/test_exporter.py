"""The SDK's exporter delivers what can be delivered, and says what cannot."""

import logging
import re
from collections.abc import Sequence

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.sdk import AuditLogRecordExporter
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Accept, Limit, PartialSuccess, Poison, Refuse, Throttle

SUCCESS, FAILURE = LogRecordExportResult.SUCCESS, LogRecordExportResult.FAILURE


def _record(body: str, resource: str = "a", scope: str = "s") -> ReadableLogRecord:
    record = LogRecord(
        timestamp=1_767_323_045_000_000_000,
        observed_timestamp=1_767_323_045_000_000_000,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=body,
        event_name="k8s.audit.event",
        attributes={"log.record.uid": body},
    )
    attributes = Resource({"service.name": resource})
    return ReadableLogRecord(record, attributes, InstrumentationScope(scope))


def _exporter(backend: Backend, deadline_s: float = 5.0) -> AuditLogRecordExporter:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.url}
    return AuditLogRecordExporter(env=env, deadline_s=deadline_s, roll=lambda: 0.0)


def _bodies(backend: Backend) -> list[str]:
    return [record.body for record in backend.received.records]


def _batch(number: int) -> Sequence[ReadableLogRecord]:
    return [_record(f"record {i:03}") for i in range(number)]


def test_records_arrive_with_their_resource_and_scope(backend: Backend) -> None:
    """Each resource and scope goes in a request of its own."""
    batch = [_record("1", "a", "x"), _record("2", "b", "x"), _record("3", "b", "y")]
    exporter = _exporter(backend)
    assert exporter.export(batch) is SUCCESS
    assert exporter.force_flush()
    exporter.shutdown()
    found = {(r.resource["service.name"], r.scope, r.body) for r in backend.received.records}
    assert found == {("a", "x", "1"), ("b", "x", "2"), ("b", "y", "3")}


def test_a_real_provider_delivers_through_it(backend: Backend) -> None:
    """As OTEL_LOGS_EXPORTER=k8s_audit_otlp sets it up."""
    provider = LoggerProvider(resource=Resource({"service.name": "mine"}), shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(_exporter(backend)))
    provider.get_logger("program").emit(LogRecord(body="hello", attributes={"log.record.uid": "h"}))
    provider.shutdown()
    (record,) = backend.received.records
    assert (record.body, record.resource["service.name"], record.scope) == (
        "hello",
        "mine",
        "program",
    )


def test_one_bad_record_costs_only_itself(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """The others arrive, and the failure says how many did not."""
    backend.plan = [Poison(b"record 037")]
    exporter = _exporter(backend)
    assert exporter.export(_batch(100)) is FAILURE
    exporter.shutdown()
    assert sorted(_bodies(backend)) == [f"record {i:03}" for i in range(100) if i != 37]
    assert "1 of 100 log records were refused and 0 not delivered" in caplog.text


def test_a_request_that_is_too_large_is_split(backend: Backend) -> None:
    """In order, and nothing is lost."""
    backend.plan = [Limit(1000)]
    exporter = _exporter(backend)
    assert exporter.export(_batch(100)) is SUCCESS
    exporter.shutdown()
    assert _bodies(backend) == [f"record {i:03}" for i in range(100)]


def test_a_partial_success_is_no_success(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    """The back end said how many; nothing is sent again."""
    backend.plan = [PartialSuccess(3, "no room"), Accept()]
    exporter = _exporter(backend)
    assert exporter.export(_batch(10)) is FAILURE
    exporter.shutdown()
    assert "3 of 10 log records were refused and 0 not delivered: no room" in caplog.text
    assert backend.totals()["requests"] == 1


def test_a_busy_back_end_is_asked_again(backend: Backend) -> None:
    """Until it takes the records, within the deadline."""
    backend.plan = [Throttle(503), Throttle(429, retry_after=0), Accept()]
    exporter = _exporter(backend)
    assert exporter.export(_batch(5)) is SUCCESS
    exporter.shutdown()
    assert len(_bodies(backend)) == 5


def test_a_deadline_ends_the_repeats(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """What was not delivered is counted, and gone: the exporter is not durable."""
    backend.plan = [Throttle(503)]
    exporter = _exporter(backend, deadline_s=0.3)
    assert exporter.export(_batch(5)) is FAILURE
    exporter.shutdown()
    assert re.search(r"0 of 5 .* were refused and 5 not delivered: .*: HTTP 503", caplog.text)


def test_a_wrong_key_ends_at_once(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    """No repeat helps."""
    backend.plan = [Refuse(401)]
    exporter = _exporter(backend)
    with caplog.at_level(logging.ERROR):
        assert exporter.export(_batch(5)) is FAILURE
    exporter.shutdown()
    assert re.search(r"5 not delivered: 127\.0\.0\.1:\d+: HTTP 401", caplog.text)
    assert backend.totals()["requests"] == 1


def test_a_variable_that_cannot_be_understood_is_said_at_once() -> None:
    """Under its own name."""
    with pytest.raises(ConfigError, match="OTEL_EXPORTER_OTLP_PROTOCOL"):
        AuditLogRecordExporter(env={"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"})


def test_attributes_are_cut_to_what_the_back_end_takes_in_sum(backend: Backend) -> None:
    """No client can keep its event out of Loki with a long user agent; who it was stays."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": backend.url}
    record = _record("1")
    assert record.log_record.attributes is not None
    long = {"user_agent.original": "x" * 90_000, "k8s.audit.user.groups": ["é" * 9_000] * 3}
    record.log_record.attributes = {**record.log_record.attributes, "user.name": "u" * 900, **long}
    exporter = AuditLogRecordExporter(env=env, vendor="loki")
    assert exporter.export([record]) is SUCCESS
    exporter.shutdown()
    [found] = backend.received.records
    assert found.attributes["user.name"] == "u" * 900
    assert sum(len(f"{k}{v}".encode()) for k, v in found.attributes.items()) < 64_000
