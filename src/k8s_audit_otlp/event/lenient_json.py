"""Reads one level of JSON, whatever is inside: half a character, bytes of no text, any depth.

A client chooses what the body of an event holds; the fast decoder refuses some of it, and must not
hide the frame around an event, nor the events beside it. Pure.
"""

import json

import msgspec

from k8s_audit_otlp.event import json_scan

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_raw = msgspec.json.Decoder(msgspec.Raw).decode
REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # by the fast decoder


def object_of(text: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Return the members of an object; raise ValueError where *text* is none."""
    try:
        return _object(text)
    except REFUSED:
        members = json_scan.members(json_scan.whole(bytes(text)))
        return {text_of(key): msgspec.Raw(value) for key, value in members}


def is_object(text: bytes) -> bool:
    try:
        object_of(text)
    except ValueError:
        return False
    return True


def list_of(text: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Return the items of an array; raise ValueError where *text* is none."""
    try:
        return _list(text)
    except REFUSED:
        return [msgspec.Raw(one) for one in json_scan.items(json_scan.whole(bytes(text)))]


def text_of(text: bytes | msgspec.Raw) -> str:
    """Return what a JSON string says, with half a character replaced; ValueError if it is torn."""
    try:
        return _text(text)
    except REFUSED:
        said: str = json.loads(bytes(text))
        return said.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def is_json(text: bytes | msgspec.Raw) -> bool:
    """Say whether *text* is one value, as far as the fast decoder reads it."""
    try:
        _raw(text)
    except REFUSED:
        return False
    return True
