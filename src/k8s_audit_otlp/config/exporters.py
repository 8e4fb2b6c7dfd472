"""The exporters' blocks: `otlp_http`, `otlp_grpc`, `otlp_file`, `kafka`, `sdk`. Values only.

Keys and defaults are the Collector's (exporter/otlphttpexporter, exporter/otlpexporter,
fileexporter, kafkaexporter) except where a description says otherwise.
"""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from k8s_audit_otlp.config.addresses import BaseUrl, GrpcTarget, HttpUrl, with_path
from k8s_audit_otlp.config.audit import Audit
from k8s_audit_otlp.config.blocks import (
    Auth,
    CompressionParams,
    ConfigBlock,
    RetryBlock,
    SendingQueue,
    Tls,
    key,
)
from k8s_audit_otlp.config.kafka import KafkaBlock, Topic
from k8s_audit_otlp.config.secret import Secret
from k8s_audit_otlp.config.types import (
    Bytes,
    Headers,
    Metadata,
    PositiveSeconds,
    Seconds,
    known_value,
    mistake,
)
from k8s_audit_otlp.otlp.limits import Limits


def _empty_is_none(value: object) -> object:
    return "none" if value == "" else value


# an empty text is no compression: config/configcompression
_HttpCompression = Annotated[Literal["gzip", "zstd", "none"], BeforeValidator(_empty_is_none)]
_GrpcCompression = Annotated[Literal["gzip", "none"], BeforeValidator(_empty_is_none)]


_KEY_AND_FRAME = 512  # bytes of a message beside the request


class _Exporter(ConfigBlock):
    retry_on_failure: RetryBlock = key({}, "How a failed request is repeated.")
    sending_queue: SendingQueue = key({}, "How many requests are in flight and how large.")
    audit: Audit = key({}, "What to send of the audit log, and in which form.")

    @property
    def limits(self) -> Limits:
        return self.audit.limits.limits


class OtlpHttp(_Exporter):
    """OTLP over HTTP, binary protobuf."""

    type: ClassVar[str] = "otlp_http"

    endpoint: BaseUrl | None = key(None, "Base URL; /v1/logs is appended.")
    logs_endpoint: HttpUrl | None = key(None, "Full URL, used as it is; wins over endpoint.")
    headers: Headers = key({}, "Headers of every request, as a map or a list of {name, value}.")
    compression: _HttpCompression = key("gzip", "Compression of the requests.")
    compression_params: CompressionParams = key({}, "How hard to compress.")
    timeout_s: PositiveSeconds = key("30s", "Longest time for a whole request.")
    encoding: Literal["proto"] = key("proto", "Encoding of the requests; only proto.")
    proxy_url: HttpUrl | None = key(
        None, "Proxy; HTTP_PROXY, HTTPS_PROXY and NO_PROXY apply without it."
    )
    tls: Tls = key({}, "How the connection is secured.")
    auth: Auth | None = key(None, "Extension that adds credentials.")
    accept_any_answer: bool = key(
        False, "Take every 2xx for an acknowledgement; else a body must be OTLP's, or empty."
    )

    @model_validator(mode="after")
    def _goes_somewhere(self) -> "OtlpHttp":
        if self.endpoint is None and self.logs_endpoint is None:
            raise mistake("endpoint is missing", "write endpoint: http://HOST:4318")
        return self

    @model_validator(mode="after")
    def _level_exists(self) -> "OtlpHttp":
        level = self.compression_params.level
        lowest, highest = (1, 22) if self.compression == "zstd" else (-2, 9)
        if level is not None and not lowest <= level <= highest:
            raise mistake(
                f"compression_params::level {level} is unknown to {self.compression}",
                f"write {lowest} to {highest}",
            )
        return self

    @property
    def url(self) -> Secret:
        """Return where requests go; its text and repr are safe to print."""
        if self.logs_endpoint is not None:
            return self.logs_endpoint
        assert self.endpoint is not None  # noqa: S101 - _goes_somewhere has seen to it
        return with_path(self.endpoint, "v1/logs")


class Keepalive(ConfigBlock):
    """Pings that keep an idle gRPC connection alive."""

    time_s: Seconds = key("10s", "Idle time before a ping.")
    timeout_s: PositiveSeconds = key("20s", "Wait for the answer to a ping.")
    permit_without_stream: bool = key(False, "Ping when no request is in flight as well.")


class OtlpGrpc(_Exporter):
    """OTLP over gRPC."""

    type: ClassVar[str] = "otlp_grpc"

    endpoint: GrpcTarget = Field(description="host:port; http:// and https:// decide about TLS.")
    headers: Metadata = key({}, "Metadata of every request, as a map or a list of {name, value}.")
    compression: _GrpcCompression = key("gzip", "Compression of the requests.")
    timeout_s: PositiveSeconds = key(
        "5s", "Deadline of a request; a second more for each MB to pack."
    )
    tls: Tls = key({}, "How the connection is secured.")
    auth: Auth | None = key(None, "Extension that adds credentials.")
    keepalive: Keepalive | None = key(None, "Pings on an idle connection; none by default.")
    authority: str | None = key(None, "Value of the :authority header.")
    user_agent: str | None = key(None, "Put before the agent's own user agent.")

    @property
    def insecure(self) -> bool:
        """Return whether to send in the clear: the scheme decides, else `tls.insecure`."""
        target = (known_value(self.endpoint) or "").lower()
        if target.startswith("https://"):
            return False
        return target.startswith(("http://", "unix:")) or self.tls.insecure


class Rotation(ConfigBlock):
    """When a file is put aside."""

    max_megabytes: int = key(100, "Size at which the file is put aside.", ge=1)
    max_backups: int = key(100, "Files to keep beside the current one; 0 keeps all.", ge=0)

    @property
    def max_bytes(self) -> int:
        return self.max_megabytes << 20


class OtlpFile(_Exporter):
    """OTLP JSON lines in a file, as the Collector's OTLP JSON file receiver reads them."""

    type: ClassVar[str] = "otlp_file"

    path: str = Field(description="File to write; - is the standard output.")
    rotation: Rotation | None = key(None, "When the file is put aside; never by default.")
    format: Literal["json"] = key("json", "Form of the lines; only json.")
    create_directory: bool = key(False, "Create the directory of the file.")

    max_line_bytes: Bytes = key(
        "1MiB",
        "Longest line, as max_log_size of the Collector's receiver that reads the file: it loses"
        " what is longer. A record over it is shrunk; 0 sets no bound.",
    )


class Producer(ConfigBlock):
    """How messages are written (contrib's internal/kafka/configkafka)."""

    max_message_bytes: int = key(
        1_000_000, "Longest message, before compression; as the topic's max.message.bytes.", ge=1024
    )
    required_acks: Literal["all", "-1"] = key("all", "Who acknowledges; only all replicas.")
    compression: Literal["gzip", "snappy", "lz4", "zstd", "none"] = key(
        "gzip", "Compression of the messages; Event Hubs takes gzip only."
    )
    compression_params: CompressionParams = key({}, "How hard to compress.")
    linger_s: Seconds = key("10ms", "How long raw messages wait for others to travel with.")


class KafkaExporter(_Exporter, KafkaBlock):
    """Messages of a Kafka topic, or of Event Hubs, keyed by the segment of the log."""

    type: ClassVar[str] = "kafka"

    topic: str | None = key(None, "The topic; otlp_logs by default.")
    encoding: Literal["otlp_proto", "otlp_json", "raw"] | None = key(
        None, "What a message holds: a request, or raw: one event; otlp_proto by default."
    )
    logs: Topic = key({}, "Topic and encoding, as newer Collectors write them.")
    timeout_s: PositiveSeconds = key("30s", "Longest wait until a message is acknowledged.")
    producer: Producer = key({}, "How messages are written.")

    @model_validator(mode="after")
    def _said_once(self) -> "KafkaExporter":
        for name in ("topic", "encoding"):
            here, there = getattr(self, name), getattr(self.logs, name)
            if here is not None and there is not None and here != there:
                raise mistake(f"{name} and logs::{name} differ", "keep one of them")
        return self

    def settings(self) -> dict[str, Any]:
        """Return what a producer is made with. Raise OSError as `client_settings` does."""
        level = self.producer.compression_params.level
        return {
            **self.client_settings(),
            "compression.type": self.producer.compression,
            "linger.ms": round(self.producer.linger_s * 1000),
            **({} if level is None else {"compression.level": level}),
        }

    @property
    def to_topic(self) -> str:
        return self.topic or self.logs.topic or "otlp_logs"

    @property
    def form(self) -> Literal["otlp_proto", "otlp_json", "raw"]:
        return self.encoding or self.logs.encoding or "otlp_proto"

    @property
    def limits(self) -> Limits:
        limits = self.audit.limits.limits
        most = self.producer.max_message_bytes - _KEY_AND_FRAME
        return replace(limits, request_bytes=limits.request_size(most))


class Sdk(_Exporter):
    """Any exporter that is registered as `opentelemetry_logs_exporter`."""

    type: ClassVar[str] = "sdk"

    exporter: str = Field(description="Name of the entry point: console, otlp_proto_http, ...")
    timeout_s: PositiveSeconds = key("30s", "Longest time for one export.")


Exporter: TypeAlias = OtlpHttp | OtlpGrpc | OtlpFile | KafkaExporter | Sdk
