"""Tells the members or items of JSON text apart; nothing is built and nothing recurses.

For the lines that the fast decoder refuses: bodies may nest thousands of levels, hold lone
surrogates or invalid UTF-8, and still each member's bytes can be told apart.
"""

import re
from collections.abc import Iterator

_BLANK = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"')
_SCALAR = re.compile(rb"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_CLOSERS = {b"{": b"}", b"[": b"]"}
_MOST_LEVELS = 100_000  # ten times what Go reads


class NotJsonError(ValueError):
    """The text is not what was looked for at this place."""


def skip_blank(data: bytes, at: int) -> int:
    return _match(_BLANK, data, at)


def _match(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at)
    if found is None:
        raise NotJsonError(at)
    return found.end()


def _expect(data: bytes, at: int, sign: bytes) -> int:
    at = skip_blank(data, at)
    if data[at : at + 1] != sign:
        raise NotJsonError(at)
    return at + 1


def _after_key(data: bytes, at: int) -> int:
    return _expect(data, _match(_STRING, data, skip_blank(data, at)), b":")


def end_of_value(data: bytes, at: int) -> int:
    """Find where the JSON value that starts at `at` ends; NotJsonError if none does."""
    awaited: list[bytes] = []
    while True:
        at = skip_blank(data, at)
        first = data[at : at + 1]
        if closer := _CLOSERS.get(first):
            if len(awaited) == _MOST_LEVELS:
                raise NotJsonError(at)
            inner = skip_blank(data, at + 1)
            if data[inner : inner + 1] != closer:
                awaited.append(closer)
                at = _after_key(data, inner) if closer == b"}" else inner
                continue
            at = inner + 1
        else:
            at = _match(_STRING if first == b'"' else _SCALAR, data, at)
        while awaited:
            at = skip_blank(data, at)
            sign = data[at : at + 1]
            at += 1
            if sign == b",":
                at = _after_key(data, at) if awaited[-1] == b"}" else at
                break
            if sign != awaited.pop():
                raise NotJsonError(at)
        else:
            return at


def whole(text: bytes | bytearray | memoryview) -> bytes:
    """Return *text*, without blanks around it, if it is one value and nothing behind it.

    Raise NotJsonError else.
    """
    data = bytes(text).strip()
    if (end := end_of_value(data, 0)) != len(data):
        raise NotJsonError(end)
    return data


def members(data: bytes, at: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Give each member of the object at `at`: its key as written, with quotes, and its bytes."""
    at = skip_blank(data, _expect(data, at, b"{"))
    while data[at : at + 1] != b"}":
        key_end = _match(_STRING, data, at)
        start = skip_blank(data, _expect(data, key_end, b":"))
        end = end_of_value(data, start)
        yield data[at:key_end], data[start:end]
        at = _next(data, end, b"}")


def items(data: bytes) -> Iterator[bytes]:
    """Give the bytes of each item of an array."""
    at = skip_blank(data, _expect(data, 0, b"["))
    while data[at : at + 1] != b"]":
        end = end_of_value(data, at)
        yield data[at:end]
        at = _next(data, end, b"]")


def _next(data: bytes, at: int, closer: bytes) -> int:
    at = skip_blank(data, at)
    if data[at : at + 1] == closer:
        return at
    at = skip_blank(data, _expect(data, at, b","))
    if data[at : at + 1] == closer:
        raise NotJsonError(at)
    return at
