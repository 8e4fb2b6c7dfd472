"""Takes JSON apart by one level, where nothing can hide between what is found.

The lengths of what was found must add up to the whole's: a name that repeats or is escaped, and
white space, would be left over.
"""

import msgspec

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_REFUSED = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)


def members_of(value: bytes) -> list[tuple[bytes, bytes]] | None:
    """Return the members of an object; None unless each is there once, and nothing between them."""
    try:
        found = _object(value)
    except _REFUSED:
        return None
    members = [(name.encode(), bytes(member)) for name, member in found.items()]
    size = sum(len(name) + len(member) + 4 for name, member in members)  # quotes, colon, comma
    return members if members and size + 1 == len(value) else None


def items_of(value: bytes) -> list[bytes] | None:
    """Return the elements of an array; None if there is none, or anything between them."""
    try:
        items = [*map(bytes, _array(value))]
    except _REFUSED:
        return None
    return items if items and sum(map(len, items)) + len(items) + 1 == len(value) else None
