"""Lists whoever would receive the log: exporters, policies, or one without a policy."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from k8s_audit_otlp.agent.build import batch_limits
from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.config.audit_files import PolicyText
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import (
    Exporter,
    KafkaExporter,
    OtlpFile,
    OtlpGrpc,
    OtlpHttp,
    Sdk,
)
from k8s_audit_otlp.config.mistakes import ConfigError, suggest
from k8s_audit_otlp.exporter.batcher import BatchLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.transport.compress import Compression

DEFAULT = "default settings"
_FORMS: dict[type[Exporter], Literal["HTTP", "gRPC", "file", "Kafka", "SDK"]] = {
    OtlpHttp: "HTTP",
    OtlpGrpc: "gRPC",
    OtlpFile: "file",
    KafkaExporter: "Kafka",
    Sdk: "SDK",
}


@dataclass(frozen=True, slots=True)
class ExplainTarget:
    """An exporter, or what stands for one. `receivers` is None where every log goes to it."""

    name: str
    mapping: ExporterMapping
    limits: BatchLimits
    compression: Compression = "gzip"
    level: int | None = None
    form: str = "HTTP"
    receivers: tuple[str, ...] | None = None
    max_age_s: float = 0.0  # of the oldest event that the back end takes; 0 is no limit

    @property
    def measured(self) -> bool:
        """Say whether what is sent is what we measure: OTLP, not another form of it."""
        return self.form in ("HTTP", "gRPC")


def of_config(
    config: Config, wanted: Sequence[str], policies: Sequence[PolicyText] = ()
) -> list[ExplainTarget]:
    """Return the exporters that are wanted, all that are enabled when none is.

    With *policies* each of them is tried out in the place of the exporter's own.

    Raise ConfigError where an exporter is unknown, or a file that it names says nothing usable.
    """
    for name in wanted:
        if name not in config.exporters:
            hint = suggest(name, config.exporters)
            raise ConfigError.at("--exporter", f"there is no {name}", hint)
    names = wanted or [n for n in config.exporters if config.receivers_of(n)]
    targets = [_exporter(name, config) for name in names]
    if not policies:
        return targets
    return [_with_policy(target, policy) for target in targets for policy in policies]


def without_config(policies: Sequence[PolicyText]) -> list[ExplainTarget]:
    """Return one target per policy, each with the default settings; one when there is none."""
    plain = ExplainTarget(DEFAULT, ExporterMapping(MappingOptions()), BatchLimits())
    if not policies:
        return [plain]
    return [_with_policy(replace(plain, name=""), policy) for policy in policies]


def with_all_rules(mapping: ExporterMapping) -> ExporterMapping:
    """Return a mapping with every built-in rule on; how values are replaced, and own rules, stay.

    An exporter may be allowed to receive secrets (`bodies: raw`, rules that are off, `args: keep`);
    what is shown of events holds none nevertheless.
    """
    args = "first" if mapping.rules.args == "keep" else mapping.rules.args
    bodies: Literal["keep", "drop"] = "drop" if mapping.bodies == "drop" else "keep"
    rules = replace(mapping.rules, off=frozenset(), args=args, bodies=bodies)
    return replace(mapping, rules=rules, bodies=bodies)


def _exporter(name: str, config: Config) -> ExplainTarget:
    exporter = config.exporters[name]
    compression: Compression = "none"
    level = None
    if isinstance(exporter, OtlpHttp):
        compression, level = exporter.compression, exporter.compression_params.level
    elif isinstance(exporter, OtlpGrpc):
        compression = exporter.compression
    return ExplainTarget(
        name,
        ExporterMapping.of(name, exporter),
        batch_limits(exporter),
        compression,
        level,
        _FORMS[type(exporter)],
        config.receivers_of(name),
        exporter.limits.max_age_s,
    )


def _with_policy(target: ExplainTarget, policy: PolicyText) -> ExplainTarget:
    mapping = replace(target.mapping, policy=policy.text, policy_file=policy.file)
    name = f"{target.name} with {policy.file}" if target.name else policy.file
    return replace(target, name=name, mapping=mapping)
