"""Reads encoded records as the SDK's log records, for exporters in a Python pipeline.

What was encoded is read back, so the same table maps for every way out.
"""

from collections.abc import Iterator, Mapping, Sequence

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from k8s_audit_otlp.otlp.record import plain_value


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
