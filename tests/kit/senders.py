"""Senders over HTTP and gRPC, by the blocks that a configuration would have."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.exporters import OtlpGrpc, OtlpHttp
from k8s_audit_otlp.config.secret import FileText, Secret
from k8s_audit_otlp.transport.credentials import Credentials
from k8s_audit_otlp.transport.grpc import GrpcSender
from k8s_audit_otlp.transport.http import HttpSender

Scopes = Mapping[str, tuple[bytes, bytes]]


def http_sender(
    url: str | Secret,
    scopes: Scopes,
    *,
    credentials: Credentials | None = None,
    env: Mapping[str, str] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    **keys: Any,
) -> HttpSender:
    """Return a sender that posts to *url*; *keys* are those of the exporter's block."""
    block = OtlpHttp.model_validate({"logs_endpoint": url, "timeout": "5s", **keys})
    return HttpSender(block, scopes, credentials=credentials, env=env or {}, now=now)


def grpc_sender(
    target: str,
    scopes: Scopes,
    *,
    credentials: Credentials | None = None,
    insecure: bool = True,
    tls: Tls | None = None,
    **keys: Any,
) -> GrpcSender:
    """Return a sender that calls *target*; *keys* are those of the exporter's block."""
    told = (tls or Tls()).model_copy(update={"insecure": insecure})
    block = {"endpoint": target, "timeout": "5s", "tls": told, **keys}
    return GrpcSender(OtlpGrpc.model_validate(block), scopes, credentials=credentials)


def read_from(file: Path) -> Secret:
    """Return what a configuration means by `${file:...}`."""
    return Secret((FileText(str(file)),))
