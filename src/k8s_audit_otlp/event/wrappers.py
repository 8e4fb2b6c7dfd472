"""Where an audit event lies inside a line that something else has written. Pure.

Container runtimes, journals, clouds and brokers each put the apiserver's line into a frame of their
own. One table says how to take it out; the event itself is left as the apiserver wrote it.
"""

import base64
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from k8s_audit_otlp.event.gke import event_of_proto_payload

NOT_AUDIT = "not_audit"  # the rule that a line of something else is counted under
MOST_INFLATED = 64 << 20  # bytes of one compressed frame
_BLANKS = b" \t\r\n\x00"
_BEFORE = b"\xef\xbb\xbf \t\r\n"  # a byte order mark too
# as it stands, or inside a text of JSON
_OF_AN_EVENT = (b'"auditID"', b'"stageTimestamp"', b'\\"auditID\\"', b'\\"stageTimestamp\\"')


class Framed(NamedTuple):
    """A text that was framed; `at` is where it lies in the line, `more` that it goes on.

    A text that goes on does so in the next one of the same `stream`.
    """

    text: bytes
    at: int = 0
    stream: bytes = b""
    more: bool = False


class _Frame(msgspec.Struct):
    """The members by which the JSON frames are told apart, each of any type."""

    log: msgspec.Raw = msgspec.Raw(b"")
    log_s: msgspec.Raw = msgspec.Raw(b"")  # a column of AzureDiagnostics
    stream: msgspec.Raw = msgspec.Raw(b"")
    logtag: msgspec.Raw = msgspec.Raw(b"")  # of Fluent Bit's parser for CRI
    MESSAGE: msgspec.Raw = msgspec.Raw(b"")
    message: msgspec.Raw = msgspec.Raw(b"")
    at_message: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="@message")
    logEvents: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - CloudWatch's own name
    records: msgspec.Raw = msgspec.Raw(b"")
    Records: msgspec.Raw = msgspec.Raw(b"")
    category: msgspec.Raw = msgspec.Raw(b"")
    properties: msgspec.Raw = msgspec.Raw(b"")
    auditLog: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - Rancher's own name
    protoPayload: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - Google's own name
    data: msgspec.Raw = msgspec.Raw(b"")
    kinesis: msgspec.Raw = msgspec.Raw(b"")
    auditID: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - of an event that nobody has framed


_frame = msgspec.json.Decoder(_Frame).decode
_text = msgspec.json.Decoder(str).decode
_numbers = msgspec.json.Decoder(list[int]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_BAD = (msgspec.MsgspecError, ValueError, RecursionError, zlib.error)


def _inner(value: msgspec.Raw) -> bytes:
    """Return what a member holds: an object as it stands, or the text; b"" of another type."""
    if (text := bytes(value)).startswith(b'"'):
        return _text(text).encode()
    return text if text.startswith(b"{") else b""


def _members(value: msgspec.Raw) -> list[msgspec.Raw]:
    return _list(value) if bytes(memoryview(value)[:1]) == b"[" else []


def _records_of(frame: _Frame) -> list[msgspec.Raw]:
    return _members(frame.records) or _members(frame.Records)


_CRI = re.compile(rb"\d{4}-\d\d-\d\dT[^ ]+ (stdout|stderr) ([PF])(?::[^ ]*)? ?")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_EXPORTED = re.compile(rb"\d{4}-\d\d-\d\dT[^ ]+Z (?=[{])")


def _cri(line: bytes) -> Iterator[Framed]:
    """`<time> stdout F {...}`: kubelet's files; a long line comes in pieces, all but the last P."""
    if found := _CRI.match(line):
        yield Framed(line[found.end() :], 0, found[1], more=found[2] == b"P")


def _docker(line: bytes) -> Iterator[Framed]:
    """Read docker's `{"log": ..., "stream": ...}`; a piece does not end its line.

    Fluent Bit writes the same for CRI, with the sign of that instead, or without a stream.
    """
    frame = _frame(line)
    text, stream = _inner(frame.log), _inner(frame.stream)
    if text:
        ended = text.endswith(b"\n") or not stream or _inner(frame.logtag) == b"F"
        yield Framed(text, 0, stream, more=not ended)


def _journald(line: bytes) -> Iterator[Framed]:
    """`journalctl -o json`: bytes come as a list of numbers, repeated fields as a list."""
    message = _frame(line).MESSAGE
    many = bytes(message).startswith((b"[[", b'["'))
    for place in _places(line, _members(message) if many else [message]):
        if place.text.startswith(b"["):
            yield Framed(bytes(_numbers(place.text)), place.at)
        elif text := _inner(msgspec.Raw(place.text)):
            yield Framed(text, place.at if many else 0)


def _cloudwatch(line: bytes) -> Iterator[Framed]:
    """Read a log event, a subscription's message of many, or a line of an export to S3."""
    if found := _EXPORTED.match(line):
        yield Framed(line[found.end() :])
        return
    frame = _frame(line)
    if text := _inner(frame.message) or _inner(frame.at_message):
        yield Framed(text)
    for event in _places(line, _members(frame.logEvents)):
        yield Framed(_opened(event, lambda text: _inner(_frame(text).message)), event.at)


def _opened(record: Framed, opened: Callable[[bytes], bytes]) -> bytes:
    """Return what is in one of several records: one that is broken is left as it is."""
    try:
        return opened(record.text)
    except _BAD:
        return record.text


def _azure(line: bytes) -> Iterator[Framed]:
    """Diagnostic records; `properties` and `log` are objects or texts, a long log is torn."""
    frame = _frame(line)
    records = _places(line, _records_of(frame)) or [Framed(line)]
    torn: Framed | None = None
    for record in records:
        log = _opened(record, _azure_log)
        if torn is not None and not log.lstrip().startswith(b'{"kind"'):
            log, record = torn.text + log, torn  # noqa: PLW2901 - the first piece names the place
        elif torn is not None:
            yield torn
        torn = None
        if log.lstrip().startswith(b"{") and not _is_whole(log):
            torn = Framed(log, record.at)
        else:
            yield Framed(log, record.at)
    if torn is not None:
        yield torn


def _azure_log(record: bytes) -> bytes:
    frame = _frame(record)
    properties = _inner(frame.properties)
    return _inner(_frame(properties).log) if properties else _inner(frame.log_s)


def _is_whole(text: bytes | msgspec.Raw) -> bool:
    try:
        _frame(text)
    except _BAD:
        return False
    return True


def _rancher(line: bytes) -> Iterator[Framed]:
    """`{"auditLog": {...}}`, an object or its text."""
    if log := _inner(_frame(line).auditLog):
        yield Framed(log)


def _gke(line: bytes) -> Iterator[Framed]:
    """Google's own audit log: another format, translated as far as it goes."""
    if _frame(line).protoPayload:
        yield Framed(event_of_proto_payload(line))


def _firehose(line: bytes) -> Iterator[Framed]:
    """Firehose's and Kinesis' records: base64, mostly of gzip, of any frame of this table.

    The events of one record have places of their own in it: a place makes a uid.
    """
    frame = _frame(line)
    for record in _places(line, _records_of(frame)):
        data = _opened(record, _data_of)
        texts = [one for each in data.splitlines() for one in unwrap(each, detect(each))]
        for number, framed in enumerate(texts):
            yield framed._replace(at=record.at + number)


def _data_of(record: bytes) -> bytes:
    frame = _frame(record)
    if frame.kinesis:
        frame = _frame(frame.kinesis)
    return _inflated(base64.b64decode(_inner(frame.data), validate=True)) or record


def _inflated(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    return zlib.decompressobj(wbits=31).decompress(data, MOST_INFLATED)


def _places(line: bytes, members: Iterable[msgspec.Raw]) -> list[Framed]:
    """Return each member with where it lies in the line."""
    found, at = [], 0
    for member in members:
        text = bytes(member)
        at = line.find(text, at)
        found.append(Framed(text, at))
        at += len(text)
    return found


FORMATS: Mapping[str, Callable[[bytes], Iterator[Framed]]] = {
    "cri": _cri,
    "docker": _docker,
    "journald": _journald,
    "cloudwatch": _cloudwatch,
    "azure": _azure,
    "firehose": _firehose,
    "rancher": _rancher,
    "gke": _gke,
}
IN_PIECES = frozenset({"cri", "docker"})  # where a text may go on in the next line


def detect(line: bytes) -> str:
    """Say what has framed *line*: a format of the table, or `audit` where nothing has."""
    if line.startswith(b'{"kind":"Event"'):
        return "audit"
    line = line.lstrip(_BEFORE)
    if _CRI.match(line):
        return "cri"
    if _EXPORTED.match(line):
        return "cloudwatch"
    if not line.startswith(b"{"):
        return "audit"
    try:
        frame = _frame(line)
        return "audit" if _inner(frame.auditID) else _named_by(frame)
    except _BAD:
        return "audit"


def _named_by(frame: _Frame) -> str:
    signs = (
        ("docker", bool(frame.log) and (bool(frame.stream) or is_audit(_inner(frame.log)))),
        ("journald", bool(frame.MESSAGE)),
        ("azure", bool(frame.properties) and bool(frame.category)),
        ("rancher", bool(frame.auditLog)),
        ("gke", bool(frame.protoPayload)),
        ("cloudwatch", bool(frame.logEvents)),
        ("cloudwatch", bool(_inner(frame.message) or _inner(frame.at_message))),
    )
    name = next((name for name, holds in signs if holds), "")
    return name or _named_by_records(_records_of(frame))


def _named_by_records(records: Sequence[msgspec.Raw]) -> str:
    """One is enough: others of the batch may be of another kind, or broken."""
    found = [_frame(text) for text in records if _is_whole(text)]
    if any(record.properties or record.log_s for record in found):
        return "azure"
    sent = any(record.kinesis or _BASE64.fullmatch(_inner(record.data)) for record in found)
    return "firehose" if sent else "audit"


def unwrap(line: bytes, name: str) -> list[Framed]:
    """Return the texts in *line*; none where the frame is another one.

    *name* is a format of the table, or `audit`: the line itself.
    """
    if name == "audit":
        return [Framed(line)]
    inner = line.lstrip(_BEFORE)
    before = len(line) - len(inner)
    try:
        found = list(FORMATS[name](inner))
    except _BAD:
        return []
    return [one._replace(at=one.at + before) for one in found] if before else found


def is_part_of_event(text: bytes) -> bool:
    """Tell what is left of a torn event from other lines: a record must say that it was there."""
    return any(sign in text for sign in _OF_AN_EVENT)


def is_audit(text: bytes) -> bool:
    """Tell an audit event, whole or torn, from another line of the same container."""
    text = text.lstrip(_BLANKS)
    if not text.startswith(b"{"):
        return False
    return b'"auditID"' in text or text.startswith((b'{"kind":"Event"', b'{"kind":"EventList"'))
