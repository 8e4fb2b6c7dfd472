"""Builds what a configuration describes: senders, options, resources. No file, no connection."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp import __version__
from k8s_audit_otlp.config.blocks import RetryBlock
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import (
    Exporter,
    KafkaExporter,
    OtlpFile,
    OtlpGrpc,
    OtlpHttp,
    Sdk,
)
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.exporter.backoff import Backoff
from k8s_audit_otlp.exporter.batcher import BatchLimits
from k8s_audit_otlp.exporter.delivery import DeliveryOptions
from k8s_audit_otlp.otlp.hourly_scopes import HOUR_NS, HourlyScopes, ResourceScope
from k8s_audit_otlp.otlp.resource import build_resource, encode_resource, encode_scope
from k8s_audit_otlp.receiver.deleted import DeletedSegments, Handed, HoldLimits, Rescue
from k8s_audit_otlp.transport.credentials import credentials_of
from k8s_audit_otlp.transport.http import HttpSender
from k8s_audit_otlp.transport.sender import Sender

ResourceScopes = Mapping[str, ResourceScope]


def deleted_segments_of(receiver: K8sAudit, handed: Handed) -> DeletedSegments:
    limits = HoldLimits(receiver.hold_max_bytes, receiver.min_free_disk_bytes)
    if receiver.rescue_dir is None:
        return DeletedSegments(limits, None, handed)
    rescue = Rescue(Path(receiver.rescue_dir), receiver.rescue_max_bytes)
    return DeletedSegments(limits, rescue, handed)


def backoff_of(block: RetryBlock) -> Backoff:
    return Backoff(
        block.initial_interval_s,
        block.max_interval_s,
        block.multiplier,
        block.randomization_factor,
    )


def batch_limits(exporter: Exporter) -> BatchLimits:
    """Return what a request may hold: what is wanted, as far as the back end takes it."""
    batch, limits = exporter.sending_queue.batch, exporter.limits
    return BatchLimits(
        max_bytes=limits.request_size(batch.max_bytes),
        max_records=limits.request_count(batch.max_records or 0),
        min_bytes=batch.min_bytes,
        min_records=batch.min_records,
        max_span_ns=round(limits.time_span_s * 1e9),
        part_ns=HOUR_NS if exporter.audit.hour_attribute else 0,
    )


def endpoint_of(exporter: Exporter) -> str:
    """Return host and port of where an exporter sends; '' where it is no network."""
    match exporter:
        case OtlpHttp():
            parts = urlsplit(str(exporter.url))
            return parts.netloc.rpartition("@")[2]
        case OtlpGrpc():
            return str(exporter.endpoint).rpartition("//")[2].partition("/")[0].rpartition("@")[2]
        case KafkaExporter():
            return ", ".join(exporter.brokers)
        case _:
            return ""


def sender_of(
    exporter: Exporter,
    config: Config,
    resource_scopes: ResourceScopes,
    *,
    env: Mapping[str, str] = os.environ,
) -> Sender:
    """Return the transport of an exporter. *env*: where the proxy variables are looked up."""
    if attribute := exporter.audit.hour_attribute:
        resource_scopes = HourlyScopes(resources_of(config, env), _scope(), attribute)
    match exporter:
        case OtlpHttp():
            own = credentials_of(exporter.auth, config.extensions, env)
            return HttpSender(exporter, resource_scopes, credentials=own, env=env)
        case OtlpGrpc():
            from k8s_audit_otlp.transport.grpc import GrpcSender  # noqa: PLC0415 - 20 MiB

            own = credentials_of(exporter.auth, config.extensions, env)
            return GrpcSender(exporter, resource_scopes, credentials=own)
        case OtlpFile():
            from k8s_audit_otlp.transport.file import FileSender  # noqa: PLC0415

            return FileSender(exporter, resource_scopes)
        case KafkaExporter():
            from k8s_audit_otlp.transport.kafka import KafkaSender  # noqa: PLC0415 - an extra

            return KafkaSender(exporter, resource_scopes)
        case Sdk():
            from k8s_audit_otlp.transport.sdk_plugins import SdkSender  # noqa: PLC0415 - loads the SDK

            return SdkSender(exporter.exporter, resource_scopes, timeout_s=exporter.timeout_s)
        case _ as never:
            assert_never(never)


def request_form(exporter: Exporter) -> tuple[object, ...] | None:
    """Return what the bytes of a request depend on beside its records; None: they are not alike."""
    alike = batch_limits(exporter), exporter.audit.hour_attribute
    match exporter:
        case OtlpHttp():
            return exporter.compression, exporter.compression_params.level, *alike
        case OtlpGrpc():  # which compresses as it sends
            return "none", None, *alike
        case _:
            return None


def delivery_options(exporter: Exporter) -> DeliveryOptions:
    retry = exporter.retry_on_failure
    return DeliveryOptions(
        backoff_of(retry),
        retry.max_elapsed_time_s,
        exporter.audit.partial_success == "bisect",
    )


def resource_scopes_of(config: Config, env: Mapping[str, str]) -> ResourceScopes:
    """Return the encoded resource and scope of each receiver."""
    return {name: (encode_resource(r), _scope()) for name, r in resources_of(config, env).items()}


def _scope() -> bytes:
    return encode_scope("k8s-audit-otlp", __version__)


def with_resource(config: Config, name: str, value: object) -> Config:
    """Return *config* with one more attribute in the resource of every receiver."""
    receivers = {
        receiver: block.model_copy(update={"attributes": {**block.attributes, name: value}})
        for receiver, block in config.receivers.items()
    }
    return replace(config, receivers=receivers)


def resources_of(config: Config, env: Mapping[str, str]) -> Mapping[str, Resource]:
    """Return where the records of each receiver come from."""
    return {
        name: build_resource({**block.attributes, **block.resource}, env)
        for name, block in config.receivers.items()
    }
