"""An audit webhook's body as lines: exactly what the apiserver would have written to its file.

The items of an EventList carry no `kind`; the lines of a file do. Pure.
"""

import re

import msgspec

from k8s_audit_otlp.event.wrappers import detect, is_audit, unwrap

_ARRAY = re.compile(rb"\s*\[")
_LINE_BREAKS = b"\r\n"  # never inside a JSON string, so they can be taken out anywhere


class NoEventsError(ValueError):
    """The body holds no audit events; says what it holds instead."""


class _Typed(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""


class _EventList(msgspec.Struct, rename="camel"):
    kind: str = ""
    api_version: str = ""
    items: list[msgspec.Raw] | None = None


_typed = msgspec.json.Decoder(_Typed).decode
_list = msgspec.json.Decoder(_EventList).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_VERSION = "audit.k8s.io/v1"


def lines_of(body: bytes | bytearray) -> list[bytes]:
    """Return the events of an EventList, of a bare array or of one event, a line each.

    Raises:
        NoEventsError: it is not JSON, or something else than audit events.

    """
    try:
        if _ARRAY.match(body):  # a body may be long: it is not copied
            return [_line(bytes(item), _VERSION) for item in _array(body)]
        found = _list(body)
        if found.kind == "EventList":
            version = _checked(found.api_version)
            return [_line(bytes(item), version) for item in found.items or ()]
        if found.kind == "Event":
            return [_line(bytes(body).strip(), _checked(found.api_version))]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoEventsError(f"the body is no JSON of audit events: {error}") from None
    raise NoEventsError(f"kind is {found.kind[:64]!r}; an EventList or an Event is taken")


def lines_in(message: bytes) -> tuple[list[bytes], int]:
    """Return the events of a message in any frame, and how many texts in it are none.

    A torn event is a line as well: its record says that it could not be read.
    """
    if message.lstrip().startswith(b"["):
        return _lines_in_array(message)
    found: list[bytes] = []
    left_out = 0
    one = message.lstrip().startswith(b"{")
    for line in [message] if one else message.split(b"\n"):
        for framed in unwrap(line, detect(line)) if line.strip() else ():
            if not is_audit(framed.text):
                left_out += 1
                continue
            try:
                found += lines_of(framed.text)
            except NoEventsError:
                found.append(framed.text.translate(None, _LINE_BREAKS) + b"\n")
    return found, left_out


def _lines_in_array(message: bytes) -> tuple[list[bytes], int]:
    """Look into each member as if it had come alone; a broken array is one text."""
    try:
        members = [bytes(member) for member in _array(message)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [], 1
    found: list[bytes] = []
    left_out = 0
    for member in members:
        lines, none = lines_in(member) if member.startswith(b"{") else ([], 1)
        found += lines
        left_out += none
    return found, left_out


def _checked(version: str) -> str:
    """Return the version for the items; an API of something else has other events."""
    if version and not version.startswith("audit.k8s.io/"):
        raise NoEventsError(f"apiVersion is {version[:64]!r}; audit.k8s.io/v1 is taken")
    return version or _VERSION


def _line(item: bytes, version: str) -> bytes:
    if not item.startswith(b"{"):
        raise NoEventsError("an item is not an object")
    if not item.startswith(b'{"kind":') and not _typed(item).kind:
        rest = item[1:].lstrip()
        comma = b"" if rest.startswith(b"}") else b","
        item = b'{"kind":"Event","apiVersion":"%b"%b%b' % (version.encode(), comma, rest)
    return item.translate(None, _LINE_BREAKS) + b"\n"
