"""The `audit` block: everything of an exporter that a Collector does not know. Values only."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from k8s_audit_otlp.config.blocks import ConfigBlock, DeadLetterBlock, key
from k8s_audit_otlp.config.mistakes import suggest
from k8s_audit_otlp.config.redaction import Redaction
from k8s_audit_otlp.config.types import Bytes, Seconds, StartAtValue, Texts, mistake
from k8s_audit_otlp.config.vendors.preset import ROUTES, VENDORS
from k8s_audit_otlp.otlp.limits import AttributeLimits, Limits
from k8s_audit_otlp.otlp.mapping import ANNOTATIONS, USER_EXTRA


def _known_vendor(name: str) -> str:
    if name in VENDORS:
        return name
    if name in ROUTES:
        hint = f"see k8s-audit-otlp vendors show {name}"
        raise mistake(f"{name} is reached through a Collector", hint)
    raise mistake(f"there is no preset {name}", suggest(name, VENDORS))


VendorName = Annotated[
    str,
    AfterValidator(_known_vendor),
    WithJsonSchema({"type": "string", "enum": list(VENDORS)}),
]

LEAST_ATTRIBUTES = 64  # every row of the mapping has room; fewer would cut who, what or when
LEAST_ATTRIBUTES_BYTES = 48 << 10  # 1 KiB and a name for each row that says who, what or how
LEAST_RECORD_BYTES = 4096  # below this shrinking would have to cut who, what or when


class LimitsBlock(ConfigBlock):
    """What the back end takes at most; a vendor's preset fills it in."""

    max_request_bytes: Bytes | None = key(
        None, "Uncompressed bytes of a request, whatever sending_queue says."
    )
    max_request_records: int | None = key(
        None, "Records of a request, whatever sending_queue says.", ge=1
    )
    max_time_span_s: Seconds = key(
        "0s", "Longest time between the events of one request; 0 is no limit."
    )
    max_age_s: Seconds = key("0s", "Age of the oldest event that is taken; 0 is no limit.")
    max_ahead_s: Seconds = key(
        "0s", "How far ahead of now an event may be that is taken; 0 is no limit."
    )
    max_attributes: int | None = key(
        None, "Attributes of a record; annotations are left out first.", ge=LEAST_ATTRIBUTES
    )
    max_attribute_name_bytes: Bytes | None = key(None, "Length of an attribute's name.", ge=64)
    max_attribute_bytes: Bytes | None = key(None, "Length of an attribute's text.", ge=64)
    max_attributes_bytes: Bytes | None = key(
        None,
        "Names and values of a record's attributes in sum, lists as JSON; what clients choose is"
        " cut first, the longest before all else.",
        ge=LEAST_ATTRIBUTES_BYTES,
    )
    max_list_items: int | None = key(None, "Items of a list in an attribute.", ge=1)
    lists: Literal["keep", "json"] = key("keep", "Lists as they are, or as JSON text.")
    names: Literal["dotted", "flat"] = key(
        "dotted", "Attribute names as they are, or with _ in place of dots."
    )
    reserved_names: Texts = key(
        (), "Attribute names that mean something else to the back end; they get the prefix."
    )

    @property
    def limits(self) -> Limits:
        return Limits(
            AttributeLimits(
                self.max_attributes or 0,
                self.max_attribute_name_bytes or 0,
                self.max_attribute_bytes or 0,
                self.max_list_items or 0,
                self.max_attributes_bytes or 0,
                self.lists == "json",
                self.names == "flat",
                frozenset(self.reserved_names),
            ),
            self.max_request_bytes or 0,
            self.max_request_records or 0,
            self.max_time_span_s,
            self.max_age_s,
            self.max_ahead_s,
        )


class Audit(ConfigBlock):
    """What this exporter sends of the audit log, and in which form."""

    enabled: bool = key(
        True, "false disables the exporter: its position is kept, and no file is kept for it."
    )
    vendor: VendorName | None = key(None, "Preset with the limits and the form of one back end.")
    receivers: Texts | None = key(None, "Ids of the receivers to send; all by default.")
    policy: str | None = key(
        None,
        "File with an audit.k8s.io/v1 Policy that takes events away, or the name of a policy that"
        " comes with the package.",
    )
    redaction: Redaction = key({}, "Which secrets are replaced before anything leaves.")
    bodies: Literal["keep", "drop", "raw"] = key(
        "keep", "Request and response bodies: keep (redacted), drop, or raw (needs unsafe)."
    )
    unsafe: bool = key(False, "Allow what can let secrets out: bodies: raw.")
    profile: Literal["default", "plain", "semconv"] = key(
        "default", "Names of the attributes: plain (verb), semconv (k8s.audit.verb) or both."
    )
    attribute_prefix: str = key("k8s.audit.", "Prefix of the attributes that are not plain.")
    annotations: Texts = key(
        ANNOTATIONS, "Annotations that become attributes; start* names all that start so."
    )
    user_extra: Texts = key(
        USER_EXTRA, "Entries of user.extra that become attributes; others may be personal."
    )
    start_at: StartAtValue | None = key(
        None, "Where to begin without a position; the receiver's start_at by default."
    )
    max_record_bytes: Bytes | None = key(
        None, "Shrink events so that the encoded record stays below this; no limit by default."
    )
    notices: Literal["own", "all"] = key(
        "all", "Notices to send: about this exporter only, or about every one."
    )
    hour_attribute: str = key(
        "",
        "Resource attribute that names the hour (UTC) of the events, behind the value it has: for"
        " a back end that orders a stream by time, so that none is behind another.",
    )
    partial_success: Literal["dead_letter", "bisect"] = key(
        "dead_letter",
        "Some records of a request were refused: note it, or find them.",
    )
    retry_status_codes: tuple[Annotated[int, Field(ge=400, le=599)], ...] = key(
        (), "HTTP codes to repeat beside 408, 429 and 5xx, whatever they mean here."
    )
    on_too_old: Literal["send", "dead_letter"] = key(
        "send", "What to do with events older, or further ahead, than the back end takes."
    )
    limits: LimitsBlock = key({}, "What the back end takes at most.")
    dead_letter: DeadLetterBlock = key({}, "Where records go that the back end will never take.")

    @field_validator("max_record_bytes")
    @classmethod
    def _holds_who_what_when(cls, value: int | None) -> int | None:
        if value is not None and value < LEAST_RECORD_BYTES:
            raise mistake(f"{value} bytes cannot hold who, what and when", "write 4KiB or more")
        return value

    @model_validator(mode="after")
    def _raw_is_meant(self) -> "Audit":
        if self.bodies == "raw" and not self.unsafe:
            raise mistake(
                "bodies: raw lets Secrets and tokens out",
                "write bodies: keep, or add unsafe: true if that is meant",
            )
        return self
