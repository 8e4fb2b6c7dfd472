"""The parts of an event: fields that occur together, and what is derived from them alone.

The mapping's rows name the members of these; the encoder interns each part's bytes as a whole.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from k8s_audit_otlp.event.severity import DECISION, REASON, WARN, SeverityOutcome, judge

TRUNCATED = "audit.k8s.io/truncated"  # the annotation

MAX_AUDIT_ID = 128  # characters; the apiserver takes a client's Audit-ID header of any length
MAX_NOTE = 1024  # characters of one annotation; a webhook may write 10 KiB
MAX_NOTES = 32  # annotations of one event; the body has them all
MAX_LIST = 1024  # entries of a list; X-Forwarded-For may hold hundreds

NO_TARGET, RESOURCE, LONG_RUNNING = 0, 1, 2

# k8s.io/apiserver pkg/server/filters/longrunning.go, with what kube-apiserver passes to it
LONG_RUNNING_VERBS = frozenset({"watch", "proxy"})
LONG_RUNNING_SUBRESOURCES = frozenset({"attach", "exec", "proxy", "log", "portforward"})

# opentelemetry.io/docs/specs/semconv/registry/attributes/http/#http-request-method
HTTP_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)

# kubernetes.io/docs/reference/access-authn-authz/{authentication,node}; EKS and AKS name their own
_USER_TYPE = re.compile(
    "(?P<serviceaccount>system:serviceaccount:)|(?P<node>system:node:)|"
    "(?P<anonymous>system:anonymous)|(?P<system>system:|eks:|aksService|masterclient)|(?P<user>.)",
    re.DOTALL,
)


class Request(NamedTuple):
    kind: str
    level: str
    stage: str
    verb: str
    code: int
    reason: str
    target: int  # NO_TARGET, RESOURCE or LONG_RUNNING
    alarm: int  # of severity.Alarm
    faulty: bool = False  # something of the event could not be read

    @property
    def verdict(self) -> SeverityOutcome:
        return judge(self.stage, self.code, self.reason, self.alarm)

    @property
    def severity(self) -> int:
        return max(self.verdict.severity, WARN) if self.faulty else self.verdict.severity

    @property
    def any_code(self) -> int | None:
        return self.code or None

    @property
    def http_code(self) -> int | None:
        return self.code if self.code > 0 else None

    @property
    def status(self) -> str:
        return "OK" if self.code == 200 else "FAIL"

    @property
    def method(self) -> str:
        """Give the HTTP method where the verb is one: for a request that names no resource."""
        if self.target != NO_TARGET or not self.verb:
            return ""
        method = self.verb.upper()
        return method if method in HTTP_METHODS else "_OTHER"

    @property
    def long_running(self) -> bool:
        return self.target == LONG_RUNNING or self.verb in LONG_RUNNING_VERBS


class User(NamedTuple):
    username: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()  # those that the options allow

    @property
    def type(self) -> str:
        """Say what kind of user it is; it replaces most uses of the name as a label."""
        found = _USER_TYPE.match(self.username)
        return str(found.lastgroup) if found else "none"


class Client(NamedTuple):
    agent: str
    addresses: tuple[str, ...]

    @property
    def first(self) -> str:
        return self.addresses[0] if self.addresses else ""

    @property
    def last(self) -> str:
        return self.addresses[-1] if self.addresses else ""

    @property
    def several(self) -> tuple[str, ...]:
        return self.addresses[:MAX_LIST] if len(self.addresses) > 1 else ()


class Object(NamedTuple):
    resource: str
    subresource: str
    api_group: str
    api_version: str
    namespace: str

    @property
    def target(self) -> int:
        if not self.resource:
            return NO_TARGET
        return LONG_RUNNING if self.subresource in LONG_RUNNING_SUBRESOURCES else RESOURCE


class Notes(NamedTuple):
    """The annotations."""

    decision: str
    reason: str
    truncated: bool
    others: tuple[tuple[str, str], ...]  # those that the options allow


def allows(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Tell whether a key is on an allow-list; `start*` names all keys that start so."""
    exact = frozenset(p for p in patterns if not p.endswith("*"))
    starts = tuple(p[:-1] for p in patterns if p.endswith("*"))
    return lambda key: key in exact or key.startswith(starts)


def notes_of(
    annotations: Mapping[str, str], allowed: Callable[[str], bool], most: int = MAX_NOTES
) -> tuple[Notes, int]:
    """Take what is mapped of the annotations, with the number of attributes that were cut."""
    others = [
        (key, value)
        for key, value in annotations.items()
        if value and key not in (DECISION, REASON) and allowed(key)
    ]
    decision, reason = annotations.get(DECISION, ""), annotations.get(REASON, "")
    values = [decision, reason, *(value for _, value in others[:most])]
    cuts = max(0, len(others) - most) + sum(len(value) > MAX_NOTE for value in values)
    kept = tuple((key, value[:MAX_NOTE]) for key, value in others[:most])
    truncated = annotations.get(TRUNCATED) == "true"
    return Notes(decision[:MAX_NOTE], reason[:MAX_NOTE], truncated, kept), cuts
