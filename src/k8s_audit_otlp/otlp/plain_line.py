"""Reads and encodes the line that almost every line is: one event as kube-apiserver writes it.

Nothing of it is decoded. Its members stand in one order, and every byte is in some part of it. What
repeats from event to event (who asked, how it ended, why it was allowed) is a key under which its
wire bytes are kept, with the verdict whether redaction has anything to do there. A member that is
not known makes the part in which it stands unreadable, so nothing leaves that nobody has judged.

`quick_line/` has the same functions in C, to the same results; built where a compiler is.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from k8s_audit_otlp.event.memory_bounds import MAX_OUTSIDE_BODIES
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.caller_shape import caller
from k8s_audit_otlp.otlp.interned import Tables, key_of
from k8s_audit_otlp.otlp.parts import MAX_AUDIT_ID, NO_TARGET
from k8s_audit_otlp.otlp.record_place import PlaceFrame
from k8s_audit_otlp.otlp.templates import Template
from k8s_audit_otlp.state.content_hash import entry_of

__all__ = ["all_begin_so", "caller", "paths", "read", "recent", "run"]  # those of `Lines`

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
_OF_UIDS = b"0123456789abcdef-"
DAY = 86_400_000_000  # microseconds
MAX_TIME = (1 << 32) * 1_000_000  # the year 2106; until then a double holds each microsecond

# A line as it leaves, what is encoded beside it of how it was changed, the rules that fired.
Judged: TypeAlias = tuple[bytes, bytes, tuple[str, ...]]


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


_BODIES = slice(PlainLine._fields.index("request"), PlainLine._fields.index("received"))


class Run(NamedTuple):
    """What a run over the lines of a block works on, and the columns that it adds to."""

    data: bytes
    start: int  # the offset of the data in its segment
    is_ascii: bool  # all of it
    tables: Tables
    most: int  # bytes of a record
    most_beside: int  # bytes of it beside its body
    refused: tuple[type[Exception], ...]  # what is raised for a line that is none of these
    judge: Callable[[bytes, tuple[bytes, ...]], Judged]  # of a line with bodies, and its parts
    uid: bytes  # of each record, up to its offset
    hash: Callable[[bytes], Any] | None  # hashlib's SHA-256, where digests are asked for
    records: list[bytes]
    ends: list[int]
    digests: bytearray  # the entries of `state.content_hash`
    fired: list[tuple[str, ...]]  # for each line that was changed


class Lines(Protocol):
    """The functions of this module."""

    def read(self, line: bytes, /) -> tuple[bytes, ...] | None: ...
    def caller(self, key: bytes, templates: Mapping[bytes, Template | None], /) -> bytes | None: ...
    def run(self, run: Run, at: int, place: PlaceFrame, /) -> int: ...
    def paths(self, data: bytes, /) -> bytes: ...
    def recent(self) -> object: ...
    def all_begin_so(self, data: bytes, /) -> bool: ...


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
        caller, found, status = before.partition(b',"responseStatus":')
        status = found + status
    times = _END(end)
    if times is None:
        return None
    request = response = b""
    if head[1] != b"Metadata":
        status, found, request = status.partition(b',"requestObject":')
        if found:
            request, _, response = request.partition(b',"responseObject":')
        else:
            status, _, response = status.partition(b',"responseObject":')
    groups = head.groups(b""), times.groups(b"")
    return (*groups[0], caller, *reference, status, request, response, *groups[1])


def run(run: Run, at: int, place: PlaceFrame) -> int:
    """Encode lines that are plain and may leave, bodies judged; return where it stopped.

    *at* is the place in the data of the first. Stops before any other line, one for which the place
    needs another frame, one with a carriage return, and one that is not ASCII in a block that is
    not: what is no UTF-8 is told apart elsewhere.
    """
    data, start = run.data, run.start
    while at < len(data) and start + at < place.until:
        end = data.find(b"\n", at)
        line = data[at : end if end >= 0 else len(data)]
        if line.endswith(b"\r") or not (run.is_ascii or line.isascii()):
            break
        try:
            if not _run_line(run, line, start + at, place):
                break
        except run.refused:
            break
        at += len(line) + 1
    return at


def _run_line(run: Run, line: bytes, offset: int, place: PlaceFrame) -> bool:
    """Encode one line; tell whether it was."""
    parts = read(line)
    if parts is None:
        return False
    judged: Judged = (line, b"", ())
    if any(parts[_BODIES]):
        judged = run.judge(line, parts)
    elif len(line) > MAX_OUTSIDE_BODIES:
        return False
    body, said, fired = judged
    record = _record(parts, body, place.at(offset) + said, run.tables)
    if record is None or len(record) > run.most or len(record) - len(body) > run.most_beside:
        return False
    if run.hash:
        run.digests.extend(entry_of(offset, b"%b%x" % (run.uid, offset), body))
    run.records.append(record)
    run.ends.append(offset + len(line) + 1)
    if fired:
        run.fired.append(fired)
    return True


def _record(parts: tuple[bytes, ...], body: bytes, around: bytes, tables: Tables) -> bytes | None:
    """Encode a line that leaves as *body*; *around* is what is encoded already.

    Returns None for a line that must take the general way.
    """
    (level, audit_id, stage, path, query, verb, caller, front, namespace, name, uid, back,
     version, subresource, status, _, _, received, received_us, staged, staged_us,
     annotations) = parts  # fmt: skip
    query = query.replace(b"\\u0026", b"&")
    if b"\\" in query or len(audit_id) > MAX_AUDIT_ID:
        return None
    asked, is_clean = tables.callers[caller]
    thing, is_clean_thing, target = b"", True, NO_TARGET
    if front:
        size = len(namespace)
        frame, is_clean_thing, target = tables.objects[key_of(size, 0, front, back, subresource)]
        thing = namespace.join(frame)
    notes, are_clean, alarm = tables.notes[annotations]
    ended, is_clean_end = tables.requests[key_of(target, alarm, level, stage, verb, status)]
    if not (is_clean and is_clean_thing and are_clean and is_clean_end):
        return None
    if not _may_leave(tables, path, query, (namespace, name), audit_id, (uid, version)):
        return None
    times = _times(tables, stage, received, received_us, staged, staged_us)
    if times is None:
        return None
    record = b"".join((
        times,
        around,
        ended,
        asked,
        thing,
        uid.join(tables.object_uids[len(uid)]),
        version.join(tables.versions[len(version)]),
        name.join(tables.names[len(name)]),
        notes,
        audit_id.join(tables.audit_ids[len(audit_id)]),
        path.join(tables.paths[len(path)]),
        query.join(tables.queries[len(query)]),
        wire.body_head(len(body)),
        body,
    ))  # fmt: skip
    return wire.record_head(len(record)) + record


def paths(data: bytes) -> bytes:
    """Return the paths of the lines that are plain so far, a line each."""
    return b"".join([head[4] + b"\n" for head in map(_HEAD, data.split(b"\n")) if head])


def recent() -> None:
    """Make no room for what was looked up of late: a dictionary does it here."""


def all_begin_so(data: bytes) -> bool:
    """Say whether every line of a block begins as the apiserver begins an event."""
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    return data.startswith(_BEGINNING) and data.count(b"\n" + _BEGINNING) + 1 == lines


def _times(tables: Tables, stage: bytes, *parts: bytes) -> bytes | None:
    """Encode time and duration of two times, each its second and microseconds."""
    start, end = (tables.seconds[parts[i]] + int(parts[i + 1]) for i in (0, 2))
    if not (0 <= end - start < DAY and 0 < end < MAX_TIME):
        return None
    time, head = wire.TIME + wire.fixed64(end * 1000), tables.duration_head
    if not head or stage == b"RequestReceived":
        return time
    return time + head + wire.double((end - start) / 1000)


def _may_leave(
    tables: Tables,
    path: bytes,
    query: bytes,
    names: tuple[bytes, ...],
    audit_id: bytes,
    uids: tuple[bytes, ...],
) -> bool:
    """Judge what clients write freely, an auditID too. Most names are a step of the path."""
    paths, queries = tables.clean_paths, tables.clean_queries
    references = tables.clean_references
    if queries is None or references is None:
        return True
    is_odd_path = paths is not None and not paths[path]
    if audit_id.strip(_OF_UIDS) or is_odd_path or (query and not queries[query]):
        return False
    steps = path + b"/"
    if any(name and b"/%b/" % name not in steps and not references[name] for name in names):
        return False
    return all(not uid.strip(_OF_UIDS) or references[uid] for uid in uids)
