"""The values that flow from station to station. No I/O, no clock, no behaviour.

    Block (bytes of a segment) -> AuditEvent -> EncodedBlock (LogRecord bytes)
    -> Batch (one request) -> Outcome (what the back end said)

Offsets are half-open, count *decompressed* bytes, and `end` is the next byte to read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import msgspec

EMPTY = msgspec.Raw(b"")

_WIRE_NAMES = {
    "api_version": "apiVersion",
    "api_group": "apiGroup",
    "resource_version": "resourceVersion",
    "audit_id": "auditID",
    "request_uri": "requestURI",
    "source_ips": "sourceIPs",
    "user_agent": "userAgent",
    "impersonated_user": "impersonatedUser",
    "authentication_metadata": "authenticationMetadata",
    "impersonation_constraint": "impersonationConstraint",
    "object_ref": "objectRef",
    "response_status": "responseStatus",
    "request_object": "requestObject",
    "response_object": "responseObject",
    "request_received_timestamp": "requestReceivedTimestamp",
    "stage_timestamp": "stageTimestamp",
    "creation_timestamp": "creationTimestamp",
}


def _wire_name(name: str) -> str:
    return _WIRE_NAMES.get(name, name)


class UserInfo(msgspec.Struct, gc=False, rename=_wire_name):
    """Who asked. Empty for a failed authentication (401)."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] | None = ()
    extra: dict[str, tuple[str, ...]] | None = None


class ObjectRef(msgspec.Struct, gc=False, rename=_wire_name):
    """What was asked for. Absent for non-resource requests."""

    resource: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    api_group: str = ""
    api_version: str = ""
    resource_version: str = ""
    subresource: str = ""


class Status(msgspec.Struct, gc=False, rename=_wire_name):
    """How it ended. `code` 0 means that the event carries none."""

    status: str = ""
    reason: str = ""
    message: str = ""
    code: int = 0


class StatusCause(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: list[StatusCause] | None = None
    retry_after_seconds: int = 0


class KnownStatus(Status, gc=False, forbid_unknown_fields=True):
    """One that has no member beside those of the API, and nothing in `metadata`."""

    metadata: dict[Literal[""], str] | None = None
    details: StatusDetails | None = None


class AuthenticationMetadata(msgspec.Struct, gc=False, rename=_wire_name):
    impersonation_constraint: str = ""


class LegacyMetadata(msgspec.Struct, gc=False, rename=_wire_name):
    """`metadata` of pre-1.24 events; only its time is of use."""

    creation_timestamp: str | None = None


class AuditEvent(msgspec.Struct, gc=False, rename=_wire_name):
    """One audit.k8s.io event, typed; the two bodies stay the bytes that the apiserver wrote.

    Source: k8s.io/apiserver pkg/apis/audit/v1/types.go. Clients choose much of it (audit id,
    addresses, agent, names): nothing may rely on a shape, a length or uniqueness.
    """

    kind: str = ""
    api_version: str = ""
    level: str = ""
    audit_id: str = ""
    stage: str = ""
    request_uri: str = ""
    verb: str = ""
    user: UserInfo | None = None
    impersonated_user: UserInfo | None = None
    authentication_metadata: AuthenticationMetadata | None = None
    source_ips: tuple[str, ...] | None = ()
    user_agent: str = ""
    object_ref: ObjectRef | None = None
    response_status: Status | None = None
    request_object: msgspec.Raw = EMPTY
    response_object: msgspec.Raw = EMPTY
    request_received_timestamp: str | None = None
    stage_timestamp: str | None = None
    annotations: dict[str, str] | None = None
    timestamp: str | None = None
    metadata: LegacyMetadata | None = None


class LogKey(NamedTuple):
    """Which log: one path that one receiver reads.

    `str` is its form on disk, `<receiver>:<path>`. A receiver's name may hold a colon: it is
    written as `%3A` there, so that `parse` finds where the path begins.
    """

    receiver: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "LogKey":
        receiver, _, path = text.partition(":")
        return cls(receiver.replace("%3A", ":").replace("%25", "%"), path)

    def __str__(self) -> str:
        return f"{self.receiver.replace('%', '%25').replace(':', '%3A')}:{self.path}"


class Span(NamedTuple):
    """A half-open range of one segment's decompressed bytes."""

    segment: int  # the manifest's sequence number
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one segment; only the segment's very last line may lack its newline."""

    span: Span
    identity: str  # of the segment; with the offset of a line it makes log.record.uid
    file_name: str  # the name the segment had when it was read
    data: bytes = field(repr=False)
    observed_ns: int  # when it was read, nanoseconds since the epoch
    file_path: str = ""  # where that file is, if records are to say it


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """The LogRecords of a block.

    `records[i]` is a whole `ScopeLogs.log_records` field (tag, length, message); `ends[i]` is the
    offset after the line that it came from. `dropped` names the rule for each event that the
    exporter's policy took away, with the offset after its line. Both are in file order.
    """

    span: Span
    records: Sequence[bytes] = field(repr=False)
    ends: Sequence[int]
    dropped: Sequence[tuple[int, str]] = ()
    lines: int = 0
    first_ns: int = 0  # time of the first and the last event, 0 where there is none
    last_ns: int = 0
    redacted: Mapping[str, int] = field(default_factory=dict)  # events changed, by rule
    digests: bytes = b""  # the entry of each record (`state.content_hash`), or none at all


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What one request carries: records that lie next to each other in one segment."""

    receiver: str
    span: Span
    records: Sequence[bytes] = field(repr=False)
    dropped: dict[str, int] = field(default_factory=dict)  # events taken by policy, per rule
    lines: int = 0
    first_ns: int = 0
    last_ns: int = 0
    mark: str = ""  # names the bytes of the log before the span's end, where they are known
    digests: bytes = b""  # of each record, or none at all


# What a back end may answer. A broken promise is an exception; an answer is one of these.


class Delivered(NamedTuple):
    """Accepted; `rejected` > 0 is a partial success: so many were refused, nobody says which."""

    rejected: int = 0
    message: str = ""


class Retry(NamedTuple):
    """Not now.

    `after_s` is what the server asked for, in seconds; `reached` says that it took the request, so
    that the fault may lie in what was sent.
    """

    why: str
    after_s: float | None = None
    reached: bool = True


class TooLarge(NamedTuple):
    """The request is over the back end's limit: split it."""

    why: str


class Rejected(NamedTuple):
    """Something in the request is bad (400): split it to find what."""

    why: str


class Misconfigured(NamedTuple):
    """Nothing would pass (wrong key, wrong path, a redirect): keep the data and say so."""

    why: str


Failure: TypeAlias = Retry | TooLarge | Rejected | Misconfigured
Outcome: TypeAlias = Delivered | Failure
