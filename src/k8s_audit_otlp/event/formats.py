"""Where an audit event lies inside a line that something else has written. Pure.

event/frames.py takes each kind apart; here they are told from each other and from events.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec

from k8s_audit_otlp.event import frames
from k8s_audit_otlp.event.decode import UNREAD
from k8s_audit_otlp.event.frames import (
    BAD,
    CRI,
    EXPORTED,
    Framed,
    data_of,
    frame_of,
    inner,
    is_packed,
    members_of,
    message_of,
    objects_in,
    opened,
    packed_in,
    places_in,
    pushed_in,
    records_of,
    unpacked,
)
from k8s_audit_otlp.event.json_scan import NotJsonError, end_of_value
from k8s_audit_otlp.event.lenient_json import list_of, object_of, text_of

NOT_AUDIT = "not_audit"  # the rule that a line of something else is counted under
_BLANKS = b" \t\r\n\x00"
_BEFORE = b"\xef\xbb\xbf \t\r\n\x1e"  # a byte order mark, a record separator (RFC 7464)
# A node, a pod, a time, a unit or a tag before an object; none of them holds JSON itself.
_WORDS = re.compile(rb"(?:<\d{1,3}>[^{}]{1,400}|[^{}\"]{1,400})[ \t](?=[{])")
_MESSAGE = re.compile(rb'[IWEF]\d{4} \d\d:\d\d:\d\d|time="')  # klog's and k3s' own lines
_KINDS = (b'"Event"', b'"EventList"')
_SIGN = b"auditID"
_DEEPEST_MEMBER = 8
_DEEPEST_FRAME = 5
# as it stands, or inside a text of JSON
_OF_AN_EVENT = (b'"auditID"', b'"stageTimestamp"', b'\\"auditID\\"', b'\\"stageTimestamp\\"')


def _firehose(line: bytes) -> Iterator[Framed]:
    """Firehose's and Kinesis' records: base64, mostly of gzip, of lines in any frame."""
    if is_packed(line):
        found = [Framed(unpacked(line))]
    else:
        frame = frame_of(line)
        records = places_in(line, records_of(frame) or pushed_in(frame))
        found = [record._replace(text=opened(record, data_of)) for record in records]
    for one in found:
        yield from (Framed(text, one.at) for text in one.text.splitlines())


def _member(line: bytes) -> Iterator[Framed]:
    """`{"event": {...}, ...}`: an object, no event itself, that holds some, or their texts.

    At any depth: the answers and requests of search engines, log stores and collectors.
    """
    if _SIGN in line and not line.lstrip().startswith(b'{"kind":"Event'):
        for one in () if bytes(object_of(line).get("kind", b"")) in _KINDS else _within(line):
            yield Framed(one)


def _within(value: bytes, depth: int = _DEEPEST_MEMBER) -> list[bytes]:
    """Return the events in a value: of an array all, of an object those of one member.

    The first that has any: what else looks like an event in it is a copy.
    """
    if _SIGN not in value or not depth:
        return []
    if value.startswith(b"["):
        return [text for one in list_of(value) for text in _within(bytes(one), depth - 1)]
    text = inner(msgspec.Raw(value))
    if not text.startswith(b"{"):
        return [text] if detect(text) != "audit" else []
    if _is_event(text):
        return [text]
    found = (_within(bytes(one), depth - 1) for one in object_of(text).values())
    return next(filter(None, found), [])


def _is_event(text: bytes) -> bool:
    """Say whether *text* is an event, and has none in a member."""
    if not is_audit(text):
        return False
    try:
        return bool(frame_of(text).auditID) or text.startswith(b'{"kind":"Event')
    except BAD:
        return True  # torn


def _text(line: bytes) -> Iterator[Framed]:
    """Read what a program writes: words before an object, several objects, its own messages.

    Or an object as the text of another one, of JSON within JSON.
    """
    if line.startswith(b'"'):
        yield Framed(text_of(line).encode())
        return
    if words := _WORDS.match(line):
        yield Framed(line[words.end() :], words.end())
        return
    at = 0
    with suppress(NotJsonError):
        while line.startswith(b"{", at):
            end = end_of_value(line, at)
            yield Framed(line[at:end], at)
            at = end
    if rest := line[at:]:
        yield Framed(rest, at)


FORMATS: Mapping[str, Callable[[bytes], Iterator[Framed]]] = {
    "cri": frames.cri,
    "docker": frames.docker,
    "journald": frames.journald,
    "cloudwatch": frames.cloudwatch,
    "azure": frames.azure,
    "firehose": _firehose,
    "rancher": frames.rancher,
    "gke": frames.gke,
    "member": _member,
    "text": _text,
}
IN_PIECES = frozenset({"cri", "docker", "azure"})  # where a text may go on in the next line


def detect(line: bytes) -> str:
    """Say what has framed *line*: a format of the table, or `audit` where nothing has.

    An array is what its first member that is framed is.
    """
    if line.startswith(b'{"kind":"Event"'):
        return "audit"
    line = _trimmed(line)
    if CRI.match(line):
        return "cri"
    if EXPORTED.match(line):
        return "cloudwatch"
    if is_packed(line):
        return "firehose"
    try:
        if line.startswith(b"["):
            names = (_named_by(one) for one in objects_in(list_of(line)))
            return next(filter(None, names), "audit")
        if line.startswith(b"{"):
            return _named_by(line) or "audit"
        if line.startswith(b'"'):
            text = text_of(line).encode()
            return "text" if is_audit(text) or detect(text) != "audit" else "audit"
    except BAD:
        pass  # no JSON, or more than one value
    return "text" if _is_of_program(line) else "audit"


def _is_of_program(line: bytes) -> bool:
    """Say whether a line is a program's message, or has a frame or an event in it."""
    if _MESSAGE.match(line):
        return True
    try:
        words = _WORDS.match(line)
        part = line[words.end() :] if words else line[: end_of_value(line, 0)]
    except NotJsonError:
        return False
    return len(part) < len(line) and (is_audit(part) or detect(part) != "audit")


def _trimmed(line: bytes) -> bytes:
    """Take off what is around a frame: a mark before it, the comma of the array that it is in."""
    line = line.lstrip(_BEFORE)
    framed = line.startswith(b"{") and line.endswith((b",", b",\r"))
    return line.rstrip(b",\r") if framed else line


def _named_by(value: bytes | msgspec.Raw) -> str:
    """Return the format of an object, '' where it is none."""
    frame = frame_of(value)
    log, of_docker = inner(frame.log), bool(frame.stream or frame.partial_id or frame.logtag)
    signs = (
        ("docker", is_audit(log) or CRI.match(log) is not None),
        ("", bool(inner(frame.auditID))),
        ("docker", bytes(frame.log).startswith(b'"') and of_docker),
        ("journald", bool(frame.MESSAGE)),
        ("azure", bool(frame.properties) and bool(frame.category)),
        ("rancher", bool(frame.auditLog)),
        ("gke", bool(frame.protoPayload)),
        ("azure", bool(inner(frame.AuditId))),
        ("cloudwatch", bool(frame.logEvents)),
        ("firehose", any(map(packed_in, pushed_in(frame)))),
        ("cloudwatch", bool(message_of(frame))),
    )
    found = objects_in(records_of(frame) or members_of(frame.events))
    name = next((name for name, holds in signs if holds), None)
    if name is None:
        name = _named_by_records(found) or ("member" if any(_member(bytes(value))) else "")
    return name


def _named_by_records(records: Sequence[msgspec.Raw]) -> str:
    """One is enough: others of the batch may be of another kind, or broken."""
    found = [frame_of(text) for text in records]
    if any(record.properties or record.log_s or record.AuditId for record in found):
        return "azure"
    if any(is_audit(inner(record.message)) for record in found):
        return "cloudwatch"
    return "firehose" if any(map(packed_in, records)) else ""


def left_out(dropped: Mapping[str, int]) -> tuple[int, int]:
    """Return how many records policies drop, and how many lines are of something else."""
    other = dropped.get(NOT_AUDIT, 0)
    return sum(dropped.values()) - other, other


def unwrap(line: bytes, name: str) -> list[Framed]:
    """Return the texts in *line*, each with a place of its own; none where the frame is another.

    *name* is a format of the table, or `audit`: the line itself.
    """
    if name == "audit":
        return [Framed(line)]
    found = _unwrapped(line, name, _DEEPEST_FRAME)
    free = 0
    for number, one in enumerate(found):  # a place makes a uid
        if one.at < free:
            found[number] = one._replace(at=free)
        free = found[number].at + 1
    return found


def _unwrapped(line: bytes, name: str, depth: int) -> list[Framed]:
    text = _trimmed(line)
    before = len(line) - len(line.lstrip(_BEFORE))
    try:
        if name == "text" or not text.startswith(b"["):
            found = [inside for one in FORMATS[name](text) for inside in _opened(one, depth)]
        else:
            found = [
                one._replace(at=member.at + one.at)
                for member in places_in(text, objects_in(list_of(text)))
                for one in _unwrapped(member.text, name, depth)
            ]
    except BAD:
        return []
    return [one._replace(at=one.at + before) for one in found] if before else found


def _opened(one: Framed, depth: int) -> list[Framed]:
    """Return what is in a frame inside a frame; what may be a piece is left as it is."""
    if one.stream or one.more is not False or not depth or is_audit(one.text):
        return [one]
    name = detect(one.text)
    found = [] if name == "audit" else _unwrapped(one.text, name, depth - 1)
    return [inside._replace(at=one.at) for inside in found] or [one]


def is_part_of_event(text: bytes) -> bool:
    """Tell what is left of a torn event from other lines: a record must say that it was there."""
    return UNREAD.fullmatch(text.strip()) is not None or any(sign in text for sign in _OF_AN_EVENT)


def is_audit(text: bytes) -> bool:
    """Tell an audit event, whole or torn, from another line of the same container."""
    text = text.lstrip(_BLANKS)
    if not text.startswith(b"{"):
        return b' AUDIT: id="' in text[:64]  # --audit-log-format=legacy
    return b'"auditID"' in text or text.startswith((b'{"kind":"Event"', b'{"kind":"EventList"'))
