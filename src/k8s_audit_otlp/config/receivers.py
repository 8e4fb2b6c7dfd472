"""The receiver's block: `k8s_audit`. Values only."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from k8s_audit_otlp.config.blocks import ConfigBlock, key
from k8s_audit_otlp.config.types import (
    Bytes,
    PositiveSeconds,
    Scalar,
    Seconds,
    StartAtValue,
    Texts,
    mistake,
    whole_path,
)

LEAST_LINE_BYTES = 64 * 1024  # an event without bodies, long user agent and groups included


class K8sAudit(ConfigBlock):
    """The audit log of a kube-apiserver: a file and its rotated backups, compressed or not."""

    type: ClassVar[str] = "k8s_audit"

    include: Texts = Field(
        description="Paths or globs of the live logs; backups that match fold into their log."
    )
    format: Literal[
        "auto",
        "audit",
        "cri",
        "docker",
        "journald",
        "cloudwatch",
        "azure",
        "firehose",
        "rancher",
        "gke",
        "member",
        "text",
    ] = key(
        "auto",
        "What has framed the lines; auto tells it by each line, audit is nothing.",
    )
    start_at: StartAtValue = key(
        "beginning",
        "Where an exporter without a position begins: beginning, end, an age, or a time.",
    )
    resource: dict[str, Scalar] = key(
        {}, "Resource attributes: k8s.cluster.name, k8s.node.name, service.name, ..."
    )
    attributes: dict[str, Scalar] = key({}, "Static tags; they go to the resource as well.")
    include_file_path: bool = key(
        True,
        "Records say log.file.path beside log.file.name (file_log's key, on here): logs of one node"
        " that are called alike are told apart.",
    )
    poll_interval_s: PositiveSeconds = key(
        "1s", "Look for growth at least so often; inotify wakes earlier."
    )
    max_line_bytes: Bytes = key(
        "64MiB", "A longer line becomes a record without its bodies, never a cut one."
    )
    hold_max_bytes: Bytes = key(
        "1GiB", "Bytes of deleted backups to keep open until they are delivered."
    )
    min_free_disk_bytes: Bytes = key(
        "1GiB",
        "Below this much free disk deleted backups are let go: the apiserver needs the space.",
        alias="min_free_disk",
    )
    rescue_dir: str | None = key(None, "Copy what would be let go to this directory first.")
    rescue_max_bytes: Bytes = key("1GiB", "Size of the rescue directory.")
    silence_after_s: Seconds = key(
        "0s", "Send a notice when nothing was written for so long; 0 is off."
    )

    @field_validator("include")
    @classmethod
    def _not_empty(cls, include: tuple[str, ...]) -> tuple[str, ...]:
        if not include or not all(include):
            raise mistake("no path is given", "write include: [/var/log/kubernetes/audit.log]")
        return tuple(whole_path(one, "/var/log/kubernetes/audit.log") for one in include)

    @field_validator("max_line_bytes")
    @classmethod
    def _holds_an_event(cls, value: int) -> int:
        if value < LEAST_LINE_BYTES:
            raise mistake(f"{value} bytes are too few for an event", "write 64KiB or more")
        return value
