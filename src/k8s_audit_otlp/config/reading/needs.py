"""Checks which packages a Config needs, and whether what it says of TLS has an effect."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from k8s_audit_otlp.config.blocks import Tls
from k8s_audit_otlp.config.config import Config, ConfigFindings
from k8s_audit_otlp.config.exporters import KafkaExporter, OtlpGrpc, OtlpHttp
from k8s_audit_otlp.config.extensions import OAuth2Client
from k8s_audit_otlp.config.kafka import KafkaBlock
from k8s_audit_otlp.config.mistakes import Kind
from k8s_audit_otlp.config.reading.document import Path
from k8s_audit_otlp.config.secret import Secret
from k8s_audit_otlp.config.service import ApiserverMetrics, MetricsPush
from k8s_audit_otlp.config.sources import CloudWatch, Kafka
from k8s_audit_otlp.config.types import known_value

_PACKAGES = {  # by extra: the module, and the package that brings it
    "kafka": ("confluent_kafka", "confluent-kafka"),
    "aws": ("boto3", "boto3"),
}
_OF_TLS = frozenset(Tls.model_fields) - {"insecure"}


def check_packages(config: Config, found: ConfigFindings) -> None:
    """Refuse what needs a package that comes with an extra and is not installed."""
    for path, extra in _extras(config, found):
        module, package = _PACKAGES[extra]
        if find_spec(module) is None:
            hint = f"install it with pip install '.[{extra}]' from the repository's root"
            found.mistake(path, f"{package} is not installed", hint)


def _extras(config: Config, found: ConfigFindings) -> Iterator[tuple[Path, str]]:
    for exporter_id, exporter in config.exporters.items():
        if isinstance(exporter, KafkaExporter):
            yield found.path_of("exporters", exporter_id), "kafka"
    for source_id, source in config.sources.items():
        if isinstance(source, Kafka | CloudWatch):
            extra = "kafka" if isinstance(source, Kafka) else "aws"
            yield found.path_of("receivers", source_id), extra


def check_tls(values: Iterable[tuple[Path, Any]], found: ConfigFindings) -> None:
    """Tell of settings of TLS on a connection that is in the clear."""
    for path, block in values:
        if not _is_clear(block):
            continue
        tls = getattr(block, "tls", None)
        of, where = (tls, (*path, "tls")) if isinstance(tls, Tls) else (block, path)
        for name, at in type(of).model_fields.items():
            if name in _OF_TLS and getattr(of, name) != at.get_default():
                found.remark((*where, name), Kind.NO_EFFECT, "this connection is in the clear")


def _is_clear(block: object) -> bool:
    match block:
        case OtlpGrpc():
            return block.insecure
        case KafkaBlock():
            return not block.secured
        case OtlpHttp():
            # What is said of TLS holds for a proxy, too.
            is_proxied = _text(block.proxy_url).startswith("https:")
            url = None if is_proxied else block.url
        case OAuth2Client():
            url = block.token_url
        case MetricsPush():
            url = block.endpoint
        case ApiserverMetrics():
            url = block.url
        case _:
            return False
    return _text(url).startswith("http:")


def _text(url: Secret | None) -> str:
    return (known_value(url) or "").lower() if url is not None else ""
