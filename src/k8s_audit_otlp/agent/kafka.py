"""Turns the blocks of a Kafka exporter and a Kafka receiver into settings of librdkafka."""

from collections.abc import Mapping
from typing import Any

from k8s_audit_otlp.config.exporters import KafkaExporter
from k8s_audit_otlp.config.kafka import KafkaBlock
from k8s_audit_otlp.config.sources import Kafka
from k8s_audit_otlp.transport.sender import Sender

# Brokers close idle connections, and one that is down is known from `brokers`' other lines.
_QUIET = {"log.connection.close": False}


def client_settings(block: KafkaBlock) -> dict[str, Any]:
    """Return how the brokers are spoken to, with the secrets as of now."""
    sasl, tls = block.auth.sasl, block.tls if block.secured else None
    protocol = ("SASL_" if sasl else "") + ("SSL" if tls else "PLAINTEXT")
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(block.brokers),
        "client.id": block.client_id,
        "security.protocol": protocol,
        **_QUIET,
    }
    if sasl is not None:
        settings["sasl.mechanism"] = sasl.mechanism
        settings["sasl.username"] = sasl.username.resolve()
        settings["sasl.password"] = sasl.password.resolve()
    if tls is not None:
        files = {
            "ssl.ca.location": tls.ca_file,
            "ssl.certificate.location": tls.cert_file,
            "ssl.key.location": tls.key_file,
        }
        texts = {
            "ssl.ca.pem": tls.ca_pem,
            "ssl.certificate.pem": tls.cert_pem,
            "ssl.key.pem": tls.key_pem,
        }
        settings |= {name: file for name, file in files.items() if file}
        settings |= {name: text.resolve() for name, text in texts.items() if text}
        settings["enable.ssl.certificate.verification"] = not tls.insecure_skip_verify
    return settings


def source_settings(source: Kafka) -> dict[str, Any]:
    """Return what a consumer is made with."""
    settings = {
        **client_settings(source),
        "group.id": source.group_id,
        "auto.offset.reset": source.initial_offset,
        "session.timeout.ms": round(source.session_timeout_s * 1000),
        "heartbeat.interval.ms": round(source.heartbeat_interval_s * 1000),
    }
    if source.group_instance_id:
        settings["group.instance.id"] = source.group_instance_id
    return settings


def exporter_settings(exporter: KafkaExporter) -> dict[str, Any]:
    """Return what a producer is made with."""
    producer = exporter.producer
    settings = {
        **client_settings(exporter),
        "compression.type": producer.compression,
        "linger.ms": round(producer.linger_s * 1000),
    }
    if producer.compression_params.level is not None:
        settings["compression.level"] = producer.compression_params.level
    return settings


def kafka_sender(
    exporter: KafkaExporter, resource_scopes: Mapping[str, tuple[bytes, bytes]]
) -> Sender:
    """Return the transport of a Kafka exporter."""
    from k8s_audit_otlp.transport.kafka import (  # noqa: PLC0415 - an extra
        KafkaSender,
    )

    return KafkaSender(exporter, lambda: exporter_settings(exporter), resource_scopes)
