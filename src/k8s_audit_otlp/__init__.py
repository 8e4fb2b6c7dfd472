"""Carries the Kubernetes audit log to OpenTelemetry back ends without losing an event."""

__version__ = "0.2.0.dev0"
