"""Where an audit event lies inside a line that something else has written. Pure.

event/frames.py takes each kind apart; here they are told from each other and from events.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from k8s_audit_otlp.event import frames
from k8s_audit_otlp.event.frames import (
    BAD,
    BASE64,
    CRI,
    EXPORTED,
    Frame,
    Framed,
    data_of,
    frame_of,
    inner,
    list_of,
    objects_in,
    opened,
    places_in,
    records_of,
)

NOT_AUDIT = "not_audit"  # the rule that a line of something else is counted under
_BLANKS = b" \t\r\n\x00"
_BEFORE = b"\xef\xbb\xbf \t\r\n"  # a byte order mark too
# as it stands, or inside a text of JSON
_OF_AN_EVENT = (b'"auditID"', b'"stageTimestamp"', b'\\"auditID\\"', b'\\"stageTimestamp\\"')


def _firehose(line: bytes) -> Iterator[Framed]:
    """Firehose's and Kinesis' records: base64, mostly of gzip, of any frame of this table.

    The events of one record have places of their own in it: a place makes a uid.
    """
    frame = frame_of(line)
    for record in places_in(line, records_of(frame)):
        data = opened(record, data_of)
        texts = [one for each in data.splitlines() for one in unwrap(each, detect(each))]
        for number, framed in enumerate(texts):
            yield framed._replace(at=record.at + number)


FORMATS: Mapping[str, Callable[[bytes], Iterator[Framed]]] = {
    "cri": frames.cri,
    "docker": frames.docker,
    "journald": frames.journald,
    "cloudwatch": frames.cloudwatch,
    "azure": frames.azure,
    "firehose": _firehose,
    "rancher": frames.rancher,
    "gke": frames.gke,
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
    try:
        if line.startswith(b"["):
            names = (_named_by(frame_of(one)) for one in objects_in(list_of(line)))
            return next(filter(None, names), "audit")
        return (line.startswith(b"{") and _named_by(frame_of(line))) or "audit"
    except BAD:
        return "audit"


def _trimmed(line: bytes) -> bytes:
    """Take off what is around a frame: a mark before it, the comma of the array that it is in."""
    line = line.lstrip(_BEFORE)
    framed = line.startswith(b"{") and line.endswith((b",", b",\r"))
    return line.rstrip(b",\r") if framed else line


def _named_by(frame: Frame) -> str:
    """Return the format of a frame, '' where it is none."""
    signs = (
        ("", bool(inner(frame.auditID))),
        ("docker", bool(frame.log) and (_is_dockers(frame) or is_audit(inner(frame.log)))),
        ("journald", bool(frame.MESSAGE)),
        ("azure", bool(frame.properties) and bool(frame.category)),
        ("rancher", bool(frame.auditLog)),
        ("gke", bool(frame.protoPayload)),
        ("cloudwatch", bool(frame.logEvents)),
        ("cloudwatch", bool(inner(frame.message) or inner(frame.at_message))),
    )
    name = next((name for name, holds in signs if holds), None)
    return _named_by_records(records_of(frame)) if name is None else name


def _is_dockers(frame: Frame) -> bool:
    return bool(frame.stream or frame.partial_id or frame.logtag)


def _named_by_records(records: Sequence[msgspec.Raw]) -> str:
    """One is enough: others of the batch may be of another kind, or broken."""
    found = [frame_of(text) for text in objects_in(records)]
    if any(record.properties or record.log_s for record in found):
        return "azure"
    sent = any(record.kinesis or BASE64.fullmatch(inner(record.data)) for record in found)
    return "firehose" if sent else ""


def unwrap(line: bytes, name: str) -> list[Framed]:
    """Return the texts in *line*; none where the frame is another one.

    *name* is a format of the table, or `audit`: the line itself.
    """
    if name == "audit":
        return [Framed(line)]
    text = _trimmed(line)
    before = len(line) - len(line.lstrip(_BEFORE))
    try:
        if not text.startswith(b"["):
            found = list(FORMATS[name](text))
            return [one._replace(at=one.at + before) for one in found] if before else found
        return [
            one._replace(at=before + member.at + one.at)
            for member in places_in(text, objects_in(list_of(text)))
            for one in unwrap(member.text, name)
        ]
    except BAD:
        return []


def is_part_of_event(text: bytes) -> bool:
    """Tell what is left of a torn event from other lines: a record must say that it was there."""
    return any(sign in text for sign in _OF_AN_EVENT)


def is_audit(text: bytes) -> bool:
    """Tell an audit event, whole or torn, from another line of the same container."""
    text = text.lstrip(_BLANKS)
    if not text.startswith(b"{"):
        return False
    return b'"auditID"' in text or text.startswith((b'{"kind":"Event"', b'{"kind":"EventList"'))
