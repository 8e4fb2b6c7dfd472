"""Reads the events of a line. Nothing raises, nothing is dropped, nothing is guessed.

`decode` is the fast way: one typed pass, for a line that is one plain event. What it refuses, or
what is no plain event, goes through `read_line`, which reads anything: wrong types, lists of
events, legacy text, torn lines with a whole event glued behind them, and lines that are no JSON.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from k8s_audit_otlp.event.json_scan import NotJsonError, end_of_value, items, members, skip_blank
from k8s_audit_otlp.event.legacy import as_json, read_legacy
from k8s_audit_otlp.event.memory_bounds import MAX_OUTSIDE_BODIES, as_utf8, without_costly_members
from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.model import (
    AuditEvent,
    AuthenticationMetadata,
    LegacyMetadata,
    ObjectRef,
    Status,
    UserInfo,
)

_decode: Callable[[bytes], AuditEvent] = msgspec.json.Decoder(AuditEvent).decode
BOM = b"\xef\xbb\xbf"
MAX_SEEK = 256  # starts of an event that are tried in one torn line
_EVENT_START = re.compile(rb'\{\s*"kind"\s*:\s*"Event"')
_BLANKS = b" \t\r\n\x00"
_REMOVED = b"[unparsable, "
UNREAD = re.compile(rb"\[unparsable, (\d{1,20}) bytes removed\]")  # what stands for such a text
_INT32 = range(-(1 << 31), 1 << 31)

REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)  # what `decode` may raise
NOT_JSON = "not JSON"
NO_EVENT = "not an audit event"


def decode(line: bytes) -> AuditEvent:
    """Decode a line that is one event as kube-apiserver writes them; REFUSED for any other."""
    if len(line) > MAX_OUTSIDE_BODIES and without_costly_members(line, []) is not line:
        raise ValueError("more outside its bodies than any event has")
    return _decode(line)


class ReadEvent(NamedTuple):
    """One event of a line, with its own JSON and the place in the line where that starts."""

    event: AuditEvent
    body: bytes
    at: int = 0
    item: int = -1  # its index in the EventList or array that it came in
    fault: str = ""  # what could not be read

    @property
    def is_unread(self) -> bool:
        """Tell whether nothing of it could be read."""
        return self.body.startswith(_REMOVED)


def _leading_noise(line: bytes) -> int:
    """Count the bytes before the text: NUL runs (a hole of copytruncate) and byte order marks."""
    at = 0
    while True:
        start = at
        at += len(line) - at - len(line[at:].lstrip(b"\x00")) if line[at : at + 1] == b"\x00" else 0
        at += 3 if line.startswith(BOM, at) else 0
        if at == start:
            return at


def read_line(line: bytes) -> list[ReadEvent]:
    """Read whatever a line holds; none for a blank one only, an empty list is told as no event."""
    skipped = _leading_noise(line)
    text = line[skipped:].rstrip(_BLANKS)
    if not text.strip(_BLANKS):
        return []
    found = _read_text(text) or [_unread(len(text), 0, NO_EVENT)]
    return [each._replace(at=each.at + skipped) for each in found]


def _read_text(text: bytes) -> list[ReadEvent]:
    try:
        wrong: list[str] = []
        value = without_costly_members(as_utf8(text), wrong)
        if is_event(event := decode(value)):
            return [_checked(event, value, wrong)]
    except REFUSED:
        pass
    if UNREAD.fullmatch(text):  # another agent could not read it
        return [ReadEvent(AuditEvent(), text, fault=NOT_JSON)]
    start = skip_blank(text, 0)
    try:
        if end_of_value(text, start) == len(text):
            return list(_read_value(text, start))
    except NotJsonError:
        pass
    if (legacy := read_legacy(text)) is not None:
        return [ReadEvent(legacy, as_json(legacy))]
    return list(_seek(text))


def _read_value(text: bytes, at: int) -> Iterator[ReadEvent]:
    """Read a whole JSON value: an event, a list of events, an array of them or something else."""
    value = text[at:]
    if value.startswith(b"{"):
        known = _members(value)
        if _text_of(known, "kind") == "EventList" and known.get("items", b"").startswith(b"["):
            yield from _read_items(known["items"], at)
        else:
            yield _read_object(value)._replace(at=at)
    elif value.startswith(b"["):
        yield from _read_items(value, at)
    else:
        yield _unread(len(value), at, NO_EVENT)


def _read_items(array: bytes, at: int) -> Iterator[ReadEvent]:
    for index, item in enumerate(items(array)):
        if item.startswith(b"{"):
            read = _read_object(item)
            if read.fault != NO_EVENT:
                read.event.kind = "Event"
        else:
            read = _unread(len(item), at, NO_EVENT)
        yield read._replace(at=at, item=index)


def _unread(size: int, at: int, fault: str) -> ReadEvent:
    body = b"%b%d bytes removed]" % (_REMOVED, size)
    return ReadEvent(AuditEvent(), body, at, fault=fault)


def _read_object(value: bytes) -> ReadEvent:
    wrong: list[str] = []
    value = without_costly_members(as_utf8(value), wrong)
    try:
        return _checked(decode(value), value, wrong)
    except REFUSED:
        return _checked(_lenient(AuditEvent, _members(value), "", wrong), value, wrong)


def _checked(event: AuditEvent, value: bytes, wrong: list[str]) -> ReadEvent:
    """Look at what the types do not promise."""
    if not is_event(event):
        # All of another object is taken for a body, so that redaction looks everywhere.
        event.request_object = msgspec.Raw(value)
        return ReadEvent(event, value, fault=NO_EVENT)
    if leave_out_wide_code(event):
        wrong.append("responseStatus.code")
    wrong += [name for name, time in _times(event) if time and unix_ns(time) is None]
    return ReadEvent(event, value, fault=", ".join(wrong))


def leave_out_wide_code(event: AuditEvent) -> bool:
    """Take out a code that no answer has and no record can hold; tell whether there was one."""
    status = event.response_status
    if status is None or status.code in _INT32:
        return False
    status.code = 0
    return True


def is_event(event: AuditEvent) -> bool:
    """Tell an audit event from another object; items of an EventList have no kind."""
    if event.kind:
        return event.kind == "Event"
    return bool(event.audit_id or event.stage or event.level or event.verb or event.request_uri)


def _times(event: AuditEvent) -> Iterator[tuple[str, str | None]]:
    yield "stageTimestamp", event.stage_timestamp
    yield "requestReceivedTimestamp", event.request_received_timestamp
    yield "timestamp", event.timestamp


def _seek(text: bytes) -> Iterator[ReadEvent]:
    """Find the whole events in a line that is not JSON; what lies between them is removed.

    An event counts where nothing torn comes before it, or where the line or the next event begins
    after it: an object inside a torn body is followed by something else, and stays removed.
    """
    done = 0
    for found in list(_EVENT_START.finditer(text))[-MAX_SEEK:]:
        start = found.start()
        if start < done:
            continue
        try:
            end = end_of_value(text, start)
        except NotJsonError:
            continue
        rest = text[end:].lstrip(_BLANKS)
        if text[done:start].strip(_BLANKS) and rest and not _EVENT_START.match(rest):
            continue
        yield from _removed(text, done, start)
        yield _read_object(text[start:end])._replace(at=start)
        done = end
    yield from _removed(text, done, len(text))


def _removed(text: bytes, start: int, end: int) -> Iterator[ReadEvent]:
    if text[start:end].strip(_BLANKS):
        yield _unread(end - start, start, NOT_JSON)


# Lenient reading: a member of the wrong type is left out and named.

_STRUCTS: dict[str, type[msgspec.Struct]] = {
    "user": UserInfo,
    "impersonatedUser": UserInfo,
    "authenticationMetadata": AuthenticationMetadata,
    "objectRef": ObjectRef,
    "responseStatus": Status,
    "metadata": LegacyMetadata,
}
_LISTS = frozenset({"sourceIPs", "user.groups", "impersonatedUser.groups"})


def _members(value: bytes) -> dict[str, bytes]:
    """Split an object; of a repeated key the last counts, as it does everywhere else."""
    return {_load(key): member for key, member in members(value)}


def _load(value: bytes) -> Any:
    """Read a JSON value; what is not UTF-8, and a lone surrogate, becomes U+FFFD."""
    return _whole_text(json.loads(value.decode("utf-8", "replace")))


def _whole_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _text_of(known: dict[str, bytes], name: str) -> str:
    member = known.get(name, b"")
    return _load(member) if member.startswith(b'"') else ""


def _lenient(
    kind: type[msgspec.Struct], known: dict[str, bytes], path: str, wrong: list[str]
) -> Any:
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        name = path + field.encode_name
        member = known.get(field.encode_name, b"null")
        if member == b"null":
            continue
        if field.type is msgspec.Raw:
            values[field.name] = msgspec.Raw(member)
            continue
        try:
            values[field.name] = _read_member(name, member, field.type, wrong)
        except (ValueError, RecursionError):
            wrong.append(name)
    return kind(**values)


def _read_member(name: str, member: bytes, kind: Any, wrong: list[str]) -> Any:
    if name in _STRUCTS:
        return _lenient(_STRUCTS[name], _members(member), name + ".", wrong)
    value = _load(member)
    if kind is int:
        if type(value) is not int or value not in _INT32:
            raise ValueError(name)
        return value
    if name in _LISTS:
        return _texts(value, name, wrong)
    if name in ("user.extra", "impersonatedUser.extra"):
        return {_whole_text(k): _texts(v, name, wrong) for k, v in _pairs(value) if v is not None}
    if name == "annotations":
        return {_whole_text(k): v for k, (v,) in _notes(value, wrong)}
    if not isinstance(value, str):
        raise ValueError(name)  # noqa: TRY004 # one kind of refusal for all wrong types
    return value


def _pairs(value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError("object")  # noqa: TRY004 # one kind of refusal for all wrong types
    yield from value.items()


def _notes(value: Any, wrong: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for key, each in _pairs(value):
        if texts := _texts([each], "annotations", wrong):
            yield key, texts


def _texts(value: Any, name: str, wrong: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(name)  # noqa: TRY004 # one kind of refusal for all wrong types
    if name not in wrong and any(not isinstance(each, str | None) for each in value):
        wrong.append(name)
    return tuple(_whole_text(each) for each in value if isinstance(each, str))
