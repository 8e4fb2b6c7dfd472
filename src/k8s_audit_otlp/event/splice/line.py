"""Finds the bodies of an event in its line, and removes or replaces members of the line.

What is not named stays as kube-apiserver wrote it.
"""

import re
from typing import Any, NamedTuple

import msgspec

from k8s_audit_otlp.event.splice.members import members_of
from k8s_audit_otlp.event.splice.tokens import (
    UnreadableError,
    closing_part,
    end_of,
    is_key,
    split,
)
from k8s_audit_otlp.model import EMPTY, AuditEvent, ObjectRef

BODIES = (("request_object", b"requestObject"), ("response_object", b"responseObject"))


PLACE_OF_BODY = b"-0e-9182736455"
NEEDLES = {field: b'"' + name + b'":' for field, name in BODIES}


class Slot(NamedTuple):
    """The value of a member of the event: line[start:end]; `name` says where the member begins."""

    field: str
    name: int
    start: int
    end: int


class AmbiguousError(ValueError):
    """The line does not hold the event's bodies once each, so nothing can be cut out of it."""


_NAMES, _REFERENCE_NAMES = (
    frozenset(name.encode() for name in kind.__struct_encode_fields__)
    for kind in (AuditEvent, ObjectRef)
)
_BODY_NAMES = frozenset(name for _, name in BODIES)


def members_as_written(line: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return the members of a line, bodies left out; None where it is not an event's as written.

    That is: the members of an event, each once, and nothing else.
    """
    members = members_of(line)
    if members is None or not _NAMES.issuperset(name for name, _ in members):
        return None
    return [(name, value) for name, value in members if name not in _BODY_NAMES]


def is_reference_as_written(reference: bytes) -> bool:
    """Tell the same of an objectRef: a resource said twice must not hide what a body is."""
    members = members_of(reference)
    return members is not None and _REFERENCE_NAMES.issuperset(name for name, _ in members)


def body_slots(event: AuditEvent, line: bytes) -> list[Slot]:
    """Find the bodies, in the order of the line.

    Raise AmbiguousError where a body is there twice, so nobody knows which one counts;
    UnreadableError where the line cannot be followed.
    """
    if any(line.count(needle) > 1 for needle in NEEDLES.values()):
        return _top_level_slots(event, line)
    slots: list[Slot] = []
    for field, name in BODIES:
        raw = getattr(event, field)
        if raw is EMPTY or not (value := bytes(raw)):
            continue
        slots.append(_slot(line, field, name, value, slots[-1].end if slots else 0))
    return slots


def _slot(line: bytes, field: str, name: bytes, value: bytes, after: int) -> Slot:
    needle = b'"' + name + b'":'
    at = line.find(needle, after)
    start = at + len(needle)
    if at < 0 or not line.startswith(value, start):
        return _spaced_slot(line, field, name, value)
    return Slot(field, at, start, start + len(value))


def _top_level_slots(event: AuditEvent, line: bytes) -> list[Slot]:
    """Find the bodies among the members of the event itself: others may have their names."""
    pieces = split(line)
    found: list[Slot] = []
    fields = {name: field for field, name in BODIES}
    key = 1
    while key < len(pieces) - 1 and is_key(pieces, key):
        end = end_of(pieces, key)
        if (field := fields.get(pieces[key])) is not None:
            name = sum(map(len, pieces[:key])) + key - 1
            start = name + len(NEEDLES[field])
            size = _size_of_value(pieces, key, end)
            if getattr(event, field) is not EMPTY:
                found.append(Slot(field, name, start, start + size))
            elif line[start : start + size] != b"null":
                raise AmbiguousError(field)
        key = end
    if len({slot.field for slot in found}) < len(found):
        raise AmbiguousError(found[-1].field)
    return found


def _size_of_value(pieces: list[bytes], key: int, end: int) -> int:
    if pieces[key + 1] == b":":
        return len(pieces[key + 2]) + 2
    if pieces[key + 1][1:2] in (b"{", b"["):
        between = sum(map(len, pieces[key + 1 : end - 1])) + end - key - 2
        return between - 1 + len(closing_part(pieces, key, end))
    return len(pieces[key + 1][1:].rstrip(b"}").rstrip(b","))


def _spaced_slot(line: bytes, field: str, name: bytes, value: bytes) -> Slot:
    for match in re.finditer(rb'"' + name + rb'"\s*:\s*', line):
        if line.startswith(value, match.end()):
            return Slot(field, match.start(), match.end(), match.end() + len(value))
    raise AmbiguousError(field)


def frame_of(line: bytes, slots: list[Slot]) -> bytes:
    """Return the line with a number that nobody writes for each body."""
    if not slots:
        return line
    parts: list[bytes] = []
    at = 0
    for slot in slots:
        if slot.name < at:
            raise AmbiguousError(slot.field)
        parts += (line[at : slot.start], PLACE_OF_BODY)
        at = slot.end
    return b"".join((*parts, line[at:]))


def without(line: bytes, slot: Slot) -> bytes:
    """Take the member out, with one comma."""
    before, after = line[: slot.name], line[slot.end :]
    if after.lstrip()[:1] == b",":
        return before + after.lstrip()[1:]
    return (before.rstrip()[:-1] if before.rstrip()[-1:] == b"," else before) + after


def rewritten(event: AuditEvent) -> bytes:
    """Write the event anew from what was understood of an ambiguous line."""
    return msgspec.json.encode(_members(event))


def _members(value: msgspec.Struct) -> dict[str, Any]:
    pairs = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
    members = ((name, getattr(value, field)) for field, name in pairs)
    return {
        name: _members(member) if isinstance(member, msgspec.Struct) else _encodable(member)
        for name, member in members
        if member not in (None, "", (), 0, EMPTY)
    }


def _encodable(member: Any) -> Any:
    """Replace what UTF-8 has no bytes for."""
    match member:
        case str():
            return member.encode("utf-8", "replace").decode()
        case tuple():
            return [_encodable(item) for item in member]
        case dict():
            return {_encodable(key): _encodable(item) for key, item in member.items()}
        case _:
            return member


def drop_bodies(event: AuditEvent, line: bytes) -> tuple[AuditEvent, bytes]:
    """Take both bodies out of the event and of its line."""
    for field, _ in BODIES:
        event, line = drop_body(event, line, field)
    return event, line


def drop_body(event: AuditEvent, line: bytes, field: str) -> tuple[AuditEvent, bytes]:
    if getattr(event, field) is EMPTY:
        return event, line
    kept = msgspec.structs.replace(event, **{field: EMPTY})
    try:
        slots = body_slots(event, line)
        frame_of(line, slots)
    except (AmbiguousError, UnreadableError, LookupError):
        return kept, rewritten(kept)
    for slot in slots:
        if slot.field == field:
            line = without(line, slot)
    return kept, line
