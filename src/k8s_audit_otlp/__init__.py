"""Carries the Kubernetes audit log to OpenTelemetry back ends without losing an event."""

__version__ = "0.1.0"
