"""Structured metadata as Loki counts it, and a back end that refuses too much of it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.kit.backends.steps import ACCEPT, Exchange, Refuse, Step


@dataclass(frozen=True)
class LimitMetadata:
    """Refuse requests with a record whose structured metadata is too large, as Loki counts it.

    Names and values of the record and its resource, and its other fields; lists as JSON by Go.
    """

    max_bytes: int = 64 << 10
    status: int = 400
    otherwise: Step = ACCEPT

    def respond(self, exchange: Exchange) -> None:
        request = ExportLogsServiceRequest.FromString(exchange.request.body)
        over = any(
            metadata_bytes([*each.resource.attributes, *record.attributes]) > self.max_bytes
            for each in request.resource_logs
            for scope in each.scope_logs
            for record in scope.log_records
        )
        (Refuse(self.status) if over else self.otherwise).respond(exchange)


OTHER_FIELDS = 200  # observed_timestamp, severity_number, event_name and the like
_GO_ESCAPES = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}


def metadata_bytes(attributes: Iterable[KeyValue]) -> int:
    """Count names and values, each as the text that Loki keeps."""
    return OTHER_FIELDS + sum(
        len(pair.key.encode()) + len(_as_text(pair.value).encode()) for pair in attributes
    )


def _as_text(value: AnyValue) -> str:
    kind: Any = value.WhichOneof("value")
    if kind == "array_value":
        items = [item.string_value for item in value.array_value.values]
        text = json.dumps(items, ensure_ascii=False, separators=(",", ":"))
        return text.translate(_GO_ESCAPES)
    return str(getattr(value, kind))
