"""Receivers that are no file: each writes a spool, and the spool is read as a file. Values only.

`logs_of` says which file receivers a source becomes: one for each cluster that it serves.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from k8s_audit_otlp.config.addresses import Address, HttpUrl
from k8s_audit_otlp.config.blocks import Auth, ConfigBlock, TlsVersion, key
from k8s_audit_otlp.config.kafka import KafkaBlock
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.config.types import Bytes, PositiveSeconds, Scalar, Seconds, Texts, mistake

_LEAST_SEGMENTS = 4  # one is written while others wait to be delivered
_CLUSTER_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")


class SpoolBlock(ConfigBlock):
    """Where a source puts what it has taken, until every exporter has it."""

    max_bytes: Bytes = key("4GiB", "Bytes of one spool; when it is full, the source is refused.")
    segment_bytes: Bytes = key("64MiB", "Begin another segment after so many bytes.")
    min_free_disk_bytes: Bytes = key(
        "256MiB", "Take nothing when less of the disk is free.", alias="min_free_disk"
    )

    @model_validator(mode="after")
    def _holds_some_segments(self) -> "SpoolBlock":
        if self.max_bytes < _LEAST_SEGMENTS * self.segment_bytes:
            raise mistake(
                "max_bytes holds fewer than 4 segments",
                "raise max_bytes, or lower segment_bytes",
            )
        return self


class SourceBlock(ConfigBlock):
    """What all of them have."""

    resource: dict[str, Scalar] = key(
        {}, "Resource attributes: k8s.cluster.name, service.name, ..."
    )
    attributes: dict[str, Scalar] = key({}, "Static tags; they go to the resource as well.")
    silence_after_s: Seconds = key("0s", "Send a notice when nothing came for so long; 0 is off.")
    spool: SpoolBlock = key({}, "Where it puts what it has taken.")

    def clusters_served(self) -> Mapping[str, Mapping[str, str | int | float | bool]]:
        """Return the resource of each cluster; '' where all that comes is of one."""
        return {"": {}}


class ServerTls(ConfigBlock):
    """How a server shows itself, and whom it trusts (config/configtls, the server's side)."""

    cert_file: str = Field(description="The server's certificate; re-read when it changes.")
    key_file: str = Field(description="Key of the certificate; re-read when it changes.")
    client_ca_file: str | None = key(
        None, "Take only clients whose certificate these authorities signed (mutual TLS)."
    )
    min_version: TlsVersion = key("1.2", "Oldest TLS version to accept.")

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.cert_file, self.key_file, self.client_ca_file)))


class Cluster(ConfigBlock):
    """One cluster of several that send to one endpoint."""

    client_names: Texts = key(
        (), "Names of its client certificate: the cluster then needs no path of its own."
    )
    resource: dict[str, Scalar] = key(
        {}, "Its resource attributes; k8s.cluster.name is its name by default."
    )


class AuditWebhook(SourceBlock):
    """The audit webhook of kube-apiservers: events are taken when they are on disk."""

    type: ClassVar[str] = "k8s_audit_webhook"

    endpoint: Address = key("localhost:9443", "host:port to listen at; POST /audit[/CLUSTER].")
    tls: ServerTls | None = key(None, "How the server shows itself; without it, in the clear.")
    auth: Auth | None = key(None, "bearertokenauth: take only requests with this token.")
    max_request_body_size: Bytes = key(
        "64MiB", "Longest request, after decompression; a longer one is answered with 413."
    )
    read_timeout_s: PositiveSeconds = key("30s", "Longest time for a request to come in.")
    idle_timeout_s: PositiveSeconds = key("90s", "Close a connection that is idle for so long.")
    client_names: Texts = key(
        (), "Take only client certificates with one of these names; every trusted one by default."
    )
    clusters: dict[str, Cluster] = key(
        {}, "The clusters that send here, by name; without it all events are of one cluster."
    )

    def clusters_served(self) -> Mapping[str, Mapping[str, str | int | float | bool]]:
        if not self.clusters:
            return {"": {}}
        return {
            name: {"k8s.cluster.name": name, **cluster.resource}
            for name, cluster in self.clusters.items()
        }

    @field_validator("clusters")
    @classmethod
    def _names_fit_a_path(cls, value: dict[str, Cluster]) -> dict[str, Cluster]:
        for name in value:
            if not name or set(name) - _CLUSTER_SIGNS or not name.strip("."):
                raise mistake(
                    f"{name!r} does not fit a path of the endpoint",
                    "use letters, digits and . - _; k8s.cluster.name can be set in its resource",
                )
        return value

    @model_validator(mode="after")
    def _names_need_certificates(self) -> "AuditWebhook":
        named = self.client_names or any(one.client_names for one in self.clusters.values())
        if named and not (self.tls and self.tls.client_ca_file):
            raise mistake(
                "client_names is set and nobody has to show a certificate",
                "add tls::client_ca_file",
            )
        return self


class Kafka(SourceBlock, KafkaBlock):
    """Topics of Kafka, or Event Hubs: offsets are committed when the events are on disk."""

    type: ClassVar[str] = "kafka"

    topics: Texts = Field(description="Topics to read; one that begins with ^ is a pattern.")
    group_id: str = key(
        "k8s-audit-otlp", "Consumer group; agents of one group share the partitions."
    )
    group_instance_id: str | None = key(
        None, "A name of this agent alone, that it keeps: started again, it has its partitions."
    )
    session_timeout_s: PositiveSeconds = key(
        "10s", "After so long others get the partitions of an agent that was killed."
    )
    heartbeat_interval_s: PositiveSeconds = key("3s", "How often it shows that it is there.")
    initial_offset: Literal["earliest", "latest"] = key(
        "earliest", "Where a group without an offset begins."
    )

    @field_validator("topics")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(value):
            raise mistake("no topic is named", "write at least one")
        return value

    def settings(self) -> dict[str, Any]:
        """Return what a consumer is made with. Raise OSError as `client_settings` does."""
        instance = {"group.instance.id": self.group_instance_id} if self.group_instance_id else {}
        return {
            **self.client_settings(),
            "group.id": self.group_id,
            "auto.offset.reset": self.initial_offset,
            "session.timeout.ms": round(self.session_timeout_s * 1000),
            "heartbeat.interval.ms": round(self.heartbeat_interval_s * 1000),
            **instance,
        }

    @model_validator(mode="after")
    def _shows_itself_in_time(self) -> "Kafka":
        if self.heartbeat_interval_s * 2 > self.session_timeout_s:
            raise mistake(
                "heartbeat_interval is over half of session_timeout", "raise session_timeout"
            )
        return self


class CloudWatch(SourceBlock):
    """The audit streams of an EKS cluster in CloudWatch Logs; credentials as the SDK finds them."""

    type: ClassVar[str] = "aws_cloudwatch"

    log_group: str = Field(description="The log group: /aws/eks/CLUSTER/cluster.")
    stream_prefix: str = key("kube-apiserver-audit", "How the names of its streams begin.")
    region: str | None = key(None, "The region; that of the environment by default.")
    endpoint_url: HttpUrl | None = key(None, "Another address of the service.")
    poll_interval_s: PositiveSeconds = key("5s", "How often each stream is asked for more.")
    start_age_s: Seconds = key("24h", "How far back streams are read at the first start.")


Source: TypeAlias = AuditWebhook | Kafka | CloudWatch


def log_id(receiver_id: str, cluster: str) -> str:
    """Return the id of the file receiver that reads the spool of one cluster."""
    return f"{receiver_id}[{cluster}]" if cluster else receiver_id


def spools_of(state_dir: str) -> Path:
    return Path(state_dir) / "spool"


def spool_directory(state_dir: str, receiver_id: str, cluster: str) -> Path:
    """Return where the events of one cluster are put; no sign of a glob is in it."""
    return spools_of(state_dir) / quote(receiver_id, safe="") / (cluster or "all")


def logs_of(receiver_id: str, source: Source, state_dir: str) -> Iterator[tuple[str, K8sAudit]]:
    """Yield the file receivers that read what *source* has written, by id."""
    for cluster, resource in source.clusters_served().items():
        directory = spool_directory(state_dir, receiver_id, cluster)
        block = K8sAudit(
            include=(str(directory / "audit.log"),),
            resource={**source.resource, **resource},
            attributes=source.attributes,
            include_file_path=False,  # of a spool: nobody looks there
        )
        silence = {"silence_after_s": source.silence_after_s}
        yield log_id(receiver_id, cluster), block.model_copy(update=silence)
