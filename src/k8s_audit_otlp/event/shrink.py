"""Makes an event smaller until its JSON fits a limit. What is left is valid JSON.

The ladder takes what is bulky and told elsewhere first, then cuts lists and long texts. Who did
what, from where, when and with what result is cut last, and not below 1 KiB each while the limit
has room for that. `limit_text` does the same for one attribute.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from k8s_audit_otlp.event.policy import body_without, with_bodies
from k8s_audit_otlp.event.splice.line import drop_body, rewritten
from k8s_audit_otlp.event.splice.tokens import (
    UnreadableError,
    join,
    keys_inside,
    split,
    without_members,
)
from k8s_audit_otlp.model import EMPTY, AuditEvent

LAST_APPLIED = b"kubectl.kubernetes.io/last-applied-configuration"
LONG_ANNOTATION_BYTES = 1024
WHOLE_BODY_BYTES = 4 * 1024 * 1024  # a larger body is not searched for what to trim, it goes
CUT = "..."
NAME_BYTES = 1024  # of a name, verb, address or path; genuine ones are shorter (RFC 1123: 253)
ADDRESSES = 8


class _Step(NamedTuple):
    """What one step leaves of the event outside its bodies."""

    entries: int  # of a list or map
    text: int  # bytes of a string
    name: int = NAME_BYTES  # bytes of each of _NAMES
    addresses: int = ADDRESSES


_STEPS = (
    *(_Step(4096, 65_536), _Step(1024, 16_384), _Step(256, 4096), _Step(64, 1024)),
    *(_Step(16, 256), _Step(4, 128), _Step(1, 40)),
    # Only a limit of a few KiB and names that no apiserver takes come to these.
    *(_Step(1, 40, 253, 2), _Step(1, 40, 40, 1)),
)
# Who, what, from where, when, with what result: members of the event and of what is in it.
_NAMES = frozenset(
    """
    kind api_version level audit_id stage request_uri verb username uid resource namespace name
    api_group resource_version subresource status reason request_received_timestamp
    stage_timestamp timestamp creation_timestamp impersonation_constraint source_ips
    """.split()  # noqa: SIM905 - a table of words reads better as words
)


class Shrunk(NamedTuple):
    event: AuditEvent
    line: bytes
    removed: tuple[str, ...] = ()


def shrink(event: AuditEvent, line: bytes, max_bytes: int) -> Shrunk:
    """Return the event unchanged if its line fits, else as little smaller as the ladder can."""
    if len(line) <= max_bytes:
        return Shrunk(event, line)
    removed: list[str] = []
    for name, smaller_event, smaller_line in _ladder(event, line):
        removed.append(name)
        if len(smaller_line) <= max_bytes:
            return Shrunk(smaller_event, smaller_line, tuple(removed))
        event, line = smaller_event, smaller_line
    return _outside_bodies(event, max_bytes, removed)


def _ladder(event: AuditEvent, line: bytes) -> Iterator[tuple[str, AuditEvent, bytes]]:
    """Yield the steps that change something, each on top of the one before."""
    for name, trim in _TRIMS:
        bodies = {}
        for field in ("request_object", "response_object"):
            raw = getattr(event, field)
            body = b"" if raw is EMPTY else bytes(raw)
            if body and len(body) <= WHOLE_BODY_BYTES and (new := trim(body)) != body:
                bodies[field] = new
        if bodies:
            event, line = with_bodies(event, line, bodies)
            yield name, event, line
    for field, name in (("response_object", "responseObject"), ("request_object", "requestObject")):
        if getattr(event, field) is not EMPTY:
            event, line = drop_body(event, line, field)
            yield name, event, line


def _without_managed_fields(body: bytes) -> bytes:
    return body_without(body, b"managedFields", inside=b"metadata")


def _without_last_applied(body: bytes) -> bytes:
    return body_without(body, LAST_APPLIED, inside=b"annotations")


def _without_long_annotations(body: bytes) -> bytes:
    if b'"annotations":{' not in body:
        return body
    try:
        pieces = split(body)
        keys = [
            key
            for key in keys_inside(pieces, b"annotations")
            if len(pieces[key + 2]) > LONG_ANNOTATION_BYTES and pieces[key + 1] == b":"
        ]
        return join(without_members(pieces, keys)) if keys else body
    except (UnreadableError, LookupError):
        return body


_TRIMS = (
    ("managedFields", _without_managed_fields),
    ("last-applied-configuration", _without_last_applied),
    ("annotations", _without_long_annotations),
)


def _outside_bodies(event: AuditEvent, max_bytes: int, removed: list[str]) -> Shrunk:
    """Cut lists and long strings, harder until it fits; members nobody knows go with the first."""
    for step in _STEPS:
        event = _cut(event, "", step)
        line = rewritten(event)
        if len(line) <= max_bytes:
            break
    return Shrunk(event, line, (*removed, "lists", "attributes"))


def _cut(value: Any, name: str, step: _Step) -> Any:
    match value:
        case str():
            return limit_text(value, max(step.text, step.name) if name in _NAMES else step.text)
        case tuple() if name == "source_ips":
            kept = _ends(value, max(step.entries, step.addresses))
            return tuple(_cut(item, name, step) for item in kept)
        case tuple():
            return tuple(_cut(item, name, step) for item in value[: step.entries])
        case dict():
            pairs = list(value.items())[: step.entries]
            return {_cut(k, "", step): _cut(v, "", step) for k, v in pairs}
        case msgspec.Raw():
            return value
        case msgspec.Struct():
            fields = value.__struct_fields__
            return msgspec.structs.replace(
                value, **{field: _cut(getattr(value, field), field, step) for field in fields}
            )
        case _:
            return value


def _ends(addresses: tuple[str, ...], most: int) -> tuple[str, ...]:
    """Keep the first addresses, which a client may have chosen, and the last: the connection's."""
    return addresses if len(addresses) <= most else (*addresses[: most - 1], addresses[-1])


def limit_text(text: str, max_bytes: int) -> str:
    """Cut text to so many bytes of UTF-8, between characters, with a mark that it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return text if len(text) == len(encoded) else encoded.decode()
    mark = CUT if max_bytes > 2 * len(CUT) else ""
    return encoded[: max(0, max_bytes - len(mark))].decode("utf-8", "ignore") + mark
