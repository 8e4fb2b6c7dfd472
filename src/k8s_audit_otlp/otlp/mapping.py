"""The mapping: which attribute comes from where, as one table.

In comes a *part* of an event (fields that occur together), out go its attributes. `encode` turns the
same rows into bytes, `sdk` into the SDK's records, `reference_page` into documentation.

Names follow the semantic conventions where one fits; `{p}` is the configurable prefix for the rest.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

from k8s_audit_otlp.event.severity import DECISION, REASON, WARN, Verdict, judge
from k8s_audit_otlp.model import UserInfo
from k8s_audit_otlp.otlp.wire import Value

EVENT_NAME = "k8s.audit.event"
TRUNCATED = "audit.k8s.io/truncated"  # the annotation

MAX_AUDIT_ID = 128  # characters; the apiserver takes a client's Audit-ID header of any length
MAX_NOTE = 1024  # characters of one annotation; a webhook may write 10 KiB
MAX_NOTES = 32  # annotations of one event; the body has them all
MAX_LIST = 1024  # entries of one list; X-Forwarded-For may hold hundreds

ANNOTATIONS = (
    "apiserver.k8s.io/*",
    "apiserver.latency.k8s.io/*",
    "authentication.*",
    "failed-open.*",
    "k8s.io/*",
    "pod-security.kubernetes.io/*",
    "validation.policy.admission.k8s.io/*",
)
USER_EXTRA = tuple(
    f"authentication.kubernetes.io/{name}"
    for name in ("pod-name", "pod-uid", "node-name", "node-uid", "credential-id")
)

# k8s.io/apiserver: sets.NewString in pkg/controlplane/apiserver and the apiserver's --help
LONG_RUNNING_VERBS = frozenset({"watch", "proxy"})
LONG_RUNNING_SUBRESOURCES = frozenset({"attach", "exec", "proxy", "log", "portforward"})
# opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-method
HTTP_METHODS = frozenset("CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE".split())

Profile: TypeAlias = Literal["default", "plain", "semconv"]


@dataclass(frozen=True, slots=True)
class MappingOptions:
    """What an exporter may choose. A pattern that ends in `*` names everything that starts so."""

    profile: Profile = "default"
    prefix: str = "k8s.audit."
    annotations: tuple[str, ...] = ANNOTATIONS
    user_extra: tuple[str, ...] = USER_EXTRA


# The parts of an event


class Request(NamedTuple):
    kind: str
    level: str
    stage: str
    verb: str
    code: int
    reason: str
    alarm: int  # of severity.Alarm
    target: int  # 0: no resource, 1: a resource, 2: a long-running subresource
    faulty: bool = False  # something of the event could not be read

    @property
    def severity(self) -> int:
        severity = self.verdict.severity
        return max(severity, WARN) if self.faulty else severity

    @property
    def verdict(self) -> Verdict:
        return judge(self.stage, self.code, self.reason, self.alarm)


class User(NamedTuple):
    username: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]  # those that the options allow


class Object(NamedTuple):
    resource: str
    subresource: str
    api_group: str
    api_version: str
    namespace: str


class Notes(NamedTuple):
    """The annotations."""

    decision: str
    reason: str
    truncated: bool
    others: tuple[tuple[str, str], ...]  # those that the options allow


NO_TARGET, RESOURCE, LONG_RUNNING = 0, 1, 2


def allows(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Tell whether a key is on an allow-list."""
    exact = frozenset(p for p in patterns if not p.endswith("*"))
    starts = tuple(p[:-1] for p in patterns if p.endswith("*"))
    return lambda key: key in exact or key.startswith(starts)


def target_of(ref: Object) -> int:
    if not ref.resource:
        return NO_TARGET
    return LONG_RUNNING if ref.subresource in LONG_RUNNING_SUBRESOURCES else RESOURCE


def user_type(username: str) -> str:
    """Say what kind of user it is; it replaces most uses of the name as a label."""
    for start, kind in _USER_TYPES:
        if username.startswith(start):
            return kind
    return "user" if username else "none"


_USER_TYPES = (
    ("system:serviceaccount:", "serviceaccount"),
    ("system:node:", "node"),
    ("system:anonymous", "anonymous"),
    ("system:", "system"),
    ("eks:", "system"),
    ("aksService", "system"),
    ("masterclient", "system"),
)


def _status(request: Request) -> str:
    return "OK" if request.code == 200 else "FAIL"


def _code(request: Request) -> int | None:
    return request.code if request.code > 0 else None


def _method(request: Request) -> str | None:
    if request.target != NO_TARGET or not request.verb:
        return None
    method = request.verb.upper()
    return method if method in HTTP_METHODS else "_OTHER"


def _long_running(request: Request) -> bool:
    return request.target == LONG_RUNNING or request.verb in LONG_RUNNING_VERBS


def _username(user: User) -> str:
    return user.username


def _whole(value: Any) -> Value:
    return value  # type: ignore[no-any-return] # the part is the value


def _audit_id(value: str) -> str:
    return value[:MAX_AUDIT_ID]


def _several(addresses: tuple[str, ...]) -> tuple[str, ...]:
    return addresses[:MAX_LIST] if len(addresses) > 1 else ()


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. An attribute is left out where `read` gives None, "", False or nothing at all."""

    key: str
    profile: str  # plain, semconv, or "" for a row of every profile
    type: str
    part: str
    source: str
    read: Callable[[Any], Any]
    note: str = ""

    def attributes(self, part: Any, prefix: str) -> Iterable[tuple[str, Value]]:
        value = self.read(part)
        key = self.key.replace("{p}", prefix)
        if key.endswith("<key>"):
            yield from ((key.replace("<key>", name), each) for name, each in value if each)
        elif value or (value == 0 and value is not False):
            yield key, value


P, S = "plain", "semconv"
STRING, STRINGS, INT, DOUBLE, BOOL = "string", "string[]", "int", "double", "bool"
CLIENT = "any but the last address is what the client says"

# fmt: off
TABLE: tuple[Row, ...] = (
    Row("kind", P, STRING, "request", "kind", attrgetter("kind"), "`Event` for items of an EventList"),
    Row("level", P, STRING, "request", "level", attrgetter("level")),
    Row("stage", P, STRING, "request", "stage", attrgetter("stage")),
    Row("verb", P, STRING, "request", "verb", attrgetter("verb")),
    Row("auditID", P, STRING, "audit_id", "auditID", _whole),
    Row("username", P, STRING, "user", "user.username", attrgetter("username")),
    Row("responseCode", P, INT, "request", "responseStatus.code", lambda r: r.code or None),
    Row("status", P, STRING, "request", "responseStatus.code", _status, "`OK` for 200, else `FAIL`: also for 201, 101, 304 and no code; always there"),
    Row("sourceIP_0", P, STRING, "peers", "sourceIPs[0]", lambda ips: ips[0], CLIENT),
    Row("namespace", P, STRING, "object", "objectRef.namespace", attrgetter("namespace")),
    Row("node", P, STRING, "name", "objectRef.name", _whole, "the name of any object, not only of a node"),
    Row("{p}level", S, STRING, "request", "level", attrgetter("level")),
    Row("{p}stage", S, STRING, "request", "stage", attrgetter("stage")),
    Row("{p}verb", S, STRING, "request", "verb", attrgetter("verb")),
    Row("{p}id", S, STRING, "audit_id", "auditID", _audit_id, f"cut to {MAX_AUDIT_ID} characters; clients may choose it"),
    Row("{p}outcome", S, STRING, "request", "stage, responseStatus", attrgetter("verdict.outcome"), "`success`, `failure` or `unknown`; always there"),
    Row("http.response.status_code", S, INT, "request", "responseStatus.code", _code),
    Row("error.type", S, STRING, "request", "responseStatus.reason", attrgetter("verdict.error_type"), "on failure; without a reason the code, `panic` for a panic"),
    Row("http.request.method", S, STRING, "request", "verb", _method, "requests for no resource; `_OTHER` for an unknown method"),
    Row("{p}long_running", S, BOOL, "request", "verb, objectRef.subresource", _long_running, "when true; leave these out of latencies"),
    Row("user.name", S, STRING, "user", "user.username", attrgetter("username")),
    Row("user.id", S, STRING, "user", "user.uid", attrgetter("uid")),
    Row("{p}user.type", S, STRING, "user", "user.username", lambda u: user_type(u.username), "`serviceaccount`, `node`, `anonymous`, `system`, `user` or `none`; always there"),
    Row("{p}user.groups", S, STRINGS, "user", "user.groups", attrgetter("groups")),
    Row("{p}user.extra.<key>", S, STRINGS, "user", "user.extra", attrgetter("extra"), "allow-list"),
    Row("{p}impersonated_user.name", S, STRING, "impersonated", "impersonatedUser.username", attrgetter("username")),
    Row("{p}impersonated_user.id", S, STRING, "impersonated", "impersonatedUser.uid", attrgetter("uid")),
    Row("{p}impersonated_user.groups", S, STRINGS, "impersonated", "impersonatedUser.groups", attrgetter("groups")),
    Row("{p}impersonation_constraint", S, STRING, "constraint", "authenticationMetadata.impersonationConstraint", _whole),
    Row("client.address", S, STRING, "peers", "sourceIPs[0]", lambda ips: ips[0], CLIENT),
    Row("network.peer.address", S, STRING, "peers", "sourceIPs[-1]", lambda ips: ips[-1], "the one address that the apiserver saw itself"),
    Row("{p}source_ips", S, STRINGS, "peers", "sourceIPs", _several, f"when there is more than one; the first {MAX_LIST}"),
    Row("user_agent.original", S, STRING, "agent", "userAgent", _whole),
    Row("url.path", S, STRING, "path", "requestURI", _whole, "before the `?`"),
    Row("url.query", S, STRING, "query", "requestURI", _whole, "after the `?`"),
    Row("{p}object_ref.resource", S, STRING, "object", "objectRef.resource", attrgetter("resource")),
    Row("{p}object_ref.subresource", S, STRING, "object", "objectRef.subresource", attrgetter("subresource")),
    Row("{p}object_ref.api_group", S, STRING, "object", "objectRef.apiGroup", attrgetter("api_group"), "absent for the core group"),
    Row("{p}object_ref.api_version", S, STRING, "object", "objectRef.apiVersion", attrgetter("api_version")),
    Row("{p}object_ref.namespace", S, STRING, "object", "objectRef.namespace", attrgetter("namespace")),
    Row("{p}object_ref.name", S, STRING, "name", "objectRef.name", _whole),
    Row("{p}object_ref.uid", S, STRING, "object_uid", "objectRef.uid", _whole),
    Row("{p}object_ref.resource_version", S, STRING, "version", "objectRef.resourceVersion", _whole),
    Row("{p}authorization.decision", S, STRING, "notes", f"annotations[{DECISION}]", attrgetter("decision")),
    Row("{p}authorization.reason", S, STRING, "notes", f"annotations[{REASON}]", attrgetter("reason"), f"cut to {MAX_NOTE} characters"),
    Row("{p}annotation.<key>", S, STRING, "notes", "annotations", attrgetter("others"), f"allow-list; at most {MAX_NOTES}, each cut to {MAX_NOTE} characters"),
    Row("{p}truncated", S, BOOL, "notes", "annotations[audit.k8s.io/truncated]", attrgetter("truncated"), "when true: the apiserver removed the bodies"),
    Row("{p}duration_ms", S, DOUBLE, "duration", "stageTimestamp - requestReceivedTimestamp", _whole, "not for RequestReceived and not below 0"),
    Row("log.record.uid", "", STRING, "uid", "place in the log", _whole, "`<segment>-<offset, hex>`, items add `.<index>`; the same on every repeat"),
    Row("log.file.name", "", STRING, "file", "place in the log", _whole),
    Row("log.file.record_offset", "", INT, "offset", "place in the log", _whole, "of the event in the decompressed segment"),
    Row("{p}parse_error", "", STRING, "fault", "the reader", _whole, "what could not be read, when anything"),
)
# fmt: on


def rows_of(part: str, options: MappingOptions) -> list[Row]:
    """Give the rows of a part that the options' profile has."""
    skipped = {"plain": S, "semconv": P}.get(options.profile)
    return [row for row in TABLE if row.part == part and row.profile != skipped]


def keys_of(part: str, options: MappingOptions) -> list[str]:
    return [row.key.replace("{p}", options.prefix) for row in rows_of(part, options)]


def attributes_of(part: str, value: Any, options: MappingOptions) -> dict[str, Value]:
    """Map one part of an event."""
    rows = rows_of(part, options)
    return {k: v for row in rows for k, v in row.attributes(value, options.prefix)}


def user_part(user: UserInfo, allowed: Callable[[str], bool]) -> tuple[User, int]:
    """Take what is mapped of a user, with the number of attributes that were cut."""
    groups = user.groups or ()
    extra = [(key, values) for key, values in (user.extra or {}).items() if allowed(key)]
    cuts = (len(groups) > MAX_LIST) + sum(len(values) > MAX_LIST for _, values in extra)
    kept = tuple((key, values[:MAX_LIST]) for key, values in extra)
    return User(user.username, user.uid, groups[:MAX_LIST], kept), cuts


def notes_part(annotations: Mapping[str, str], allowed: Callable[[str], bool]) -> tuple[Notes, int]:
    """Take what is mapped of the annotations, with the number of attributes that were cut."""
    others = [
        (key, value)
        for key, value in annotations.items()
        if value and key not in (DECISION, REASON) and allowed(key)
    ]
    decision, reason = annotations.get(DECISION, ""), annotations.get(REASON, "")
    values = [decision, reason, *(value for _, value in others[:MAX_NOTES])]
    cuts = max(0, len(others) - MAX_NOTES) + sum(len(value) > MAX_NOTE for value in values)
    kept = tuple((key, value[:MAX_NOTE]) for key, value in others[:MAX_NOTES])
    truncated = annotations.get(TRUNCATED) == "true"
    return Notes(decision[:MAX_NOTE], reason[:MAX_NOTE], truncated, kept), cuts
