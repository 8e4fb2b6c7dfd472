"""The blocks that exporters and extensions share, in the Collector's words. Values only.

Names of durations carry the unit (`timeout_s`); the key in the file does not (`timeout`).
Every key has a description and a default: the schema and the reference are made from them.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from k8s_audit_otlp.config.types import Bytes, PositiveSeconds, Seconds, SecretText, mistake

# Loki, Datadog, New Relic and AWS refuse more than about 1 MB uncompressed; 900 KB passes all.
MAX_REQUEST_BYTES = 900_000


# YAML reads an unquoted 1.2 as a number
TlsVersion = Annotated[
    Literal["1.2", "1.3"],
    BeforeValidator(str),
    WithJsonSchema({"enum": ["1.2", "1.3", 1.2, 1.3]}),
]


def key(default: Any, description: str, *, alias: str | None = None, **constraint: Any) -> Any:
    """Declare a key: its default as a user would write it, and one line about it."""
    return Field(
        default=default, description=description, alias=alias, validate_default=True, **constraint
    )


class ConfigBlock(BaseModel):
    """A mapping of the file. Unknown keys are mistakes; a key without a value is its default."""

    model_config = ConfigDict(
        defer_build=True,
        coerce_numbers_to_str=True,
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for name, field in cls.model_fields.items():
            if name.endswith("_s"):
                short = name.removesuffix("_s")
                field.alias = field.validation_alias = field.serialization_alias = short

    @model_validator(mode="before")
    @classmethod
    def _leave_out_nulls(cls, data: Any) -> Any:
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            return data
        keys = {field.alias or name for name, field in cls.model_fields.items()}
        return {k: v for k, v in data.items() if v is not None or k not in keys}


def values_in(
    value: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Yield every block and every plain value below *path*, with where it stands."""
    if isinstance(value, BaseModel):
        yield path, value
        for name, field in type(value).model_fields.items():
            yield from values_in(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for name, member in value.items():
            yield from values_in(member, (*path, str(name)))
    else:
        yield path, value


class Tls(ConfigBlock):
    """How the connection is secured (config/configtls)."""

    insecure: bool = key(False, "Send in the clear (gRPC; for HTTP the scheme decides).")
    insecure_skip_verify: bool = key(False, "Do not check the server's certificate.")
    ca_file: str | None = key(None, "File with the authorities to trust; re-read when it changes.")
    ca_pem: SecretText | None = key(None, "The authorities to trust, as PEM text.")
    cert_file: str | None = key(None, "Client certificate; re-read when it changes.")
    cert_pem: SecretText | None = key(None, "Client certificate as PEM text.")
    key_file: str | None = key(None, "Key of the client certificate; re-read when it changes.")
    key_pem: SecretText | None = key(None, "Key of the client certificate as PEM text.")
    min_version: TlsVersion = key("1.2", "Oldest TLS version to accept.")
    include_system_ca_certs_pool: bool = key(False, "Trust the system's authorities as well.")
    server_name_override: str | None = key(None, "Name to expect in the server's certificate.")

    @model_validator(mode="after")
    def _fits_together(self) -> "Tls":
        for name in ("ca", "cert", "key"):
            if getattr(self, f"{name}_file") and getattr(self, f"{name}_pem"):
                raise mistake(f"{name}_file and {name}_pem are both set", "keep one of them")
        has_cert = bool(self.cert_file or self.cert_pem)
        if has_cert != bool(self.key_file or self.key_pem):
            there, missing = ("cert", "key") if has_cert else ("key", "cert")
            raise mistake(f"{there} is set without {missing}", f"add {missing}_file")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """Return every file that is read for it, those that its texts stand in included."""
        named = (self.ca_file, self.cert_file, self.key_file)
        texts = (self.ca_pem, self.cert_pem, self.key_pem)
        return (*filter(None, named), *(file for text in texts if text for file in text.files))

    @property
    def has_own_ca(self) -> bool:
        return bool(self.ca_file or self.ca_pem)


class RetryBlock(ConfigBlock):
    """How a failed request is repeated (config/configretry). It is repeated for ever by default."""

    initial_interval_s: PositiveSeconds = key("5s", "Wait before the first repeat.")
    max_interval_s: PositiveSeconds = key("30s", "Longest wait between repeats.")
    multiplier: float = key(1.5, "Growth of the wait from one repeat to the next.", ge=1)
    randomization_factor: float = key(0.5, "Share of the wait that is random.", ge=0, le=1)
    max_elapsed_time_s: Seconds = key(
        "0s", "After so long a request goes to the dead letter; 0 repeats for ever."
    )


class SendingBatch(ConfigBlock):
    """How many records one request carries."""

    flush_timeout_s: Seconds = key("200ms", "Longest wait for more records.")
    sizer: Literal["items", "bytes"] | None = key(
        None, "What min_size and max_size count: items (records) or bytes; items by default."
    )
    min_size: int = key(0, "Send as soon as so much is there; 0 sends what there is.", ge=0)
    max_size: int = key(0, "Never send more than this in one request; 0 is no such limit.", ge=0)

    @model_validator(mode="after")
    def _min_below_max(self) -> "SendingBatch":
        if 0 < self.max_size < self.min_size:
            raise mistake(
                f"max_size {self.max_size} is below min_size {self.min_size}", "raise max_size"
            )
        return self

    @property
    def max_records(self) -> int | None:
        return self.max_size or None if self.sizer != "bytes" else None

    @property
    def max_bytes(self) -> int:
        """Return the uncompressed limit of a request, which always has one."""
        return self.max_size if self.sizer == "bytes" and self.max_size else MAX_REQUEST_BYTES

    @property
    def min_records(self) -> int:
        return self.min_size if self.sizer != "bytes" else 0

    @property
    def min_bytes(self) -> int:
        return self.min_size if self.sizer == "bytes" else 0


class SendingQueue(ConfigBlock):
    """How an exporter sends. The queue itself is the audit log on disk."""

    num_consumers: int = key(4, "Requests in flight at most.", ge=1, le=256)
    sizer: Literal["requests", "items", "bytes"] | None = key(
        None, "Counts for batch where batch has no sizer of its own."
    )
    batch: SendingBatch = key({}, "How many records one request carries.")

    @model_validator(mode="before")
    @classmethod
    def _sizer_goes_down(cls, data: Any) -> Any:
        """Let batch inherit the sizer, as exporterhelper does."""
        if not isinstance(data, Mapping) or data.get("sizer") not in {"items", "bytes"}:
            return data
        batch = data.get("batch")
        if isinstance(batch, Mapping) and batch.get("sizer") is None:
            return {**data, "batch": {**batch, "sizer": data["sizer"]}}
        return data


class Auth(ConfigBlock):
    """What authenticates the requests."""

    authenticator: str = Field(description="Id of an extension: bearertokenauth, basicauth, ...")


class CompressionParams(ConfigBlock):
    """How hard to compress."""

    level: int | None = key(
        None, "gzip 1 (fast) to 9 (small), zstd 1 to 22; the fastest sensible by default."
    )


class DeadLetterBlock(ConfigBlock):
    """Where a record goes that a back end will never take."""

    max_bytes: Bytes = key("1GiB", "Size of the dead letter file.", ge=0)
    on_full: Literal["stall", "evict"] = key(
        "stall", "When it is full: stop this exporter, or let the oldest records go (noticed)."
    )
