"""Encodes who asked by the shape of what is said of it: all but what is a token's or a pod's own.

`quick_line/caller.c` is the same in C.
"""

import re
from collections.abc import Mapping

from k8s_audit_otlp.otlp.templates import Template, filled

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
