"""Requests as an exporter makes them, and a client that does nothing on its own."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource


def _attributes(**values: Any) -> list[KeyValue]:
    return [
        KeyValue(key=key.replace("_", "."), value=AnyValue(string_value=value))
        for key, value in values.items()
    ]


@pytest.fixture
def export_request() -> Callable[..., Any]:
    """Make an ExportLogsServiceRequest with a record for each uid."""

    def make(*uids: Any, event_name: Any = "k8s.audit.event") -> Any:
        records = [
            LogRecord(
                event_name=event_name,
                time_unix_nano=42,
                severity_text="INFO",
                body=AnyValue(string_value=f'{{"auditID":"id-{uid}"}}'),
                attributes=_attributes(log_record_uid=uid, auditID=f"id-{uid}"),
            )
            for uid in uids
        ]
        resource = Resource(attributes=_attributes(service_name="k8s-audit"))
        logs = ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=records)])
        return ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()

    return make


@pytest.fixture
def post() -> Iterator[Callable[..., Any]]:
    """POST protobuf to a back end: no retries, no redirects, one connection kept alive."""
    with urllib3.PoolManager(retries=False, timeout=60.0) as pool:

        def send(backend: Any, body: bytes, **headers: Any) -> Any:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            names = {"Content-Type": "application/x-protobuf", **names}
            return pool.request("POST", backend.logs_url, body=body, headers=names, redirect=False)

        yield send
