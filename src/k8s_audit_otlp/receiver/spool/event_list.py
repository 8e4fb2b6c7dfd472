"""An audit webhook's body as lines: exactly what the apiserver would have written to its file.

The items of an EventList carry no `kind`; the lines of a file do. What a client can put into an
event (depth without end, lone surrogates, bytes that are no UTF-8) is taken as it stands, as in a
file: a refused list would cost the events of everyone else in it. Pure.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, overload

import msgspec

from k8s_audit_otlp.event import json_scan
from k8s_audit_otlp.event.lenient_json import REFUSED

MOST_EVENTS = 131_072  # of one body: 64 MiB of events of 512 bytes
LINE_BREAKS = b"\r\n"  # never inside a JSON string, so they can be taken out anywhere
_ARRAY = re.compile(rb"\s*\[")
_MEMBER = re.compile(rb'[ \t\r\n]*[{,][ \t\r\n]*"([^"\\]*)"[ \t\r\n]*:[ \t\r\n]*')
_END = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_VERSION = "audit.k8s.io/v1"
_SIGN = b'"auditID"'  # every event has one


class NoEventsError(ValueError):
    """The body holds no audit events; says what it holds instead."""


class _Event(msgspec.Struct, rename="camel"):
    audit_id: msgspec.Raw = msgspec.field(name="auditID")
    kind: str = ""


_Item = bytes | msgspec.Raw
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_event = msgspec.json.Decoder(_Event).decode
_events = msgspec.json.Decoder(list[_Event]).decode


class EventLines(Sequence[bytes]):
    """The lines of a body, made when they are asked for: a long body is not there twice."""

    def __init__(self, items: Sequence[_Item], kinds: Sequence[str], version: str) -> None:
        """Take events and their kinds; an event without one gets the head that a file's has."""
        self._items, self._kinds = items, kinds
        self._head = b'{"kind":"Event","apiVersion":"%b"' % version.encode()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def last(self) -> _Item:
        """The last event as it came: no copy is made."""
        return self._items[-1]

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        item = memoryview(self._items[index])
        if self._kinds[index]:
            line = b"".join((item, b"\n"))
        else:
            line = b"".join((self._head, b",", item[1:], b"\n"))  # it has members: its id
        if line.find(b"\n") == len(line) - 1 and b"\r" not in line:
            return line
        return line.translate(None, LINE_BREAKS) + b"\n"


def lines_of(body: bytes | bytearray) -> EventLines:
    """Return the events of an EventList, of a bare array or of one event, a line each.

    Raise NoEventsError where it is not JSON, or something else than audit events.
    """
    try:
        if _ARRAY.match(body):
            return _lines_of_array(body, _VERSION, many=_many(body))
        found = _members_of(body)
        kind, version = _said(found, "kind"), _checked(_said(found, "apiVersion"))
        if kind == "EventList":
            if "items" not in found:
                raise NoEventsError("the list has no items")
            listed = memoryview(found["items"])
            if bytes(listed[:5]) == b"null":
                return EventLines((), (), version)
            return _lines_of_array(listed, version, many=_many(body))
        if kind == "Event":
            item = bytes(body).strip()
            return EventLines((item,), (_kind_of(item),), version)
    except json_scan.NotJsonError as error:
        raise NoEventsError(f"the body is no JSON from byte {error} on") from None
    except REFUSED as error:
        raise NoEventsError(f"the body is no JSON of audit events: {error}") from None
    raise NoEventsError(f"kind is {kind[:64]!r}; an EventList or an Event is taken")


def _many(body: bytes | bytearray) -> bool:
    """Say whether there may be too many events: to decode them all at once takes memory."""
    return body.count(_SIGN) > MOST_EVENTS


def _members_of(body: bytes | bytearray) -> dict[str, Any]:
    """Return the members of the object, each as its bytes; one that is said twice is refused."""
    try:
        found: dict[str, Any] = _members(body)
    except REFUSED:
        pairs = [(_text(key), value) for key, value in json_scan.members(json_scan.whole(body))]
        found = dict(pairs)
        once = len(found) == len(pairs)
    else:
        once = _are_all(found, body)
    if not once:
        raise NoEventsError("a member of the list is there twice")
    return found


def _are_all(found: Mapping[str, msgspec.Raw], body: bytes | bytearray) -> bool:
    """Say whether *body* is made of these members and nothing else."""
    at, left = 0, dict(found)
    while left:
        name = _MEMBER.match(body, at)
        value = left.pop(name[1].decode(), None) if name else None
        if name is None or value is None or not body.startswith(memoryview(value), name.end()):
            return False
        at = name.end() + len(memoryview(value))
    return _END.fullmatch(body, at) is not None or not found


def _said(members: Mapping[str, Any], name: str) -> str:
    return _text(members[name]) if name in members else ""


def _checked(version: str) -> str:
    """Return the version for the items; an API of something else has other events."""
    if version and not version.startswith("audit.k8s.io/"):
        raise NoEventsError(f"apiVersion is {version[:64]!r}; audit.k8s.io/v1 is taken")
    return version or _VERSION


def _lines_of_array(
    array: bytes | bytearray | memoryview, version: str, *, many: bool
) -> EventLines:
    try:
        if not many:
            known = [_checked_kind(event.kind) for event in _events(array)]
            return EventLines(raws(array), known, version)
    except msgspec.ValidationError as error:
        raise NoEventsError(f"an item is no audit event: {error}") from None
    except REFUSED:
        pass  # something in an event that only `json_scan` passes over
    items: list[bytes] = []
    kinds: list[str] = []
    for item in json_scan.items(json_scan.whole(array)):
        if len(items) == MOST_EVENTS:
            raise NoEventsError(f"there are more than {MOST_EVENTS} events; send fewer at once")
        kinds.append(_kind_of(item))
        items.append(item)
    return EventLines(items, kinds, version)


def _kind_of(item: bytes) -> str:
    """Return the kind of an event, '' where it is not said."""
    try:
        return _checked_kind(_event(item).kind)
    except msgspec.ValidationError as error:
        raise NoEventsError(f"an item is no audit event: {error}") from None
    except REFUSED:
        members = dict(json_scan.members(json_scan.whole(item)))
    if _SIGN not in members:
        raise NoEventsError("an item has no auditID")
    return _checked_kind(_text(members.get(b'"kind"', b'""')))


def _checked_kind(kind: str) -> str:
    if kind not in ("", "Event"):
        raise NoEventsError(f"an item is a {kind[:64]!r}; events are taken")
    return kind
