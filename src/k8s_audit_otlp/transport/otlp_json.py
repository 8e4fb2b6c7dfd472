"""Writes an ExportLogsServiceRequest as one line of OTLP JSON. Pure.

Source: opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: lowerCamelCase, ids in hex, enums
as numbers, 64-bit integers as decimal strings, other bytes in base64. Records are written out here:
protobuf's own writer knows no ids in hex, and takes nearly twice as long.
"""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, LogsData, ResourceLogs, ScopeLogs


def to_line(request: bytes) -> bytes:
    """Return one LogsData object and a newline. The request has the same fields as LogsData."""
    data = LogsData.FromString(request)
    logs = [_resource_logs(each) for each in data.resource_logs]
    return orjson.dumps({"resourceLogs": logs}, option=orjson.OPT_APPEND_NEWLINE)


def record_as_json(record: bytes) -> dict[str, Any]:
    """Return one record, given as it stands in an encoded ScopeLogs, as OTLP JSON."""
    (message,) = ScopeLogs.FromString(record).log_records
    return _record(message)


def _resource_logs(message: ResourceLogs) -> dict[str, Any]:
    return _without_defaults(
        {
            "resource": MessageToDict(message.resource),
            "scopeLogs": [_scope_logs(scope) for scope in message.scope_logs],
            "schemaUrl": message.schema_url,
        }
    )


def _scope_logs(message: ScopeLogs) -> dict[str, Any]:
    return _without_defaults(
        {
            "scope": MessageToDict(message.scope),
            "logRecords": [_record(record) for record in message.log_records],
            "schemaUrl": message.schema_url,
        }
    )


def _record(message: LogRecord) -> dict[str, Any]:
    record = {
        "timeUnixNano": str(message.time_unix_nano),
        "observedTimeUnixNano": str(message.observed_time_unix_nano),
        "severityNumber": message.severity_number,
        "severityText": message.severity_text,
        "eventName": message.event_name,
        "body": _value(message.body),
        "attributes": _attributes(message.attributes),
        "droppedAttributesCount": message.dropped_attributes_count,
        "flags": message.flags,
        "traceId": message.trace_id.hex(),
        "spanId": message.span_id.hex(),
    }
    return _without_defaults(record)


def _without_defaults(message: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a reader takes for granted: 0, empty texts and lists."""
    return {key: value for key, value in message.items() if value and value != "0"}


def _attributes(pairs: Iterable[KeyValue]) -> list[dict[str, Any]]:
    return [{"key": pair.key, "value": _value(pair.value)} for pair in pairs]


def _value(value: AnyValue) -> dict[str, Any]:
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "double_value":
            return {"doubleValue": _double(value.double_value)}
        case "bytes_value":
            return {"bytesValue": b64encode(value.bytes_value).decode()}
        case "array_value":
            return {"arrayValue": {"values": [_value(v) for v in value.array_value.values]}}
        case "kvlist_value":
            return {"kvlistValue": {"values": _attributes(value.kvlist_value.values)}}
        case _:
            return {}


def _double(value: float) -> float | str:
    if value != value:  # noqa: PLR0124 - that is what NaN is
        return "NaN"
    if value in {float("inf"), float("-inf")}:
        return "Infinity" if value > 0 else "-Infinity"
    return value
