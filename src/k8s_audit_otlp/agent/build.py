"""A configuration in, the objects that it describes out. Reads no file and opens no connection."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

from k8s_audit_otlp.config.blocks import Auth, SendingBatch, Tls
from k8s_audit_otlp.config.blocks import Retry as RetryBlock
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Exporter, OtlpHttp
from k8s_audit_otlp.config.extensions import BasicAuth, BearerToken
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.batcher import BatchLimits
from k8s_audit_otlp.exporter.http import HttpOptions, HttpSender
from k8s_audit_otlp.exporter.sender import Sender
from k8s_audit_otlp.exporter.tls import TlsOptions
from k8s_audit_otlp.receiver.log import LogLimits
from k8s_audit_otlp.receiver.names import fold

Envelopes = Mapping[str, tuple[bytes, bytes]]
GLOB = frozenset("*?[")


def paths_of(receiver: K8sAudit) -> list[Path]:
    """Return the live files of a receiver; backups that a glob matches fold into their log."""
    found: list[str] = []
    for pattern in receiver.include:
        if GLOB & set(pattern):
            base = Path(pattern)
            root = Path(base.anchor or ".")
            found += [str(p) for p in root.glob(str(base.relative_to(base.anchor)))]
        else:
            found.append(pattern)
    return [Path(p) for p in dict.fromkeys(fold(found))]


def log_limits(receiver: K8sAudit, *, once: bool) -> LogLimits:
    limits = LogLimits(max_line_bytes=receiver.max_line_bytes)
    if once:  # nothing is going to change any more
        return LogLimits(limits.max_line_bytes, limits.max_open, settle_s=0.0, torn_s=0.0)
    return limits


def backoff_of(block: RetryBlock) -> Backoff:
    return Backoff(
        block.initial_interval_s,
        block.max_interval_s,
        block.multiplier,
        block.randomization_factor,
    )


def batch_limits(batch: SendingBatch) -> BatchLimits:
    return BatchLimits(
        max_bytes=batch.max_bytes,
        max_records=batch.max_records or 0,
        min_bytes=batch.min_bytes,
        min_records=batch.min_records,
    )


def tls_options(tls: Tls) -> TlsOptions:
    return TlsOptions(
        ca_file=tls.ca_file or "",
        ca_pem=tls.ca_pem.resolve if tls.ca_pem else None,
        cert_file=tls.cert_file or "",
        cert_pem=tls.cert_pem.resolve if tls.cert_pem else None,
        key_file=tls.key_file or "",
        key_pem=tls.key_pem.resolve if tls.key_pem else None,
        min_version=tls.min_version,
        insecure_skip_verify=tls.insecure_skip_verify,
        include_system_ca=tls.include_system_ca_certs_pool,
        server_name=tls.server_name_override or "",
    )


def sender_of(exporter: Exporter, config: Config, envelopes: Envelopes) -> Sender:
    """Return the transport of an exporter."""
    if isinstance(exporter, OtlpHttp):
        return HttpSender(http_options(exporter, config), envelopes)
    raise ValueError(f"exporters of the type {exporter.type} cannot be used yet")


def http_options(exporter: OtlpHttp, config: Config) -> HttpOptions:
    return HttpOptions(
        url=exporter.url.resolve,
        headers={name: value.resolve for name, value in exporter.headers.items()},
        credentials=credentials_of(exporter.auth, config),
        compression=exporter.compression,
        compression_level=exporter.compression_params.level,
        timeout_s=exporter.timeout_s,
        tls=tls_options(exporter.tls),
        proxy_url=exporter.proxy_url.resolve if exporter.proxy_url else None,
        retry_also=frozenset(exporter.audit.retry_status_codes),
        connections=exporter.sending_queue.num_consumers,
    )


def credentials_of(auth: Auth | None, config: Config) -> Callable[[], Mapping[str, str]] | None:
    """Return what makes the header of an authenticator, read anew for every request."""
    if auth is None:
        return None
    extension = config.extensions[auth.authenticator]
    if isinstance(extension, BearerToken):
        secret, scheme, header = extension.secret, extension.scheme, extension.header
        return lambda: {header: f"{scheme} {secret.resolve()}".strip()}
    if isinstance(extension, BasicAuth):
        name, password = extension.client_auth.secrets()

        def basic() -> Mapping[str, str]:
            pair = f"{name.resolve()}:{password.resolve()}".encode()
            return {"Authorization": f"Basic {b64encode(pair).decode()}"}

        return basic
    raise ValueError(f"{auth.authenticator}: authenticators of this type cannot be used yet")
