"""For programs that have an OpenTelemetry pipeline of their own."""

from k8s_audit_otlp.sdk.exporter import AuditLogRecordExporter
from k8s_audit_otlp.sdk.receiver import AuditLogReceiver

__all__ = ["AuditLogReceiver", "AuditLogRecordExporter"]
