"""Reads a large list or table item by item, and what surrounds the items.

Reading fifty megabytes of pods as one value would hold some five million small objects; item by
item it holds one pod's.
"""

from typing import NamedTuple

import msgspec

LARGE_BYTES = 256 * 1024  # below this one pass over the whole is cheaper


class Parts(NamedTuple):
    frame: bytes  # the list with no items in it
    cut: bytes  # what of the frame the items follow
    items: list[bytes]


class _List(msgspec.Struct, gc=False):
    items: list[msgspec.Raw] | None = None
    rows: list[msgspec.Raw] | None = None


_decode = msgspec.json.Decoder(_List).decode


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
    items = [bytes(item) for item in raw]
    start += len(name)
    at = start
    for item in items:
        if not body.startswith(item, at) or body[at + len(item) : at + len(item) + 1] not in b",]":
            return None
        at += len(item) + 1
    if body[at - 1 : at] != b"]":
        return None
    frame = body[:start] + body[at - 1 :]
    return Parts(frame, name, items) if frame.count(name) == 1 else None


def joined(parts: Parts, frame: bytes, items: list[bytes]) -> bytes:
    """Put items back into a frame that may have changed around them."""
    start = frame.index(parts.cut) + len(parts.cut)
    return frame[:start] + b",".join(items) + frame[start:]
