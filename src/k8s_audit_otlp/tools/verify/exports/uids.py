"""Reads which segment and place a `log.record.uid` names. Pure.

A place is one integer, so that millions of them fit into an array: the offset of the line and the
index in an EventList.
"""

import re
from functools import lru_cache
from typing import NamedTuple

MOST_NAMED = 5  # uids of what is wrong in one way; of more it is said how many

_IDENTITY = r"([0-9a-f]{16}(?:\.[0-9]{1,6})?)"
_UID = re.compile(_IDENTITY + r"-([0-9a-f]{1,10})(?:\.([0-9]{1,7}))?")  # up to a terabyte
_GAP = re.compile(r"gap-.+-" + _IDENTITY + r"-([0-9a-f]{1,16})-([0-9a-f]{1,16})")
_LOST = re.compile(r"missed-.+")  # before it came into any segment that is known
_NOTICE = re.compile(
    r"receipt-" + _IDENTITY + r"-[0-9]+|(?:agent|skipped|missed|refused|silence|seal|evidence)-.+"
)
# As versions before 0.2 wrote them.
_OLD_GAP = re.compile(_IDENTITY + r"-gap-([0-9a-f]{1,16})-([0-9a-f]{1,16})")
_OLD_RECEIPT = re.compile(_IDENTITY + r"-receipt-[0-9a-f]+")
_ITEM_BITS = 24


class UidPlace(NamedTuple):
    """Where a record comes from: a segment's identity and a place in it."""

    identity: str
    place: int


class NotedGap(NamedTuple):
    """Bytes of a segment of which the agent itself has said that they are missing."""

    identity: str
    start: int
    end: int


def place_of(offset: int, item: int = -1) -> int:
    return offset << _ITEM_BITS | (item + 1)


def line_of(place: int) -> int:
    """Return the first place of the line of an event."""
    return place >> _ITEM_BITS << _ITEM_BITS


def offset_of(place: int) -> int:
    return place >> _ITEM_BITS


def is_item(place: int) -> bool:  # of an EventList
    return place & ((1 << _ITEM_BITS) - 1) > 0


def uid_of(identity: str, place: int) -> str:
    """Write a place as the record carries it."""
    item = place & ((1 << _ITEM_BITS) - 1)
    return f"{identity}-{place >> _ITEM_BITS:x}" + (f".{item - 1}" if item else "")


@lru_cache(maxsize=16)  # whoever judges a record asks
def read_uid(uid: str) -> UidPlace | None:
    """Read the uid of an event's record; None if it is none."""
    found = _UID.fullmatch(uid)
    if found is None:
        return None
    identity, offset, item = found.groups()
    return UidPlace(identity, place_of(int(offset, 16), int(item) if item else -1))


def read_gap(uid: str) -> NotedGap | None:
    """Read the uid of a gap's notice, which names the bytes; one without a segment is its own."""
    if _LOST.fullmatch(uid):
        return NotedGap(uid, 0, 0)
    found = _GAP.fullmatch(uid) or _OLD_GAP.fullmatch(uid)
    return NotedGap(found[1], int(found[2], 16), int(found[3], 16)) if found else None


def is_notice(uid: str) -> bool:
    """Say whether it names another of the agent's own records."""
    return (_NOTICE.fullmatch(uid) or _OLD_RECEIPT.fullmatch(uid)) is not None


def is_ours(uid: str) -> bool:
    """Say whether the agent writes such uids."""
    return read_uid(uid) is not None or read_gap(uid) is not None or is_notice(uid)
