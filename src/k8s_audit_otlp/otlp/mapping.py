"""The mapping: which attribute comes from where, as one table.

The encoder turns the rows into bytes, and the page of attributes is written from them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal, TypeAlias

from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.attribute_encoders import (
    ENCODERS,
    AttributeEncoder,
    MapAttributes,
    TextAttribute,
    TextAttributes,
)
from k8s_audit_otlp.otlp.limits import AttributeLimiter, AttributeLimits
from k8s_audit_otlp.otlp.parts import MAX_AUDIT_ID, MAX_LIST, MAX_NOTE, MAX_NOTES

EVENT_NAME = "k8s.audit.event"

# Others stay in the body: webhooks make the space of keys unbounded.
ANNOTATIONS = (
    "apiserver.k8s.io/*",
    "apiserver.latency.k8s.io/*",
    "authentication.*",
    "failed-open.*",
    "k8s.io/*",
    "pod-security.kubernetes.io/*",
    "validation.policy.admission.k8s.io/*",
)
# Others may be personal: claims of an identity provider, ARNs.
USER_EXTRA = tuple(
    f"authentication.kubernetes.io/{name}"
    for name in ("pod-name", "pod-uid", "node-name", "node-uid", "credential-id")
)

Profile: TypeAlias = Literal["default", "plain", "semconv"]


@dataclass(frozen=True, slots=True)
class MappingOptions:
    """What an exporter may choose."""

    profile: Profile = "default"
    prefix: str = "k8s.audit."
    annotations: tuple[str, ...] = ANNOTATIONS
    user_extra: tuple[str, ...] = USER_EXTRA
    limits: AttributeLimits = field(default_factory=AttributeLimits)


@dataclass(frozen=True, slots=True)
class Row:
    """One rule: an attribute, or with `<key>` one for each entry of a map.

    `{p}` in a key is the configured prefix. A row without a profile belongs to all of them.
    An attribute is left out where its value is missing, empty or false.
    """

    key: str
    profile: str
    type: str
    value: str  # a part, or a member of it
    source: str
    note: str = ""

    @property
    def part(self) -> str:
        return self.value.partition(".")[0]

    def key_with(self, prefix: str) -> str:
        return self.key.replace("{p}", prefix)

    def read(self) -> Callable[[Any], Any]:
        member = self.value.partition(".")[2]
        return attrgetter(member) if member else _itself


def _itself(value: Any) -> Any:
    return value


P, S, ALL = "plain", "semconv", ""
CLIENT = "the client may say anything here unless it is the only address"

# fmt: off
TABLE: tuple[Row, ...] = (
    Row("kind", P, "string", "request.kind", "kind", "`Event` for items of a list"),
    Row("level", P, "string", "request.level", "level"),
    Row("stage", P, "string", "request.stage", "stage"),
    Row("verb", P, "string", "request.verb", "verb"),
    Row("auditID", P, "string", "audit_id", "auditID"),
    Row("username", P, "string", "user.username", "user.username"),
    Row("responseCode", P, "int", "request.any_code", "responseStatus.code"),
    Row("status", P, "string", "request.status", "responseStatus.code",
        "`OK` for 200, else `FAIL`, also for 101, 201, 304 and no code; always there"),
    Row("sourceIP_0", P, "string", "client.first", "sourceIPs[0]", CLIENT),
    Row("namespace", P, "string", "object.namespace", "objectRef.namespace"),
    Row("node", P, "string", "name", "objectRef.name", "of any object, not only of nodes"),

    Row("{p}level", S, "string", "request.level", "level"),
    Row("{p}stage", S, "string", "request.stage", "stage"),
    Row("{p}verb", S, "string", "request.verb", "verb"),
    Row("{p}id", S, "string", "audit_id", "auditID",
        f"the first {MAX_AUDIT_ID} characters; clients may choose it"),
    Row("{p}outcome", S, "string", "request.verdict.outcome", "stage, responseStatus",
        "`success`, `failure` or `unknown`; always there"),
    Row("http.response.status_code", S, "int", "request.http_code", "responseStatus.code"),
    Row("error.type", S, "string", "request.verdict.error_type", "responseStatus.reason",
        "on failure; without a reason the code, for a panic `panic`"),
    Row("http.request.method", S, "string", "request.method", "verb",
        "only for requests that name no resource; `_OTHER` for an unknown method"),
    Row("{p}long_running", S, "bool", "request.long_running", "verb, objectRef.subresource",
        "watch, proxy, exec, attach, port-forward, log: leave them out of latencies"),
    Row("user.name", S, "string", "user.username", "user.username"),
    Row("user.id", S, "string", "user.uid", "user.uid"),
    Row("{p}user.type", S, "string", "user.type", "user.username",
        "`serviceaccount`, `node`, `anonymous`, `system`, `user` or `none`; always there"),
    Row("{p}user.groups", S, "string[]", "user.groups", "user.groups"),
    Row("{p}user.extra.<key>", S, "string[]", "user.extra", "user.extra", "allow-list"),
    Row("{p}impersonated_user.name", S, "string", "impersonated.username",
        "impersonatedUser.username"),
    Row("{p}impersonated_user.id", S, "string", "impersonated.uid", "impersonatedUser.uid"),
    Row("{p}impersonated_user.groups", S, "string[]", "impersonated.groups",
        "impersonatedUser.groups"),
    Row("{p}impersonation_constraint", S, "string", "constraint",
        "authenticationMetadata.impersonationConstraint"),
    Row("client.address", S, "string", "client.first", "sourceIPs[0]", CLIENT),
    Row("network.peer.address", S, "string", "client.last", "sourceIPs[-1]",
        "the one address that the apiserver saw itself"),
    Row("{p}source_ips", S, "string[]", "client.several", "sourceIPs",
        f"if there are several; the first {MAX_LIST}"),
    Row("user_agent.original", S, "string", "client.agent", "userAgent"),
    Row("url.path", S, "string", "path", "requestURI", "before the `?`"),
    Row("url.query", S, "string", "query", "requestURI", "after the `?`"),
    Row("{p}object_ref.resource", S, "string", "object.resource", "objectRef.resource"),
    Row("{p}object_ref.subresource", S, "string", "object.subresource", "objectRef.subresource"),
    Row("{p}object_ref.api_group", S, "string", "object.api_group", "objectRef.apiGroup",
        "absent for the core group"),
    Row("{p}object_ref.api_version", S, "string", "object.api_version", "objectRef.apiVersion"),
    Row("{p}object_ref.namespace", S, "string", "object.namespace", "objectRef.namespace"),
    Row("{p}object_ref.name", S, "string", "name", "objectRef.name"),
    Row("{p}object_ref.uid", S, "string", "object_uid", "objectRef.uid"),
    Row("{p}object_ref.resource_version", S, "string", "version", "objectRef.resourceVersion"),
    Row("{p}authorization.decision", S, "string", "notes.decision",
        "annotations: authorization.k8s.io/decision"),
    Row("{p}authorization.reason", S, "string", "notes.reason",
        "annotations: authorization.k8s.io/reason", f"the first {MAX_NOTE} characters"),
    Row("{p}annotation.<key>", S, "string", "notes.others", "annotations",
        f"allow-list; at most {MAX_NOTES}, of each the first {MAX_NOTE} characters"),
    Row("{p}truncated", S, "bool", "notes.truncated", "annotations: audit.k8s.io/truncated",
        "the apiserver took bodies away"),
    Row("{p}duration_ms", S, "double", "duration", "stageTimestamp - requestReceivedTimestamp",
        "not for `RequestReceived`, not below 0"),

    Row("{p}parse_error", ALL, "string", "fault", "the reader", "what could not be read"),
    Row("log.record.uid", ALL, "string", "uid", "place in the log",
        "`<segment>-<offset, hex>`, for items of a list `.<index>`; the same on every repeat"),
    Row("log.file.name", ALL, "string", "file", "place in the log"),
    Row("log.file.path", ALL, "string", "file_path", "place in the log",
        "with the receiver's `include_file_path`"),
    Row("log.file.record_offset", ALL, "int", "offset", "place in the log",
        "in the decompressed segment"),
)
# fmt: on

PARTS = tuple(dict.fromkeys(row.part for row in TABLE))
_LIMITS = {"{p}id": MAX_AUDIT_ID}  # of rows that are the whole of their part
_MARKS = 3  # attributes that redaction and shrinking may add
_EXTRAS = 8  # entries of user.extra that come before annotations where room is short


def rows_in(options: MappingOptions) -> list[Row]:
    """Give the rows that the options' profile has."""
    skipped = {"plain": S, "semconv": P}.get(options.profile)
    return [row for row in TABLE if row.profile != skipped]


def rows_of(part: str, options: MappingOptions) -> list[Row]:
    """Give the rows of a part that the options' profile has."""
    return [row for row in rows_in(options) if row.part == part]


def keys_of(part: str, options: MappingOptions) -> list[str]:
    """Give the keys under which a part appears as it is."""
    keys = [row.key_with(options.prefix) for row in rows_of(part, options)]
    limiter = limiter_of(options)
    return limiter.names(keys) if limiter else keys


def limiter_of(options: MappingOptions) -> AttributeLimiter | None:
    """Make what fits attributes to the back end; None where it takes them as they are."""
    if options.limits == AttributeLimits():
        return None
    taken = {row.key_with(options.prefix) for row in rows_in(options)}
    return AttributeLimiter(options.limits, options.prefix, taken)


def room_of(options: MappingOptions) -> tuple[int | None, int]:
    """Tell how many entries of user.extra, None for all, and how many annotations fit."""
    single = sum(not row.key.endswith("<key>") for row in rows_in(options))
    room = options.limits.room(_MARKS + single)
    if room is None:
        return None, MAX_NOTES
    extras = min(room, _EXTRAS)
    return extras, min(room - extras, MAX_NOTES)


def _limited_encoder(
    part: str, options: MappingOptions, limiter: AttributeLimiter
) -> AttributeEncoder:
    """Encode a part's attributes where their names and values depend on each other."""
    rows = [
        (row.key_with(options.prefix), row.read(), _LIMITS.get(row.key))
        for row in rows_of(part, options)
    ]

    def attributes_of(value: Any) -> Iterable[tuple[str, wire.Value]]:
        for key, read, limit in rows:
            found = read(value)
            if key.endswith("<key>"):
                yield from ((key[:-5] + name, each) for name, each in found if each)
            elif found or (found == 0 and found is not False):
                yield key, found[:limit] if limit else found

    return lambda value: wire.attributes(dict(limiter(attributes_of(value))))


def part_encoder(part: str, options: MappingOptions) -> AttributeEncoder:
    """Make the function that encodes a part's attributes."""
    if (limiter := limiter_of(options)) is not None:
        return _limited_encoder(part, options, limiter)
    encoders = []
    for _, neighbours in groupby(rows_of(part, options), lambda row: (row.value, row.type)):
        rows = [*neighbours]
        encoders.append((rows[0].read(), _rows_encoder(rows, options.prefix)))
    return lambda value: b"".join([encode(read(value)) for read, encode in encoders])


def _rows_encoder(rows: Sequence[Row], prefix: str) -> AttributeEncoder:
    """Encode one value under the keys of all rows that map it."""
    if (
        len(rows) > 1
        and rows[0].type == "string"
        and _LIMITS.keys().isdisjoint(r.key for r in rows)
    ):
        return TextAttributes([row.key_with(prefix) for row in rows])
    encoders = [_row_encoder(row, prefix) for row in rows]
    if len(encoders) == 1:
        return encoders[0]
    return lambda value: b"".join([encode(value) for encode in encoders])


def _row_encoder(row: Row, prefix: str) -> AttributeEncoder:
    key, encoder = row.key_with(prefix), ENCODERS[row.type]
    if key.endswith("<key>"):
        return MapAttributes(key.removesuffix("<key>"), encoder)
    limit = _LIMITS.get(row.key)
    return TextAttribute(key, limit) if limit else encoder(key)
