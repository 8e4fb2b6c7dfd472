"""An event, its line and a limit in, the most of it that fits the limit out. Always valid JSON.

The ladder takes what is bulky and told elsewhere first; who did what, when and with what result
stays at any size. `limit_text` does the same for one attribute.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from k8s_audit_otlp.event.policy import body_without, with_bodies
from k8s_audit_otlp.event.redact.line import rewritten
from k8s_audit_otlp.event.redact.redactor import drop_body
from k8s_audit_otlp.event.redact.tokens import (
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
MIN_RECORD_BYTES = 4 * 1024  # what every event can be shrunk to
CUT = "..."
# (entries of a list or map, characters of a string) that stay, tried in order.
_ENVELOPE_STEPS = ((64, 4096), (16, 1024), (8, 256), (4, 128), (2, 64), (1, 40))


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
    return _envelope(event, max_bytes, removed)


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


def _envelope(event: AuditEvent, max_bytes: int, removed: list[str]) -> Shrunk:
    """Cut lists and long strings, harder until it fits; members nobody knows go with the first."""
    for entries, characters in _ENVELOPE_STEPS:
        event = _cut(event, entries, characters)
        line = rewritten(event)
        if len(line) <= max_bytes:
            break
    return Shrunk(event, line, (*removed, "lists", "attributes"))


def _cut(value: Any, entries: int, characters: int) -> Any:
    match value:
        case str():
            return limit_text(value, characters)
        case tuple():
            return tuple(_cut(item, entries, characters) for item in value[:entries])
        case dict():
            kept = list(value.items())[:entries]
            return {_cut(k, entries, characters): _cut(v, entries, characters) for k, v in kept}
        case msgspec.Raw():
            return value
        case msgspec.Struct():
            fields = value.__struct_fields__
            return msgspec.structs.replace(
                value, **{f: _cut(getattr(value, f), entries, characters) for f in fields}
            )
        case _:
            return value


def limit_text(text: str, max_bytes: int) -> str:
    """Cut text to so many bytes of UTF-8, between characters, with a mark that it was cut."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return text if len(text) == len(encoded) else encoded.decode()
    mark = CUT if max_bytes > 2 * len(CUT) else ""
    return encoded[: max(0, max_bytes - len(mark))].decode("utf-8", "ignore") + mark
