"""The words in which the fate of a Collector key is written. No I/O, no tables."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from k8s_audit_otlp.config.durations import duration_ns


class Use(StrEnum):
    """What can become of a key beside being honoured."""

    NO_EFFECT = "no effect"
    DIFFERENT = "different"
    REFUSED = "refused"


def always(_: Any) -> bool:
    return True


def is_set(value: Any) -> bool:
    """Tell a key that asks for something from one written out with its empty default."""
    if isinstance(value, Mapping) and "enabled" in value:
        return is_true(value["enabled"])
    return bool(value) and str(value).lower() not in {"false", "0", "0s"}


def is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def is_false(value: Any) -> bool:
    return str(value).lower() == "false"


def is_positive(value: Any) -> bool:
    try:
        return duration_ns(str(value)) > 0
    except ValueError:
        return False


def is_one_of(*values: str) -> Callable[[Any], bool]:
    return lambda value: str(value).lower() in values


@dataclass(frozen=True, slots=True)
class KeyRule:
    """One key of a block; `key` joins nested keys with `::`."""

    key: str
    use: Use
    why: str = ""
    hint: str = ""
    when: Callable[[Any], bool] = always

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.key.split("::"))


Rules: TypeAlias = tuple[KeyRule, ...]


def no_effect(why: str, *keys: str) -> Rules:
    return tuple(KeyRule(key, Use.NO_EFFECT, why) for key in keys)


def refused(key: str, why: str, hint: str, when: Callable[[Any], bool] = is_set) -> Rules:
    return (KeyRule(key, Use.REFUSED, why, hint, when),)


def different(key: str, why: str, when: Callable[[Any], bool] = always) -> Rules:
    return (KeyRule(key, Use.DIFFERENT, why, when=when),)


def under(prefix: str, rules: Rules) -> Rules:
    return tuple(replace(rule, key=f"{prefix}::{rule.key}") for rule in rules)


def _preset(vendor: str) -> str:
    return f"write otlp_http with audit: {{vendor: {vendor}}}; see vendors show {vendor}"


_COLLECTORS_ALONE = (
    "alibabacloud_logservice", "awskinesis", "awss3", "azureblob", "azuredataexplorer",
    "cassandra", "dataset", "doris", "googlecloudpubsub", "googlecloudstorage", "influxdb",
    "logicmonitor", "logzio", "mezmo", "nats", "otelarrow", "prometheusremotewrite", "pulsar",
    "rabbitmq", "sentry", "signalfx", "syslog", "tencentcloud_logservice",
)  # fmt: skip
# Exporters and receivers of other kinds that stand in pasted files, and what takes their place.
FOREIGN_EXPORTERS: Mapping[str, str] = {
    "splunk_hec": "send through a Collector; see vendors show splunk",
    "datadog": _preset("datadog"),
    "loki": _preset("loki"),
    "elasticsearch": _preset("elastic"),
    "opensearch": _preset("opensearch-data-prepper"),
    "coralogix": _preset("coralogix"),
    "sumologic": _preset("sumologic"),
    "dynatrace": _preset("dynatrace"),
    "clickhouse": _preset("clickstack"),
    "googlecloud": "send through a Collector; see vendors show google-cloud",
    "azuremonitor": "send through a Collector; see vendors show azure-monitor",
    "awscloudwatchlogs": "send through a Collector; see vendors show aws-cloudwatch",
    **dict.fromkeys(_COLLECTORS_ALONE, "send otlp_http or otlp_grpc to a Collector that has it"),
    "loadbalancing": "write an exporter for each back end",
    "nop": "write otlp_file with path: /dev/null",
    "debug": "write otlp_file with path: -",
    "logging": "write otlp_file with path: -",
}
_POLICY = "write audit::policy in the exporter, or send to a Collector that runs it"
_REDACTION = "write audit::redaction in the exporter, or send to a Collector that runs it"
_RESOURCE = "write resource: or attributes: in the receiver"
# Processors of the Collector that change what is sent, and what does the same here.
FOREIGN_PROCESSORS: Mapping[str, str] = {
    "attributes": _RESOURCE,
    "filter": _POLICY,
    "geoip": "send to a Collector that runs it",
    "groupbyattrs": "send to a Collector that runs it",
    "interval": _POLICY,
    "k8sattributes": _RESOURCE,
    "k8s_attributes": _RESOURCE,
    "logdedup": _POLICY,
    "logstransform": _REDACTION,
    "probabilistic_sampler": _POLICY,
    "redaction": _REDACTION,
    "remotetap": "see k8s-audit-otlp tap",
    "resource": _RESOURCE,
    "resourcedetection": _RESOURCE,
    "schema": "send to a Collector that runs it",
    "sumologic": "send to a Collector that runs it",
    "tail_sampling": _POLICY,
    "transform": _REDACTION,
}
FOREIGN_RECEIVERS = frozenset((
    "filelog", "file_log", "otlp", "otlpjsonfile", "webhookevent", "k8sobjects", "k8s_events",
    "k8s_cluster", "journald", "syslog", "tcplog", "udplog", "fluentforward", "hostmetrics",
    "kubeletstats", "prometheus", "filestats", "awscloudwatch", "azureeventhub", "splunk_hec",
))  # fmt: skip


def deciding(rules: Rules, block: Mapping[str, Any]) -> Iterator[KeyRule]:
    """Yield the one of *rules* that decides about each key of *block* that has one.

    A rule with a condition comes before one without. What is written out empty has no effect.
    """
    decided: set[str] = set()
    special = (rule for rule in rules if rule.when is not always)
    plain = (rule for rule in rules if rule.when is always)
    for rule in (*special, *plain):
        found, value = _look_up(block, rule.path)
        if not found or value is None or rule.key in decided:
            continue
        if not rule.when(value):
            if rule.when is not is_set:
                continue
            rule = replace(rule, use=Use.NO_EFFECT, why="it is off")  # noqa: PLW2901
        decided.add(rule.key)
        yield rule


def _look_up(block: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for part in path:
        if not isinstance(block, Mapping) or part not in block:
            return False, None
        block = block[part]
    return True, block
