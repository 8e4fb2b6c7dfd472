"""Reads a large list or table item by item, and what surrounds the items.

Reading fifty megabytes of pods as one value would hold some five million small objects; item by
item it holds one pod's. The items stay views of the list: only what is changed is there once more.
"""

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import msgspec

LARGE_BYTES = 256 * 1024  # below this one pass over the whole is cheaper


class Parts(NamedTuple):
    frame: bytes  # the list with no items in it
    cut: bytes  # what of the frame the items follow
    start: int  # of the first item in the list
    items: list[msgspec.Raw]


class _List(msgspec.Struct, gc=False):
    items: list[msgspec.Raw] | None = None
    rows: list[msgspec.Raw] | None = None


_decode = msgspec.json.Decoder(_List).decode
check_json = msgspec.json.Decoder(msgspec.Raw).decode  # raises a msgspec error for what is none


def parts_of(body: bytes) -> Parts | None:
    """Take a list apart; nothing when it is none, or not written in the usual compact way."""
    if b'"items":[' not in body and b'"rows":[' not in body:
        return None
    try:
        listing = _decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    name, raw = (b'"items":[', listing.items) if listing.items else (b'"rows":[', listing.rows)
    start = body.find(name)
    if not raw or start < 0:
        return None
    start += len(name)
    at = start
    for item in raw:
        end = at + len(item)
        if not body.startswith(bytes(item), at) or body[end : end + 1] not in b",]":
            return None
        at = end + 1
    if body[at - 1 : at] != b"]":
        return None
    frame = body[:start] + body[at - 1 :]
    return Parts(frame, name, start, raw) if frame.count(name) == 1 else None


def parts_of_large(body: bytes) -> Parts | None:
    """Do the same with a large body; nothing for any other."""
    return parts_of(body) if len(body) > LARGE_BYTES else None


def rewritten(body: bytes, parts: Parts, frame: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Put items that *change* has changed back into their list, in a frame that may be another.

    The same object when nothing has changed.
    """
    out, view = BytesIO(), memoryview(body)  # which grows in place, unlike a list of parts
    start = frame.index(parts.cut) + len(parts.cut)
    out.write(frame[:start])
    at = kept = parts.start
    for item in parts.items:
        old = bytes(item)
        new = change(old)
        end = at + len(old)
        if new is not old:
            out.write(view[kept:at])
            out.write(new)
            kept = end
        at = end + 1
    if kept == parts.start and frame is parts.frame:
        return body
    out.write(view[kept : at - 1])
    out.write(frame[start:])
    return out.getvalue()
