"""Any SDK exporter as a back end."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs.export import (
    ConsoleLogRecordExporter,
    InMemoryLogRecordExporter,
    LogRecordExportResult,
)

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Retry
from k8s_audit_otlp.transport.sdk_plugins import SdkSender, load
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Hang
from tests.kit.present import present


def post(sender: SdkSender, record: Callable[..., Any], *uids: Any) -> Outcome:
    return sender.send(sender.prepare("k8s_audit", [record(uid) for uid in uids]))


def test_records_reach_an_exporter_with_resource_and_scope(
    resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """As the SDK's own records."""
    memory = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # as the SDK declares it
    sender = SdkSender("memory", resource_scopes, make=lambda: memory)
    assert post(sender, record, "a", "b") == Delivered()
    first = memory.get_finished_logs()[0]
    assert present(first.log_record.attributes)["log.record.uid"] == "a"
    assert first.log_record.timestamp == 42
    assert first.log_record.event_name == "k8s.audit.event"
    assert first.resource.attributes == {"service.name": "k8s-audit"}
    assert present(first.instrumentation_scope).name == "k8s-audit-otlp"


class Failing(InMemoryLogRecordExporter):
    def __init__(
        self,
        result: ValueError | LogRecordExportResult | None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as the SDK declares it
        self.result, self.shut = result, False

    def export(self, batch: Any) -> Any:
        assert batch
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def shutdown(self) -> None:
        self.shut = True


@pytest.mark.parametrize("result", [LogRecordExportResult.FAILURE, ValueError("s3cret"), None])
def test_a_failed_export_is_retried_like_any_other(
    resource_scopes: dict[str, tuple[bytes, bytes]],
    record: Callable[..., Any],
    result: LogRecordExportResult | ValueError | None,
) -> None:
    """Failure, an exception, or an answer that is none; what an exception says is not told."""
    outcome = post(SdkSender("x", resource_scopes, make=lambda: Failing(result)), record, "a")
    assert isinstance(outcome, Retry)
    assert outcome.reached
    assert "s3cret" not in repr(outcome)


def test_an_exporter_is_made_once_and_shut_down(
    resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """Closing ends it."""
    made = []

    def make() -> Any:
        made.append(Failing(LogRecordExportResult.SUCCESS))
        return made[-1]

    sender = SdkSender("x", resource_scopes, make=make)
    post(sender, record, "a")
    post(sender, record, "b")
    sender.close()
    assert [one.shut for one in made] == [True]


def test_exporters_are_found_by_their_entry_point() -> None:
    """What other packages have registered."""
    assert isinstance(load("console"), ConsoleLogRecordExporter)


def test_the_timeout_reaches_an_exporter_that_takes_one(
    backend: Backend, resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """A back end that hangs is left after it."""
    backend.plan = [Hang()]
    with pytest.MonkeyPatch.context() as context:
        context.setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", backend.logs_url)
        context.setenv("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "100")
        sender = SdkSender("otlp_proto_http", resource_scopes, timeout_s=0.3)
        started = time.monotonic()
        assert isinstance(post(sender, record, "a"), Retry)
        assert time.monotonic() - started < 60  # its own is 100 s
    sender.close()
    assert isinstance(load("console", 7.0), ConsoleLogRecordExporter)


def test_a_name_that_nobody_registered_is_said_with_those_there_are(
    resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """The data is kept meanwhile."""
    outcome = post(SdkSender("consol", resource_scopes), record, "a")
    assert isinstance(outcome, Misconfigured)
    assert "console" in outcome.why


def test_the_sdks_otlp_exporter_delivers_to_a_back_end(
    backend: Backend, resource_scopes: dict[str, tuple[bytes, bytes]], record: Callable[..., Any]
) -> None:
    """End to end: through the SDK's own encoder to a real back end."""
    sender = SdkSender(
        "otlp_proto_http", resource_scopes, make=lambda: OTLPLogExporter(endpoint=backend.logs_url)
    )
    assert post(sender, record, "a", "b") == Delivered()
    assert set(backend.received.uids) == {"a", "b"}
    sender.close()
