"""Attributes encoded once with marks in them, and then filled with values of any length.

Tokens, pods and namespaces come and go; the attributes that tell of them are the same but for a few
values. Such a value stands in a *shape* as NUL, which no plain text holds.

`quick_line/caller.c` is `caller` in C.
"""

import re
from collections.abc import Mapping
from typing import TypeAlias

from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.interned import Frames, Interned

# Bytes, and between each two the number of a value and its frames.
Template: TypeAlias = tuple[bytes | int | Frames, ...]
_MARK = "\0"
_NUL = _MARK.encode()
_TEXT = rb'[^"\\\x00-\x1f]*'  # needs no escape in JSON
_LIST = rb'\["%b"(?:,"%b")*\]' % ((_TEXT,) * 2)
_EXTRA = rb'"%b":\["%b"\]' % ((_TEXT,) * 2)
_CALLER = re.compile(
    # Service accounts and nodes are many: what tells one of them stays.
    rb'"user":\{"username":"(?:(?P<many>(?:system:serviceaccount:|system:node:)(?P<name>%b))|%b)"'
    rb'(?:,"uid":"(?P<uid>%b)")?(?:,"groups":%b)?(?:,"extra":\{(?P<extra>%b(?:,%b)*)\})?\}'
    rb'(?:,"sourceIPs":\["(?P<address>%b)"\])?(?:,"userAgent":"(?P<agent>%b)")?'
    % (_TEXT, _TEXT, _TEXT, _LIST, _EXTRA, _EXTRA, _TEXT, _TEXT)
).fullmatch
_EXTRA_VALUES = re.compile(rb'(?<=:\[")%b' % _TEXT)
_MOST_VALUES, _LONGEST_SHAPE = 16, 2048  # of who asked; bytes


def mark(number: int) -> str:
    """Return what stands for the value of a number."""
    return f"{_MARK}{number}"


def has_mark(text: str) -> bool:
    return _MARK in text


def with_marks(shape: bytes) -> bytes:
    """Return a shape as JSON in which each NUL is a mark of its own."""
    first, *others = shape.split(_NUL)
    return first + b"".join(b"\\u0000%d%b" % each for each in enumerate(others))


class Templates:
    """Makes templates, which share the frames of each attribute."""

    def __init__(self, longest: int) -> None:
        """*longest*: bytes of the longest value that fits in."""
        self._longest = longest
        self._frames: Interned[Frames] = Interned(self._frames_of)

    def of(self, attributes: bytes) -> Template:
        """Make a template of attributes: texts with a mark go, alone or as the one of a list."""
        parts: list[bytes | int | Frames] = []
        kept = b""
        for tag, pair in wire.fields(attributes):
            if _NUL not in pair:
                kept += wire.delimited(tag, pair)
                continue
            (_, key), (_, value) = wire.fields(pair)
            text, in_list = _text_of(value)
            _, is_marked, number = text.partition(_NUL)
            if is_marked:
                parts += kept, int(number), self._frames[key.decode(), in_list]
                kept = b""
            else:
                kept += wire.delimited(tag, pair)
        return (*parts, kept)

    def _frames_of(self, key: tuple[str, bool]) -> Frames:
        name, in_list = key
        return Frames([name], self._longest, wire.list_head if in_list else wire.string_head)


def _text_of(value: bytes) -> tuple[bytes, bool]:
    """Return the text of a value, empty where it is none, and whether it is a list's only one."""
    kind, text = next(wire.fields(value), (b"", b""))
    if kind != wire.ARRAY:
        return text, False
    items = [*wire.fields(text)]
    return (_text_of(items[0][1])[0] if len(items) == 1 else b"", True)


def frame_of(template: Template, size: int) -> tuple[bytes, ...]:
    """Return what is around the only value of a template, for a length of it."""
    parts = [b""]
    for part in template:
        if isinstance(part, bytes):
            parts[-1] += part
        elif isinstance(part, Frames):
            first, *others = part[size]
            parts[-1] += first
            parts += others
    return tuple(parts)


def filled(template: Template, values: list[bytes]) -> bytes:
    """Put values into their places."""
    parts: list[bytes] = []
    value = b""
    for part in template:
        match part:
            case bytes():
                parts.append(part)
            case int():
                value = values[part]
            case Frames():
                parts.append(value.join(part[len(value)]))
    return b"".join(parts)


def caller(key: bytes, templates: Mapping[bytes, Template | None]) -> bytes | None:
    """Encode who asked, by the template of its shape.

    Returns None where it is not written as the apiserver does, or has no template.
    """
    form = _CALLER(key)
    if form is None:
        return None
    extra = [value.span() for value in _EXTRA_VALUES.finditer(key, *form.span("extra"))]
    places = [form.span("name"), form.span("uid"), *extra, form.span("address"), form.span("agent")]
    places = [place for place in places if place[0] >= 0]
    starts, ends = zip(*places, (len(key), 0), strict=True)
    shape = b"\0".join(map(key.__getitem__, map(slice, (0, *ends), starts)))
    if len(places) > _MOST_VALUES or len(shape) >= _LONGEST_SHAPE:
        return None
    template = templates[shape]
    if template is None:
        return None
    values = [key[start:end] for start, end in places]
    if form["many"]:
        values[0] = form["many"]
    return filled(template, values)
