"""Encoders of one attribute each: what depends on its key and a length only is built once.

A value that is new (a token's id, a pod's name) then costs a look-up and a join. Each encoder gives
the bytes of `wire.attribute(key, value)`, and nothing for a value that is missing, empty or false;
a number may be 0.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.interned import MAX_FRAME_LENGTH, Frames, Heads, Interned

AttributeEncoder = Callable[[Any], bytes]


class TextAttribute:
    """A string; *longest* characters of it, if given."""

    def __init__(self, key: str, longest: int | None = None) -> None:
        name = key.encode()
        self._longest = longest
        self._heads = Heads(lambda size: wire.string_head(name, size), MAX_FRAME_LENGTH)

    def __call__(self, value: str) -> bytes:
        if not value:
            return b""
        data = value[: self._longest].encode("utf-8", "replace")
        return self._heads[len(data)] + data


class TextAttributes:
    """The same string under several keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._frames = Frames(keys)

    def __call__(self, value: str) -> bytes:
        data = value.encode("utf-8", "replace")
        return data.join(self._frames[len(data)])


class ListAttribute:
    """A list of strings. Lists of several are few (the groups of users), so they are kept whole."""

    def __init__(self, key: str) -> None:
        self._key = key
        name = key.encode()
        self._heads = Heads(lambda size: wire.list_head(name, size), MAX_FRAME_LENGTH)
        self._several = Interned(lambda values: wire.attribute(key, values))

    def __call__(self, values: Sequence[str]) -> bytes:
        if not values:
            return b""
        if len(values) == 1:
            data = values[0].encode("utf-8", "replace")
            return self._heads[len(data)] + data
        return self._several[tuple(values)]


class MapAttributes:
    """An attribute for each entry of a map, under *prefix* and the entry's key."""

    def __init__(self, prefix: str, encoder: Callable[[str], AttributeEncoder]) -> None:
        self._encoders: Interned[AttributeEncoder] = Interned(lambda key: encoder(prefix + key))

    def __call__(self, items: Sequence[tuple[str, Any]]) -> bytes:
        return b"".join([self._encoders[key](value) for key, value in items])


def plain(key: str) -> AttributeEncoder:
    """Encode a number, or true."""
    return lambda value: (
        b"" if value is None or value is False or value == "" else wire.attribute(key, value)
    )


ENCODERS: Mapping[str, Callable[[str], AttributeEncoder]] = {
    "string": TextAttribute,
    "string[]": ListAttribute,
    "int": plain,
    "bool": plain,
    "double": plain,
}
