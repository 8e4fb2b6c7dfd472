"""Where an audit event lies inside a line that something else has written. Pure.

Container runtimes, journals, clouds and brokers each put the apiserver's line into a frame of their
own. One table says how to take it out; the event itself is left as the apiserver wrote it.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from k8s_audit_otlp.event.gke import event_of_proto_payload

NOT_AUDIT = "not_audit"  # the rule that a line of something else is counted under
MOST_INFLATED = 64 << 20  # bytes of one compressed frame
_BLANKS = b" \t\r\n\x00"
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
    """The members by which the JSON frames are told apart."""

    log: str | None = None
    stream: str = ""
    MESSAGE: msgspec.Raw = msgspec.Raw(b"")
    message: str | None = None
    at_message: str | None = msgspec.field(default=None, name="@message")
    messageType: str = ""  # noqa: N815 - CloudWatch's own name
    logEvents: list[msgspec.Raw] | None = None  # noqa: N815
    records: list[msgspec.Raw] | None = None
    Records: list[msgspec.Raw] | None = None
    category: str = ""
    properties: msgspec.Raw = msgspec.Raw(b"")
    auditLog: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - Rancher's own name
    protoPayload: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - Google's own name
    data: str | None = None
    kinesis: msgspec.Raw = msgspec.Raw(b"")
    auditID: str | None = None  # noqa: N815 - of an event that nobody has framed


_frame = msgspec.json.Decoder(_Frame).decode
_text = msgspec.json.Decoder(str).decode
_numbers = msgspec.json.Decoder(list[int]).decode
_properties = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_BAD = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_CRI = re.compile(rb"\d{4}-\d\d-\d\dT[^ ]+ (stdout|stderr) ([PF])(?::[^ ]*)? ?")
_EXPORTED = re.compile(rb"\d{4}-\d\d-\d\dT[^ ]+Z (?=[{])")


def _cri(line: bytes) -> Iterator[Framed]:
    """`<time> stdout F {...}`: kubelet's files; a long line comes in pieces, all but the last P."""
    if found := _CRI.match(line):
        yield Framed(line[found.end() :], 0, found[1], more=found[2] == b"P")


def _docker(line: bytes) -> Iterator[Framed]:
    """Read docker's `{"log": ..., "stream": ...}`; a piece does not end its line."""
    frame = _frame(line)
    if frame.log is not None:
        text = frame.log.encode()
        yield Framed(text, 0, frame.stream.encode(), more=not text.endswith(b"\n"))


def _journald(line: bytes) -> Iterator[Framed]:
    """`journalctl -o json`: what is no UTF-8 comes as a list of numbers."""
    message = bytes(_frame(line).MESSAGE)
    if message.startswith(b'"'):
        yield Framed(_text(message).encode())
    elif message.startswith(b"["):
        yield Framed(bytes(_numbers(message)))


def _cloudwatch(line: bytes) -> Iterator[Framed]:
    """Read a log event, a subscription's message of many, or a line of an export to S3."""
    if found := _EXPORTED.match(line):
        yield Framed(line[found.end() :])
        return
    frame = _frame(line)
    if frame.logEvents is None:
        text = frame.message if frame.message is not None else frame.at_message
        if text is not None:
            yield Framed(text.encode())
    elif frame.messageType != "CONTROL_MESSAGE":
        for event in _places(line, frame.logEvents):
            yield Framed((_frame(event.text).message or "").encode(), event.at)


def _azure(line: bytes) -> Iterator[Framed]:
    """Diagnostic records; `properties` and `log` are objects or texts, a long log is torn."""
    frame = _frame(line)
    records = _places(line, frame.records) if frame.records is not None else [Framed(line)]
    torn: Framed | None = None
    for record in records:
        log = _azure_log(_frame(record.text))
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


def _azure_log(frame: _Frame) -> bytes:
    properties = bytes(frame.properties)
    if properties.startswith(b'"'):
        properties = _text(properties).encode()
    log = bytes(_properties(properties).get("log", b"")) if properties else b""
    return _text(log).encode() if log.startswith(b'"') else log


def _is_whole(text: bytes) -> bool:
    try:
        _frame(text)
    except _BAD:
        return False
    return True


def _rancher(line: bytes) -> Iterator[Framed]:
    """`{"auditLog": {...}}`, an object or its text."""
    log = bytes(_frame(line).auditLog)
    if log:
        yield Framed(_text(log).encode() if log.startswith(b'"') else log)


def _gke(line: bytes) -> Iterator[Framed]:
    """Google's own audit log: another format, translated as far as it goes."""
    if _frame(line).protoPayload:
        yield Framed(event_of_proto_payload(line))


def _firehose(line: bytes) -> Iterator[Framed]:
    """Firehose's and Kinesis' records: base64, mostly of gzip, of any frame of this table."""
    frame = _frame(line)
    for record in _places(line, frame.records or frame.Records or ()):
        inner = _frame(record.text)
        if inner.kinesis:
            inner = _frame(bytes(inner.kinesis))
        data = _inflated(base64.b64decode(inner.data or "", validate=True))
        for each in data.splitlines():
            for framed in unwrap(each, detect(each)):
                yield framed._replace(at=record.at)


def _inflated(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    return zlib.decompressobj(wbits=31).decompress(data, MOST_INFLATED)


def _places(line: bytes, members: "list[msgspec.Raw] | tuple[msgspec.Raw, ...]") -> list[Framed]:
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
    if _CRI.match(line):
        return "cri"
    if _EXPORTED.match(line):
        return "cloudwatch"
    if not line.startswith(b"{"):
        return "audit"
    try:
        frame = _frame(line)
    except _BAD:
        return "audit"
    if frame.auditID is not None:
        return "audit"
    return _named_by(frame)


def _named_by(frame: _Frame) -> str:
    members = (frame.records or frame.Records or [msgspec.Raw(b"{}")])[0]
    try:
        first = _frame(bytes(members))
    except _BAD:
        return "audit"
    signs = (
        ("docker", frame.log is not None and bool(frame.stream)),
        ("journald", bool(frame.MESSAGE)),
        ("firehose", first.data is not None or bool(first.kinesis)),
        ("azure", bool(first.properties) or (bool(frame.properties) and bool(frame.category))),
        ("rancher", bool(frame.auditLog)),
        ("gke", bool(frame.protoPayload)),
        ("cloudwatch", frame.logEvents is not None or frame.messageType == "CONTROL_MESSAGE"),
        ("cloudwatch", frame.message is not None or frame.at_message is not None),
    )
    return next((name for name, holds in signs if holds), "audit")


def unwrap(line: bytes, name: str) -> list[Framed]:
    """Return the texts in *line*; none where the frame is another one.

    *name* is a format of the table, or `audit`: the line itself.
    """
    if name == "audit":
        return [Framed(line)]
    try:
        return list(FORMATS[name](line))
    except (*_BAD, binascii.Error, zlib.error, ValueError):
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
