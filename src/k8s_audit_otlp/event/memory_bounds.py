"""Bounds the memory that decoding a hostile line takes: what costs too much goes before it.

Every short text of a list costs some 60 bytes once it is decoded. Bodies are never decoded, and
the rest of an event is bounded by the headers of a request: Go reads 1 MiB of them.
"""

from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Any

import msgspec

from k8s_audit_otlp.model import AuditEvent

MAX_OUTSIDE_BODIES = 2 << 20  # bytes of an event outside its bodies that are taken as they are
LONGEST_TEXT = 1 << 20  # bytes of one string that is cleaned; Go reads and etcd keeps none longer
LARGE_BODY = 4 << 20  # bytes of a body that is taken apart whatever its shape
_PIECE = 45  # bytes that a short piece takes
_MASS = 1 << 20  # bytes of a list or an object that is looked at
_MOST_TIMES = 3
_TEXT_PIECE = 1 << 20  # bytes; of a text with one wide character, Python makes four for each byte
_EACH = 60  # bytes that one decoded text costs
_UNKNOWN = "unknown members"
_BODIES = ("requestObject", "responseObject")


def _raw(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Make a struct that reads the same members and leaves each as it stands."""
    empty = msgspec.Raw(b"")
    fields = [(name, msgspec.Raw, empty) for name in kind.__struct_encode_fields__]
    return msgspec.defstruct(f"Raw{kind.__name__}", fields)


_decode = msgspec.json.Decoder(_raw(AuditEvent)).decode
_INSIDE = {
    field.encode_name: msgspec.json.Decoder(_raw(kind)).decode
    for field in msgspec.structs.fields(AuditEvent)
    for kind in getattr(field.type, "__args__", (field.type,))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
}


def check_utf8(text: bytes) -> None:
    """Raise UnicodeDecodeError for what is no UTF-8: no decoder looks at members that it skips."""
    if not text.isascii():
        decode_piece = getincrementaldecoder("utf-8")().decode
        for at in range(0, len(text), _TEXT_PIECE):
            decode_piece(text[at : at + _TEXT_PIECE], final=at + _TEXT_PIECE >= len(text))


def as_utf8(text: bytes) -> bytes:
    """Make it UTF-8, as every string on the wire must be."""
    try:
        check_utf8(text)
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace").encode()
    return text


def is_long_outside_bodies(line: bytes, *bodies: bytes | msgspec.Raw) -> bool:
    """Tell a line that has more outside its bodies than is taken as it is."""
    return len(line) - sum(map(len, bodies)) > MAX_OUTSIDE_BODIES


def is_costly_to_split(value: bytes) -> bool:
    """Tell a large value that would cost several times its size once it is split at its quotes."""
    return len(value) > LARGE_BODY and value.count(b'"') * _PIECE > _MOST_TIMES * len(value)


def is_costly_to_decode(value: bytes) -> bool:
    """Tell a list or an object that would cost several times its size."""
    if len(value) <= _MASS or value[:1] not in (b"{", b"["):
        return False
    return (value.count(b'"') // 2 + value.count(b",")) * _EACH > _MOST_TIMES * len(value)


def without_costly_members(line: bytes, wrong: list[str]) -> bytes:
    """Return the line without costly members outside its bodies; their names go to *wrong*."""
    if len(line) <= MAX_OUTSIDE_BODIES:
        return line
    try:
        members = _members(line, _decode)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return line
    if not is_long_outside_bodies(line, *(members.get(name, b"") for name in _BODIES)):
        return line
    before = len(wrong)
    kept = {}
    for name, value in members.items():
        if name in _BODIES or not is_costly_to_decode(value):
            kept[name] = value
        elif name in _INSIDE and value[:1] == b"{":
            kept[name] = _thinned(name + ".", value, wrong)
        else:
            wrong.append(name)
    if len(line) - sum(map(len, members.values())) > MAX_OUTSIDE_BODIES:
        wrong.append(_UNKNOWN)
    return _object(kept) if len(wrong) > before else line


def _thinned(path: str, value: bytes, wrong: list[str]) -> bytes:
    inside = _members(value, _INSIDE[path[:-1]])
    wrong += [path + name for name, inner in inside.items() if is_costly_to_decode(inner)]
    if len(value) - sum(map(len, inside.values())) > _MASS:
        wrong.append(path + _UNKNOWN)
    return _object(
        {name: inner for name, inner in inside.items() if not is_costly_to_decode(inner)}
    )


def _members(value: bytes, decode: Callable[[bytes], Any]) -> dict[str, bytes]:
    read = decode(value)
    pairs = zip(read.__struct_encode_fields__, msgspec.structs.astuple(read), strict=True)
    return {name: bytes(raw) for name, raw in pairs if raw}


def _object(members: dict[str, bytes]) -> bytes:
    return b"{%b}" % b",".join([b'"%b":%b' % (n.encode(), v) for n, v in members.items()])
