"""Makes the key that an event is counted under, and its text without secrets. Pure.

Who asks is a user, or all kubelets together: a thousand nodes would be a thousand small rows.
What is asked for is a resource, or the first two steps of a path that names none.
"""

from typing import NamedTuple

from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.splice.line import rewritten
from k8s_audit_otlp.model import AuditEvent, ObjectRef, UserInfo

MOST_CHARACTERS = 256  # of one part; clients choose them
_NODES = "system:node:"


class Key(NamedTuple):
    """User, verb and resource as the log has them: not to be shown as it is."""

    user: str
    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    path: str = ""


NOT_AN_EVENT = Key("(not an event)", "")


class Shown(NamedTuple):
    user: str
    verb: str
    resource: str


def key_of(event: AuditEvent) -> Key:
    user = event.user.username if event.user else ""
    if user.startswith(_NODES):
        user = _NODES + "*"
    ref = event.object_ref
    if ref is None:
        key = Key(user, event.verb, path=_beginning(event.request_uri.partition("?")[0]))
    else:
        key = Key(user, event.verb, ref.api_group, ref.resource, ref.subresource)
    if max(map(len, key)) <= MOST_CHARACTERS:
        return key
    return Key(*("(very long)" if len(part) > MOST_CHARACTERS else part for part in key))


def _beginning(path: str) -> str:
    steps = path.split("/", 3)
    return "/".join(steps[:3]) + ("/*" if len(steps) > 3 and steps[3] else "")


def shown(key: Key, redactor: Redactor) -> Shown:
    """Write a key as text, after redaction has seen it."""
    if key is NOT_AN_EVENT:
        return Shown(key.user, "", "")
    user = UserInfo(username=key.user)
    ref = ObjectRef(key.resource, api_group=key.group, subresource=key.subresource)
    event = AuditEvent(
        kind="Event",
        verb=key.verb,
        user=user,
        request_uri=key.path or "/",
        object_ref=None if key.path else ref,
    )
    event = redactor(event, rewritten(event)).event
    name = event.user.username if event.user else ""
    return Shown(name or "(not authenticated)", event.verb or "(none)", resource_of(event))


def resource_of(event: AuditEvent) -> str:
    """Write what was asked for: `pods/log`, `leases.coordination.k8s.io`, or a path."""
    ref = event.object_ref
    if ref is None or not ref.resource:
        return event.request_uri.partition("?")[0] or "(nothing)"
    group = f".{ref.api_group}" if ref.api_group else ""
    return ref.resource + group + (f"/{ref.subresource}" if ref.subresource else "")
