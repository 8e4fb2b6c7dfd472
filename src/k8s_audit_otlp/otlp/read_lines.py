"""Reads the lines of a block: the parts of those that are plain, and what clients chose in them.

What is the name of something may leave where no text of its line shows a sign or a form of a
credential. So all such texts of a block are looked at together, each line with those that are its
own, a *row*: one look at many costs little more than one at a few.

`quick_line/read.c` and `block.c` are the same in C.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from k8s_audit_otlp.event.memory_bounds import check_utf8
from k8s_audit_otlp.otlp.interned import Tables

# What needs no escape in JSON; that bytes above 127 are UTF-8 is checked before.
_TEXT = rb'[^"\\\x00-\x1f]*'
_BEGINNING = b'{"kind":"Event"'
_HEAD = re.compile(
    rb'\{"kind":"Event","apiVersion":"audit\.k8s\.io/v1","level":"(%b)","auditID":"(%b)",'
    rb'"stage":"(%b)","requestURI":"([^"\\?\x00-\x1f]*)(?:\?([^"\x00-\x1f]*))?","verb":"(%b)",'
    % ((_TEXT,) * 4)
).match
_REFERENCE = re.compile(
    rb'("resource":"%b")(?:,"namespace":"(%b)")?(?:,"name":"(%b)")?(?:,"uid":"(%b)")?'
    rb'((?:,"apiGroup":"%b")?(?:,"apiVersion":"%b")?)(?:,"resourceVersion":"(%b)")?'
    rb'((?:,"subresource":"%b")?)\}' % ((_TEXT,) * 8)
).match
_TIME = rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{6})Z"
_END = re.compile(
    rb'%b","stageTimestamp":"%b"(?:,"annotations":(\{.*\}))?\}' % (_TIME, _TIME), re.DOTALL
).fullmatch
_NO_REFERENCE = (b"",) * 7
STATUS = b',"responseStatus":'
_BLANKS = b" \t\r\n"
_OF_UIDS = b"0123456789abcdef-"
_SHORTEST_HEX_KEY = 32  # characters
# Of addresses with a password, escapes, parameters, words, JSON.
_SIGN = re.compile(rb"[@%=;#? \"]").search
_PROXY = b"/proxy/"  # there may be any text behind it


class PlainLine(NamedTuple):
    """The parts of a line as they stand in it, empty where it does not have them."""

    level: bytes
    audit_id: bytes
    stage: bytes
    path: bytes
    query: bytes  # of the URI, with `&` written as `\\u0026`
    verb: bytes
    caller: bytes  # the members user, sourceIPs and userAgent
    front: bytes  # the first member of objectRef
    namespace: bytes
    name: bytes
    uid: bytes
    back: bytes
    version: bytes
    subresource: bytes
    status: bytes  # the member, with the comma before it
    request: bytes  # the bodies; never of level Metadata
    response: bytes
    received: bytes  # to the second
    received_us: bytes  # the microseconds
    staged: bytes
    staged_us: bytes
    annotations: bytes


AllRead: TypeAlias = Any  # ReadLines, or what the compiled part has in its place


class ReadLine(NamedTuple):
    """A plain line of a block."""

    line: bytes
    parts: tuple[bytes, ...]  # those of PlainLine
    next: int  # where the line behind it begins


class ReadLines:
    """The plain lines of a block by where they begin, and which of them have a free row.

    A row is free where none of its texts can hold anything.
    """

    def __init__(self) -> None:
        self.lines: dict[int, ReadLine] = {}
        self.free: set[int] = set()
        self.rows: list[tuple[int, int]] = []  # where each ends, and where its line begins


def read(line: bytes) -> tuple[bytes, ...] | None:
    """Return the parts of a line, those of `PlainLine`; None for any other line."""
    head = _HEAD(line)
    if head is None:
        return None
    caller, found, end = line[head.end() :].partition(b',"objectRef":{')
    reference: tuple[bytes, ...] = _NO_REFERENCE
    if found:
        matched = _REFERENCE(end)
        if matched is None:
            return None
        reference = matched.groups(b"")
        status, _, end = end[matched.end() :].rpartition(b',"requestReceivedTimestamp":"')
    else:
        before, _, end = caller.rpartition(b',"requestReceivedTimestamp":"')
        caller, found, status = before.partition(STATUS)
        status = found + status
    times = _END(end)
    if times is None:
        return None
    asked = request = answered = response = b""
    if head[1] != b"Metadata":
        status, asked, request = status.partition(b',"requestObject":')
        if asked:
            request, answered, response = request.partition(b',"responseObject":')
        else:
            status, answered, response = status.partition(b',"responseObject":')
    named, said = status[: len(STATUS)], status[len(STATUS) :]
    there = ((True, caller), (named == STATUS, said), (asked, request), (answered, response))
    if not all(_is_value(value) for is_there, value in there if is_there):
        return None
    groups = head.groups(b""), times.groups(b"")
    return (*groups[0], caller, *reference, status, request, response, *groups[1])


def _is_value(text: bytes) -> bool:
    """Tell a value as it is written: there, without a blank around it."""
    return text != b"" and text == text.strip(_BLANKS)


def read_all(data: bytes, tables: Tables, /) -> tuple[AllRead, bytes]:
    """Read the lines of a block; return what `run` works on, and rows, if something is redacted.

    A row is those texts of a line that are not known, each with a newline behind it. A line with a
    sign in one of them has none. All rows are taken for free.
    """
    lines, rows = ReadLines(), bytearray()
    at = 0
    while at < len(data):
        begin, end = at, data.find(b"\n", at)
        at = (end if end >= 0 else len(data)) + 1
        line = data[begin : at - 1].removesuffix(b"\r")
        parts = read(line) if _is_utf8(line) else None
        if parts is None:
            continue
        lines.lines[begin] = ReadLine(line, parts, at)
        new = [*_new_texts(PlainLine._make(parts), tables)]
        row = b"".join(text + b"\n" for text in new)
        if not _SIGN(row) and _PROXY not in row:
            rows += row
            lines.rows.append((len(rows), begin))
            lines.free.add(begin)
    return lines, bytes(rows)


def doubt(read: AllRead, start: int, end: int, /) -> int:
    """Take the rows that have a part between two places for not free; return the last one's end."""
    ends = [row_end for row_end, _ in read.rows]
    doubted = read.rows[bisect_right(ends, start) : bisect_left(ends, end) + 1]
    read.free.difference_update(begin for _, begin in doubted)
    return doubted[-1][0] if doubted else end


def texts_of(parts: PlainLine) -> Iterator[bytes]:
    """Give the path, the names, and what may be no uid."""
    yield parts.path
    yield from filter(None, (parts.namespace, parts.name))
    for uid in (parts.uid, parts.version):
        if not is_of_uids(uid):
            yield uid


def is_of_uids(text: bytes) -> bool:
    """Tell a text of hex digits and dashes that is too short between these for a key in hex."""
    return not text.strip(_OF_UIDS) and all(
        len(run) < _SHORTEST_HEX_KEY for run in text.split(b"-")
    )


def _new_texts(parts: PlainLine, tables: Tables) -> Iterator[bytes]:
    """Give those of which it is not known that they may leave.

    A new path has its steps in it. One that is known was judged as a path, which may have more in
    it than a name.
    """
    paths, references = tables.clean_paths, tables.clean_references
    if paths is None or references is None:
        return
    path, *others = texts_of(parts)
    steps = b""
    if not paths.get(path):
        yield path
        steps = path + b"/"
    for text in others:
        if b"/%b/" % text not in steps and not references.get(text):
            yield text


def _is_utf8(line: bytes) -> bool:
    try:
        check_utf8(line)
    except UnicodeDecodeError:
        return False
    return True


def all_begin_so(data: bytes) -> bool:
    """Say whether every line of a block begins as the apiserver begins an event."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return data.startswith(_BEGINNING) and data.count(b"\n" + _BEGINNING) + 1 == lines
