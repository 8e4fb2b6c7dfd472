"""Sends records through an exporter of the OpenTelemetry SDK.

Any exporter that is registered under the entry point group `opentelemetry_logs_exporter` will do:
console, otlp_proto_http, … It says no more than that it failed, so everything is sent again. The
records of its form are read back from those that are encoded: one table maps for every transport.

A LoggerProvider is that of a program which this one is part of (see `sdk/receiver.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from inspect import signature
from threading import Lock

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from k8s_audit_otlp import __version__
from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Retry
from k8s_audit_otlp.otlp.record import plain_value
from k8s_audit_otlp.otlp.resource import SOURCE
from k8s_audit_otlp.transport.sender import ExportRequest

GROUP = "opentelemetry_logs_exporter"


class SdkSender:
    """Hands records to one exporter, one batch at a time: not every exporter bears threads."""

    def __init__(
        self,
        name: str,
        resource_scopes: Mapping[str, tuple[bytes, bytes]],
        *,
        timeout_s: float | None = None,
        make: Callable[[], LogRecordExporter] | None = None,
    ) -> None:
        """*make* builds the exporter; by default the entry point called *name* does."""
        self._name = name
        self._make = make or (lambda: load(name, timeout_s))
        self._sources = {key: _read_source(*parts) for key, parts in resource_scopes.items()}
        self._lock = Lock()
        self._exporter: LogRecordExporter | None = None

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        body = b"".join(records)
        return ExportRequest(body, len(body), receiver)

    def send(self, request: ExportRequest) -> Outcome:
        records = list(sdk_records([request.body], *self._sources[request.receiver]))
        with self._lock:
            try:
                if self._exporter is None:
                    self._exporter = self._make()
            except Exception as error:  # noqa: BLE001 - it is somebody else's code
                why = str(error) if isinstance(error, LookupError) else type(error).__name__
                return Misconfigured(f"the exporter {self._name} cannot be made: {why}")
            try:
                result = self._exporter.export(records)
            except Exception as error:  # noqa: BLE001 - its interface allows any
                return Retry(f"the exporter {self._name} raised {type(error).__name__}")
        if result is LogRecordExportResult.SUCCESS:
            return Delivered()
        return Retry(f"the exporter {self._name} failed")

    def close(self) -> None:
        with self._lock:
            exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.shutdown()  # type: ignore[no-untyped-call]  # as the SDK declares it


def load(name: str, timeout_s: float | None = None) -> LogRecordExporter:
    """Make the exporter that is registered as *name*, with the timeout if it takes one.

    Raise LookupError where there is none; the message lists those that there are.
    """
    found = {point.name: point for point in entry_points(group=GROUP)}
    if name not in found:
        raise LookupError(f"none of that name is installed, but {', '.join(sorted(found))}")
    kind = found[name].load()
    takes_timeout = timeout_s is not None and "timeout" in signature(kind).parameters
    made: LogRecordExporter = kind(timeout=timeout_s) if takes_timeout else kind()
    return made


def sdk_records(
    records: Sequence[bytes],
    resource: Resource,
    scope: InstrumentationScope,
    *,
    more: Mapping[str, str] | None = None,
) -> Iterator[ReadableLogRecord]:
    """Give the SDK's form of encoded records, with *more* attributes."""
    for message in ScopeLogs.FromString(b"".join(records)).log_records:
        record = LogRecord(
            timestamp=message.time_unix_nano,
            observed_timestamp=message.observed_time_unix_nano,
            severity_text=message.severity_text,
            severity_number=SeverityNumber(message.severity_number),
            body=plain_value(message.body),
            attributes={
                **(more or {}),
                **{pair.key: plain_value(pair.value) for pair in message.attributes},
            },
            event_name=message.event_name,
        )
        yield ReadableLogRecord(record, resource, scope)


def _read_source(resource: bytes, scope: bytes) -> tuple[Resource, InstrumentationScope]:
    """Read the encoded resource and scope back into the SDK's objects."""
    from_wire = ResourceLogs.FromString(resource)
    attributes = {pair.key: plain_value(pair.value) for pair in from_wire.resource.attributes}
    named = ScopeLogs.FromString(scope)
    return (
        Resource(attributes, from_wire.schema_url or None),
        InstrumentationScope(named.scope.name, named.scope.version, named.schema_url or None),
    )


SCOPE = "k8s-audit-otlp"
_SAID = {"log.source": SOURCE}  # what the agent's resource says; that of a program does not


class LoggerProviderSender:
    """Emits the records of a request and waits until they have left the provider's queue.

    A request must not hold more than that queue. Resource and scope are those of the provider.
    """

    def __init__(self, provider: LoggerProvider, *, flush_s: float) -> None:
        self._provider = provider
        self._logger = provider.get_logger(SCOPE, __version__)
        self._flush_ms = round(flush_s * 1000)
        self._nowhere = Resource({}), InstrumentationScope(SCOPE)
        self.failures = 0  # flushes that the provider did not confirm

    def prepare(self, receiver: str, records: Sequence[bytes]) -> ExportRequest:
        body = b"".join(records)
        return ExportRequest(body, len(body), receiver)

    def send(self, request: ExportRequest) -> Outcome:
        for readable in sdk_records([request.body], *self._nowhere, more=_SAID):
            self._logger.emit(readable.log_record)
        if self._provider.force_flush(self._flush_ms):
            return Delivered()
        self.failures += 1
        # It says nothing about the records: they are not to be suspected.
        return Retry("the logger provider was not flushed", reached=False)

    def close(self) -> None:
        """Leave the provider to its owner."""
