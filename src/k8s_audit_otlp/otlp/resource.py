"""Says where records come from: the encoded resource and scope around those of one request.

    resource: configured > OTEL_SERVICE_NAME > OTEL_RESOURCE_ATTRIBUTES > where we run > defaults

The results are the fields that `export_request` puts before scope_logs and log_records.
"""

import os
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp.otlp import wire

SERVICE_NAME = "k8s-audit"
SOURCE = "k8s-audit"
SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"  # of the names that the mapping uses

MAPPING = "log.mapping"  # what its records depend on, as a digest: see `ExporterMapping`
CLUSTER, NODE, INSTANCE = "k8s.cluster.name", "k8s.node.name", "service.instance.id"
# Set by the downward API in a pod's manifest, and what charts commonly call the same
NODE_VARIABLES = ("K8S_NODE_NAME", "NODE_NAME")
CLUSTER_VARIABLES = ("K8S_CLUSTER_NAME", "CLUSTER_NAME")


def build_resource(
    configured: Mapping[str, wire.Value],
    environ: Mapping[str, str],
    *,
    host_name: str = "",
) -> Resource:
    """Merge what is known about the place that the log comes from."""
    found = {
        "host.name": host_name or os.uname().nodename,
        NODE: _first(environ, NODE_VARIABLES),
        CLUSTER: _first(environ, CLUSTER_VARIABLES),
    }
    resource = Resource({"service.name": SERVICE_NAME, "log.source": SOURCE}, SCHEMA_URL)
    for layer in (found, environment_attributes(environ), configured):
        resource = resource.merge(Resource({k: v for k, v in layer.items() if v != ""}))
    attributes = resource.attributes or {}
    instance = attributes.get(INSTANCE) or attributes.get(NODE) or attributes.get("host.name")
    return resource.merge(Resource({INSTANCE: instance})) if instance else resource


def environment_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """Read OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME; a pair without `=` is left out."""
    pairs = (item.partition("=") for item in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","))
    attributes = {k.strip(): unquote(v.strip()) for k, sign, v in pairs if sign and k.strip()}
    name = environ.get("OTEL_SERVICE_NAME", "")
    return {**attributes, "service.name": name} if name else attributes


def encode_resource(resource: Resource) -> bytes:
    pairs = (resource.attributes or {}).items()
    message = b"".join(wire.key_value(wire.RESOURCE_ATTRIBUTE, k, _value(v)) for k, v in pairs)
    return wire.delimited(wire.RESOURCE, message) + _schema(resource.schema_url)


def encode_scope(name: str, version: str) -> bytes:
    message = wire.text(wire.SCOPE_NAME, name) + wire.text(wire.SCOPE_VERSION, version)
    return wire.delimited(wire.SCOPE, message) + _schema(SCHEMA_URL)


def export_request(resource: bytes, scope: bytes, records: Sequence[bytes]) -> bytes:
    """Join records to the body of one ExportLogsServiceRequest.

    `resource` holds the fields of ResourceLogs before its scope_logs, `scope` those of ScopeLogs
    before its log_records.
    """
    size = len(scope) + sum(map(len, records))
    scope_logs = wire.SCOPE_LOGS + wire.varint(size)
    head = wire.RESOURCE_LOGS + wire.varint(len(resource) + len(scope_logs) + size)
    return b"".join((head, resource, scope_logs, scope, *records))


def _schema(url: str) -> bytes:
    return wire.text(wire.SCHEMA_URL, url) if url else b""


def _value(value: object) -> wire.Value:
    if isinstance(value, str | bool | int | float):
        return value
    return [str(each) for each in value] if isinstance(value, tuple | list) else str(value)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")
