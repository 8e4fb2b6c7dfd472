"""Whole records in, the body of one ExportLogsServiceRequest out."""

from collections.abc import Sequence

from k8s_audit_otlp.otlp import wire


def envelope(resource: bytes, scope: bytes, records: Sequence[bytes]) -> bytes:
    """Join records to a request.

    `resource` holds the fields of ResourceLogs before its scope_logs, `scope` those of ScopeLogs
    before its log_records, both as `otlp.resource` makes them.
    """
    size = len(scope) + sum(map(len, records))
    scope_logs = wire.SCOPE_LOGS + wire.varint(size)
    head = wire.RESOURCE_LOGS + wire.varint(len(resource) + len(scope_logs) + size)
    return b"".join((head, resource, scope_logs, scope, *records))
