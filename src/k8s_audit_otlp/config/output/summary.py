"""Says in lines what a Config will do. No I/O, and no secret in any line."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from pydantic import BaseModel

from k8s_audit_otlp.config.blocks import RetryBlock
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.durations import format_duration, format_size
from k8s_audit_otlp.config.exporters import (
    Exporter,
    KafkaExporter,
    OtlpFile,
    OtlpGrpc,
    OtlpHttp,
    Sdk,
)
from k8s_audit_otlp.config.mistakes import Remark
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.config.sources import AuditWebhook, CloudWatch, Kafka, Source
from k8s_audit_otlp.config.types import StartAt


def summary(config: Config, remarks: Iterable[Remark] = ()) -> Iterator[str]:
    """Yield headings flush left and facts indented."""
    yield "receivers"
    spools = {log: source for source, _, log in config.spools()}
    for receiver_id, receiver in config.receivers.items():
        source = config.sources.get(spools.get(receiver_id, ""))
        takes = where_from(source) if source else ""
        yield from _facts(receiver_id, [("takes", takes), *_receiver(receiver)])
    yield "exporters"
    for exporter_id, exporter in config.exporters.items():
        yield from _facts(exporter_id, _exporter(config, exporter_id, exporter))
    yield "service"
    stop = format_duration(config.service.shutdown_timeout_s)
    seals = f", seals with {key}" if (key := config.service.evidence.key_file) else ""
    yield f"  state in {config.service.state_dir}, stops within {stop}{seals}"
    for kind, group in groupby(sorted(remarks, key=lambda one: one.kind), lambda one: one.kind):
        yield f"{kind}"
        for remark in group:
            yield f"  {remark.where}: {remark.why}"


def where_from(source: Source) -> str:
    """Return where *source* gets events, safe to print."""
    match source:
        case AuditWebhook():
            tls = source.tls
            how = "in the clear" if tls is None else "over TLS"
            if tls is not None and tls.client_ca_file:
                how = "over mutual TLS"
            return f"POST /audit at {source.endpoint} {how}"
        case Kafka():
            how = "over TLS" if source.secured else "in the clear"
            return f"{', '.join(source.topics)} of {', '.join(source.brokers)} {how}"
        case CloudWatch():
            return f"{source.stream_prefix}* of {source.log_group}"


def where_to(exporter: Exporter) -> str:
    """Return where *exporter* sends, safe to print."""
    match exporter:
        case OtlpHttp():
            return str(exporter.url)
        case OtlpGrpc():
            return f"{exporter.endpoint} {'in the clear' if exporter.insecure else 'over TLS'}"
        case OtlpFile():
            return "the standard output" if exporter.path == "-" else exporter.path
        case KafkaExporter():
            how = "over TLS" if exporter.secured else "in the clear"
            return f"the topic {exporter.to_topic} of {', '.join(exporter.brokers)} {how}"
        case Sdk():
            return f"the SDK exporter {exporter.exporter}"


def start_words(start: StartAt) -> str:
    match start.kind:
        case "age":
            return f"the last {format_duration(start.age_s)}"
        case "time":
            return "a fixed time on"
        case _:
            return f"the {start.kind}"


def _facts(name: str, facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield f"  {name}"
    yield from (f"    {label:<9} {text}" for label, text in facts if text)


def _receiver(receiver: K8sAudit) -> Iterator[tuple[str, str]]:
    yield "reads", ", ".join(receiver.include)
    yield "from", start_words(receiver.start_at)
    tags = {**receiver.resource, **receiver.attributes}
    yield "resource", ", ".join(f"{name}={value}" for name, value in tags.items())


def _exporter(config: Config, exporter_id: str, exporter: Exporter) -> Iterator[tuple[str, str]]:
    audit, queue = exporter.audit, exporter.sending_queue
    yield "to", where_to(exporter)
    yield "sends", ", ".join(config.receivers_of(exporter_id)) or "nothing: disabled"
    yield "vendor", audit.vendor or ""
    if audit.start_at is not None:
        yield "from", start_words(audit.start_at)
    limits = [
        f"{queue.num_consumers} in flight",
        f"up to {format_size(queue.batch.max_bytes)} bytes",
    ]
    if queue.batch.max_records:
        limits.append(f"up to {queue.batch.max_records} records")
    if isinstance(exporter, OtlpHttp | OtlpGrpc):
        limits.insert(0, exporter.compression)
        limits.append(f"{format_duration(exporter.timeout_s)} at most")
        unsafe = exporter.tls.insecure_skip_verify
        yield "beware", "anybody may be the back end: insecure_skip_verify" if unsafe else ""
        yield "headers", ", ".join(exporter.headers)
        yield "auth", exporter.auth.authenticator if exporter.auth else ""
    yield "requests", ", ".join(limits)
    yield "retries", _retries(exporter.retry_on_failure)
    yield "form", f"profile {audit.profile}, bodies: {audit.bodies}"
    yield "honours", ", ".join(honoured(exporter))


def _retries(retry: RetryBlock) -> str:
    share = retry.randomization_factor
    shortest, longest = retry.initial_interval_s * (1 - share), retry.max_interval_s * (1 + share)
    waits = f"{format_duration(shortest)} to {format_duration(longest)}"
    if retry.max_elapsed_time_s:
        end = f"for {format_duration(retry.max_elapsed_time_s)}, then to the dead letter"
    else:
        end = "for ever"
    return f"{waits} apart, {end}"


def honoured(block: BaseModel, prefix: str = "") -> Iterator[str]:
    """Yield the keys that the file sets, and that do what they say."""
    for name, field in type(block).model_fields.items():
        if name not in block.model_fields_set:
            continue
        value, label = getattr(block, name), f"{prefix}{field.alias or name}"
        if isinstance(value, BaseModel):
            yield from honoured(value, f"{label}::")
        else:
            yield label
