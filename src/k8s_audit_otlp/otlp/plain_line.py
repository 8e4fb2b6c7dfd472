"""Reads and encodes the line that almost every line is: one event as kube-apiserver writes it.

Nothing of it is decoded. Its members stand in one order, and every byte is in some part of it. What
repeats from event to event (who asked, how it ended, why it was allowed) is a key under which its
wire bytes are kept, with the verdict whether redaction has anything to do there. A member that is
not known makes the part in which it stands unreadable, so nothing leaves that nobody has judged.

`quick_line/` has the same functions in C, to the same results; built where a compiler is.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from k8s_audit_otlp.event.memory_bounds import is_long_outside_bodies
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.interned import Tables, key_of
from k8s_audit_otlp.otlp.parts import MAX_AUDIT_ID, NO_TARGET
from k8s_audit_otlp.otlp.read_lines import (
    STATUS,
    AllRead,
    PlainLine,
    ReadLine,
    all_begin_so,
    doubt,
    is_of_uids,
    read,
    read_all,
    texts_of,
)
from k8s_audit_otlp.otlp.record_place import PlaceFrame
from k8s_audit_otlp.otlp.templates import Template, caller
from k8s_audit_otlp.state.content_hash import entry_of

__all__ = ["all_begin_so", "caller", "doubt", "read", "read_all", "recent", "run"]  # of `Lines`

DAY = 86_400_000_000  # microseconds
MAX_TIME = (1 << 32) * 1_000_000  # the year 2106; until then a double holds each microsecond

# A line as it leaves if it was changed, what is encoded beside it of how, the rules that fired.
Judged: TypeAlias = tuple[bytes | None, bytes, tuple[str, ...]]
# What is of a line before, between and behind its bodies.
Around: TypeAlias = tuple[bytes, bytes, bytes]
_BODIES = slice(PlainLine._fields.index("request"), PlainLine._fields.index("received"))
_TIMES = b',"requestReceivedTimestamp":"%b.%bZ","stageTimestamp":"%b.%bZ"%b}'
_ANSWER = b'{"kind":"Status","apiVersion":"v1",'


class Run(NamedTuple):
    """What a run over the lines of a block works on, and the columns that it adds to."""

    read: AllRead
    start: int  # the offset of the block in its segment
    tables: Tables
    most: int  # bytes of a record
    most_beside: int  # bytes of it beside its body
    refused: tuple[type[Exception], ...]  # what is raised for a line that is none of these
    # Tells of objectRef around its names and of both bodies whether these stay as they are; for an
    # answer that says what responseStatus does there is the line around it.
    bodies_stay: Callable[[bytes, bytes, bytes, bytes, bytes, bytes], bool]
    # Judges what may not: its parts without bodies, what is around these, request and response.
    judge: Callable[[tuple[bytes, ...], Around, bytes, bytes], Judged]
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
    def read_all(self, data: bytes, tables: Tables, /) -> tuple[AllRead, bytes]: ...
    def doubt(self, read: AllRead, start: int, end: int, /) -> int: ...
    def recent(self) -> object: ...
    def all_begin_so(self, data: bytes, /) -> bool: ...


def run(run: Run, at: int, place: PlaceFrame) -> int:
    """Encode lines that are plain and may leave, bodies judged; return where it stopped.

    *at* is the place in the block of the first. Stops before any other line and before one for
    which the place needs another frame.
    """
    while (line := run.read.lines.get(at)) and run.start + at < place.until:
        try:
            if not _run_line(run, line, run.start + at, place, is_free=at in run.read.free):
                break
        except run.refused:
            break
        at = line.next
    return at


def _run_line(run: Run, read: ReadLine, offset: int, place: PlaceFrame, *, is_free: bool) -> bool:
    """Encode one line; tell whether it was."""
    line, parts, after = read
    if is_long_outside_bodies(line, *parts[_BODIES]):
        return False
    judged: Judged = (None, b"", ())
    if any(parts[_BODIES]) and not run.bodies_stay(*_of_bodies(line, PlainLine._make(parts))):
        bare = PlainLine._make(parts)._replace(request=b"", response=b"")
        judged = run.judge(bare, _around(line, PlainLine._make(parts)), *parts[_BODIES])
    become, said, fired = judged
    body = line if become is None else become
    record = _record(parts, body, place.at(offset) + said, run.tables, is_free=is_free)
    if record is None or len(record) > run.most or len(record) - len(body) > run.most_beside:
        return False
    if run.hash:
        run.digests.extend(entry_of(offset, b"%b%x" % (run.uid, offset), body))
    run.records.append(record)
    run.ends.append(run.start + after)
    if fired:
        run.fired.append(fired)
    return True


def _of_bodies(line: bytes, parts: PlainLine) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
    """Give what `bodies_stay` takes."""
    response, around = parts.response, b""
    status = parts.status.removeprefix(STATUS)
    if status.startswith(b'{"') and response == _ANSWER + status[1:]:
        _, _, behind = _around(line, parts)
        response, around = b"", line[: -len(response) - len(behind)] + behind
    return parts.front, parts.back, parts.subresource, parts.request, response, around


def _around(line: bytes, parts: PlainLine) -> Around:
    notes = b',"annotations":' + parts.annotations if parts.annotations else b""
    behind = _TIMES % (parts.received, parts.received_us, parts.staged, parts.staged_us, notes)
    rest = line[: -len(behind)].removesuffix(parts.response)
    if not (parts.request and parts.response):
        return rest.removesuffix(parts.request), b"", behind
    between = b',"responseObject":'
    return rest.removesuffix(between).removesuffix(parts.request), between, behind


def _record(
    parts: tuple[bytes, ...], body: bytes, around: bytes, tables: Tables, *, is_free: bool
) -> bytes | None:
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
    ending, is_clean_end = tables.statuses[status]
    if not (is_clean and is_clean_thing and are_clean and is_clean_end):
        return None
    ended, is_clean_verb = tables.requests[key_of(target, alarm, level, stage, verb, ending)]
    if not is_clean_verb:
        return None
    if not (_may_leave(tables, query, audit_id) and (is_free or _row_may_leave(tables, parts))):
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


def recent() -> None:
    """Make no room for what was looked up of late: a dictionary does it here."""


def _times(tables: Tables, stage: bytes, *parts: bytes) -> bytes | None:
    """Encode time and duration of two times, each its second and microseconds."""
    start, end = (tables.seconds[parts[i]] + int(parts[i + 1]) for i in (0, 2))
    if not (0 < start <= end < MAX_TIME and end - start < DAY):
        return None
    time, head = wire.TIME + wire.fixed64(end * 1000), tables.duration_head
    if not head or stage == b"RequestReceived":
        return time
    return time + head + wire.double((end - start) / 1000)


def _may_leave(tables: Tables, query: bytes, audit_id: bytes) -> bool:
    """Judge what clients write freely and no row has."""
    if tables.clean_queries is None:
        return True
    return is_of_uids(audit_id) and (not query or tables.clean_queries[query])


def _row_may_leave(tables: Tables, parts: tuple[bytes, ...]) -> bool:
    """Judge the texts of a row that is not free."""
    paths, references = tables.clean_paths, tables.clean_references
    if paths is None or references is None:
        return True
    path, *texts = texts_of(PlainLine._make(parts))
    return paths[path] and all(map(references.__getitem__, texts))
