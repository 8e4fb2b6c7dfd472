"""The `service` block: the process itself. Values only."""

from typing import Literal

from pydantic import field_validator

from k8s_audit_otlp.config.addresses import Address, BaseUrl, HttpUrl
from k8s_audit_otlp.config.blocks import ConfigBlock, key
from k8s_audit_otlp.config.types import Bytes, Headers, PositiveSeconds, Seconds, Texts, whole_path


class Logs(ConfigBlock):
    """The agent's own log."""

    level: Literal["debug", "info", "warn", "error"] = key("info", "Least severity to write.")
    encoding: Literal["console", "json"] = key("console", "Form of a log line.")


class MetricsPush(ConfigBlock):
    """Where the agent's own metrics are pushed to, over OTLP/HTTP."""

    endpoint: BaseUrl | None = key(None, "Base URL; /v1/metrics is appended. None by default.")
    headers: Headers = key({}, "Headers of every push, as a map or a list of {name, value}.")
    ca_file: str | None = key(None, "File with the authorities to trust.")
    interval_s: PositiveSeconds = key("60s", "Time between two pushes.")


class MetricsBlock(ConfigBlock):
    """The agent's own metrics."""

    address: Address | None = key(
        None, "host:port that serves metrics and status; none by default."
    )
    otlp: MetricsPush = key({}, "Where they are pushed to as well.")


class ApiserverMetrics(ConfigBlock):
    """What the kube-apiserver counts itself, to compare with what is read of its log."""

    url: HttpUrl | None = key(
        None, "Its metrics, as https://127.0.0.1:6443/metrics; none by default."
    )
    token_file: str | None = key(None, "Bearer token; read anew each time.")
    ca_file: str | None = key(None, "File with the authorities to trust.")
    insecure_skip_verify: bool = key(False, "Do not check the apiserver's certificate.")
    interval_s: PositiveSeconds = key("30s", "Time between two readings.")


class Telemetry(ConfigBlock):
    """What the agent says about itself."""

    logs: Logs = key({}, "The agent's own log.")
    metrics: MetricsBlock = key({}, "The agent's own metrics.")
    apiserver: ApiserverMetrics = key({}, "What the kube-apiserver counts itself.")


class EvidenceBlock(ConfigBlock):
    """What makes receipts hold against somebody who wants to change them."""

    hashes: Literal["all", "records", "none"] = key(
        "all",
        "What receipts hash: each segment's raw bytes and its delivered records, the records "
        "alone, or nothing.",
    )
    key_file: str | None = key(
        None, "Ed25519 key that seals the chain of receipts; `evidence keygen` makes one."
    )
    seal_file: str | None = key(None, "File that seals are appended to, beside the exporters.")


class PipelineBlock(ConfigBlock):
    """Which receivers go to which exporters."""

    receivers: Texts = key((), "Ids of receivers.")
    exporters: Texts = key((), "Ids of exporters.")


class Service(ConfigBlock):
    """The process: where its state is, how it stops, what it says about itself."""

    state_dir: str = key("/var/lib/k8s-audit-otlp", "Directory of positions and dead letters.")
    shutdown_timeout_s: Seconds = key("4s", "How long a stop waits for requests in flight.")
    until: Literal["signal", "caught_up"] = key(
        "signal", "When to stop: at a signal, or (after one) when everything is delivered."
    )
    memory_budget_bytes: Bytes = key(
        "24MiB",
        "Bytes of records that wait or are in flight, over all exporters; one request each may go"
        " beyond it, and caches are bounded apart.",
        alias="memory_budget",
    )
    max_uncommitted_bytes: Bytes = key(
        "1GiB",
        "Stop when so much is delivered that the state directory cannot record.",
        alias="max_uncommitted",
    )
    extensions: Texts = key((), "Ids of the extensions in use, as in the Collector.")
    evidence: EvidenceBlock = key({}, "What receipts prove, and to whom.")
    telemetry: Telemetry = key({}, "What the agent says about itself.")
    pipelines: dict[str, PipelineBlock] = key(
        {}, "logs[/name]: {receivers, exporters}; without it every receiver goes everywhere."
    )

    @field_validator("state_dir")
    @classmethod
    def _is_whole(cls, value: str) -> str:
        return whole_path(value, "/var/lib/k8s-audit-otlp")
