"""Decides whether the rules of an audit policy match the attributes of a request.

Upstream's semantics: k8s.io/apiserver pkg/audit/policy/checker.go and pkg/apis/audit/v1/types.go.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote

from k8s_audit_otlp.model import AuditEvent

LEVELS = ("None", "Metadata", "Request", "RequestResponse")


class Attributes(NamedTuple):
    """What upstream's checker sees of a request, before impersonation and before the body."""

    user: str  # empty after a failed authentication: no condition on users or groups holds then
    groups: tuple[str, ...]
    verb: str
    is_resource: bool
    namespace: str = ""
    api_group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    path: str = ""


def attributes_of(event: AuditEvent) -> Attributes:
    user, ref = event.user, event.object_ref
    name, groups = (user.username, user.groups or ()) if user else ("", ())
    if ref is None:
        path = unquote(event.request_uri.partition("?")[0])
        return Attributes(name, groups, event.verb, is_resource=False, path=path)
    return Attributes(
        name,
        groups,
        event.verb,
        True,
        ref.namespace,
        ref.api_group,
        ref.resource,
        ref.subresource,
        _requested_name(event),
    )


def _requested_name(event: AuditEvent) -> str:
    """Return the name in the URL: a create's objectRef.name was filled in from the body."""
    ref = event.object_ref
    if ref is None or not ref.name or event.verb != "create" or ref.subresource:
        return ref.name if ref else ""
    last = event.request_uri.partition("?")[0].rstrip("/").rpartition("/")[2]
    return "" if last == ref.resource else ref.name


@dataclass(frozen=True, slots=True)
class GroupResources:
    group: str = ""
    resources: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()

    def matches(self, request: Attributes) -> bool:
        if self.group not in (request.api_group, "*"):
            return False
        if not self.resources:
            return True
        if self.names and request.name not in self.names:
            return False
        return any(matches_resource(resource, request) for resource in self.resources)


def matches_resource(pattern: str, request: Attributes) -> bool:
    """Match `pods`, `pods/log`, `pods/*` (with pods itself), `*/scale` and `*`."""
    resource, subresource = request.resource, request.subresource
    combined = f"{resource}/{subresource}" if subresource else resource
    if pattern in (combined, "*"):
        return True
    if subresource and pattern == f"*/{subresource}":
        return True
    return pattern.endswith("/*") and pattern[:-2] == resource


def matches_path(pattern: str, path: str) -> bool:
    """Match a whole path, or its beginning when the pattern ends with a star."""
    if pattern in ("*", path):
        return True
    return pattern.endswith("*") and path.startswith(pattern.rstrip("*"))


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule. An empty collection sets no condition."""

    level: str
    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    verbs: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    resources: tuple[GroupResources, ...] = ()
    paths: tuple[str, ...] = ()
    omit_stages: frozenset[str] = frozenset()
    omit_codes: frozenset[int] = frozenset()
    omit_managed_fields: bool | None = None

    def matches(self, request: Attributes) -> bool:
        if not (
            (not self.users or (request.user != "" and request.user in self.users))
            and (not self.groups or not self.groups.isdisjoint(request.groups))
            and _holds(self.verbs, request.verb)
        ):
            return False
        if self.namespaces or self.resources:
            return (
                request.is_resource
                and _holds(self.namespaces, request.namespace)
                and (not self.resources or any(r.matches(request) for r in self.resources))
            )
        if self.paths:
            return not request.is_resource and any(
                matches_path(path, request.path) for path in self.paths
            )
        return True


def _holds(allowed: Collection[str], value: str) -> bool:
    return not allowed or value in allowed
