"""What has framed an event, taken apart: one function for each kind of frame. Pure.

Container runtimes, journals, clouds and brokers each put the apiserver's line into a frame of their
own. The event itself is left as the apiserver wrote it; event/formats.py tells the kinds apart.
"""

import base64
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from k8s_audit_otlp.event.aks import event_of_columns
from k8s_audit_otlp.event.gke import event_of_proto_payload
from k8s_audit_otlp.event.lenient_json import REFUSED, list_of, object_of, text_of

MOST_INFLATED = 64 << 20  # bytes of one compressed frame
_MOST_MEMBERS = 10_000  # of it
_GZIP = b"\x1f\x8b"
_PACKED = (b"H4sI", b"eyJ")  # it and an object, in base64


class Framed(NamedTuple):
    """A text that was framed; `at` is where it lies in the line, `more` that it goes on.

    A text that goes on does so in the next one of the same `stream`; None: nobody says whether.
    """

    text: bytes
    at: int = 0
    stream: bytes = b""
    more: bool | None = False


class Frame(msgspec.Struct):
    """The members by which the JSON frames are told apart, each of any type."""

    log: msgspec.Raw = msgspec.Raw(b"")
    log_s: msgspec.Raw = msgspec.Raw(b"")  # a column of AzureDiagnostics
    stream: msgspec.Raw = msgspec.Raw(b"")
    logtag: msgspec.Raw = msgspec.Raw(b"")  # of Fluent Bit's parser for CRI
    partial_id: msgspec.Raw = msgspec.Raw(b"")
    partial_last: msgspec.Raw = msgspec.Raw(b"")
    container_id: msgspec.Raw = msgspec.Raw(b"")
    kubernetes: msgspec.Raw = msgspec.Raw(b"")  # of Fluent Bit's filter: the pod
    MESSAGE: msgspec.Raw = msgspec.Raw(b"")
    message: msgspec.Raw = msgspec.Raw(b"")
    at_message: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="@message")
    logEvents: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - CloudWatch's own name
    events: msgspec.Raw = msgspec.Raw(b"")  # of GetLogEvents, as the command line prints it
    records: msgspec.Raw = msgspec.Raw(b"")
    Records: msgspec.Raw = msgspec.Raw(b"")
    receivedMessages: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - of Pub/Sub, when it is asked
    category: msgspec.Raw = msgspec.Raw(b"")
    AuditId: msgspec.Raw = msgspec.Raw(b"")  # a column of AKSAudit
    properties: msgspec.Raw = msgspec.Raw(b"")
    auditLog: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - Rancher's own name
    protoPayload: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - Google's own name
    pod: msgspec.Raw = msgspec.Raw(b"")
    containerID: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - Azure's own name
    pod_s: msgspec.Raw = msgspec.Raw(b"")
    containerID_s: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815
    data: msgspec.Raw = msgspec.Raw(b"")
    kinesis: msgspec.Raw = msgspec.Raw(b"")
    awslogs: msgspec.Raw = msgspec.Raw(b"")  # how CloudWatch calls a function
    schema: msgspec.Raw = msgspec.Raw(b"")  # of Kafka Connect, beside its payload
    payload: msgspec.Raw = msgspec.Raw(b"")
    auditID: msgspec.Raw = msgspec.Raw(b"")  # noqa: N815 - of an event that nobody has framed


_frame = msgspec.json.Decoder(Frame).decode
_numbers = msgspec.json.Decoder(list[int]).decode
BAD = (*REFUSED, ValueError, zlib.error)


def frame_of(text: bytes | msgspec.Raw) -> Frame:
    """Return the members of an object; raise one of BAD where *text* is none."""
    try:
        return _frame(text)
    except REFUSED:
        found = object_of(text)
    names = {one.encode_name: one.name for one in msgspec.structs.fields(Frame)}
    return Frame(**{names[key]: value for key, value in found.items() if key in names})


def inner(value: msgspec.Raw) -> bytes:
    """Return what a member holds: an object as it stands, or the text; b"" of another type."""
    if (text := bytes(value)).startswith(b'"'):
        return text_of(text).encode()
    return text if text.startswith(b"{") else b""


def objects_in(members: Iterable[msgspec.Raw]) -> list[msgspec.Raw]:
    return [one for one in members if bytes(memoryview(one)[:1]) == b"{"]


def members_of(value: msgspec.Raw) -> list[msgspec.Raw]:
    return list_of(value) if bytes(memoryview(value)[:1]) == b"[" else []


def records_of(frame: Frame) -> list[msgspec.Raw]:
    lists = (frame.records, frame.Records, frame.receivedMessages)
    return next(filter(None, map(members_of, lists)), [])


CRI = re.compile(rb"\d{4}-\d\d-\d\dT[^ ]+ (stdout|stderr) ([PF])(?::[^ ]*)? ?")
BASE64 = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
EXPORTED = re.compile(rb"\d{4}-\d\d-\d\dT[^ ]+Z (?=[{])")


def cri(line: bytes) -> Iterator[Framed]:
    """`<time> stdout F {...}`: kubelet's files; a long line comes in pieces, all but the last P."""
    if found := CRI.match(line):
        yield Framed(line[found.end() :], 0, found[1], more=found[2] == b"P")


def docker(line: bytes) -> Iterator[Framed]:
    """Read docker's `{"log": ..., "stream": ...}`; a piece does not end its line.

    Fluent Bit writes the same for CRI, with the sign of that instead, or without a stream; docker's
    own driver for Fluentd says which piece is the last. Both name the container.
    """
    frame = frame_of(line)
    if text := inner(frame.log):
        stream = inner(frame.stream)
        ended = text.endswith(b"\n") or inner(frame.logtag) == b"F"
        if frame.partial_id:
            ended = inner(frame.partial_last) == b"true"
        elif not stream:
            yield Framed(text)
            return
        of = b"".join(map(bytes, (frame.kubernetes, frame.container_id, frame.partial_id)))
        yield Framed(text, 0, stream + of, more=not ended)


def journald(line: bytes) -> Iterator[Framed]:
    """`journalctl -o json`: bytes come as a list of numbers, repeated fields as a list."""
    message = frame_of(line).MESSAGE
    many = bytes(message).startswith((b"[[", b'["'))
    for place in places_in(line, members_of(message) if many else [message]):
        if place.text.startswith(b"["):
            yield Framed(bytes(_numbers(place.text)), place.at)
        elif text := inner(msgspec.Raw(place.text)):
            yield Framed(text, place.at if many else 0)


def cloudwatch(line: bytes) -> Iterator[Framed]:
    """Read a log event, a message or an answer of many, or a line of an export to S3.

    Messages that Kafka Connect writes look the same, or have one more frame around them.
    """
    if found := EXPORTED.match(line):
        yield Framed(line[found.end() :])
        return
    frame = frame_of(line)
    if text := message_of(frame):
        yield Framed(text)
    for event in places_in(line, members_of(frame.logEvents) or members_of(frame.events)):
        yield Framed(opened(event, lambda text: inner(frame_of(text).message)), event.at)


def message_of(frame: Frame) -> bytes:
    of_connect = frame.payload if frame.schema else msgspec.Raw(b"")
    return inner(frame.message) or inner(frame.at_message) or inner(of_connect)


def opened(record: Framed, read: Callable[[bytes], bytes]) -> bytes:
    """Return what is in one of several records: one that is broken is left as it is."""
    try:
        return read(record.text)
    except BAD:
        return record.text


def azure(line: bytes) -> Iterator[Framed]:
    """Diagnostic records; `properties` and `log` are objects or texts, a long log is torn.

    Rows of AKSAudit have a column for each member, and are whole.
    """
    for record in places_in(line, records_of(frame_of(line))) or [Framed(line)]:
        try:
            if frame_of(record.text).AuditId:
                yield Framed(event_of_columns(record.text), record.at)
                continue
            log, stream = _azure_log(record.text)
        except BAD:
            log, stream = record.text, b""
        yield Framed(log, record.at, stream, more=None)


def _azure_log(record: bytes) -> tuple[bytes, bytes]:
    """Return the log of a record, and which container it is of: pieces of several may be mixed."""
    frame = frame_of(record)
    if not (properties := inner(frame.properties)):
        return inner(frame.log_s), b"|".join(map(bytes, (frame.pod_s, frame.containerID_s)))
    of = frame_of(properties)
    return inner(of.log), b"|".join(map(bytes, (of.pod, of.containerID, of.stream)))


def rancher(line: bytes) -> Iterator[Framed]:
    """`{"auditLog": {...}}`, an object or its text."""
    if log := inner(frame_of(line).auditLog):
        yield Framed(log)


def gke(line: bytes) -> Iterator[Framed]:
    """Google's own audit log: another format, translated as far as it goes."""
    if frame_of(line).protoPayload:
        yield Framed(event_of_proto_payload(line))


def pushed_in(frame: Frame) -> list[msgspec.Raw]:
    """Return what Pub/Sub pushes, or CloudWatch to a function: a record without others."""
    return objects_in((frame.message, frame.awslogs))


def is_packed(text: bytes) -> bool:
    """Say whether *text* is the base64 of a gzip or of an object: all begin alike."""
    return text.startswith(_PACKED) and BASE64.fullmatch(text.strip()) is not None


def unpacked(text: bytes) -> bytes:
    return inflated(base64.b64decode(text.strip(), validate=True))


def packed_in(record: bytes | msgspec.Raw) -> bytes:
    """Return the base64 that a record holds, b"" where it is another one."""
    frame = frame_of(record)
    inside = objects_in((frame.kinesis, frame.message))
    data = inner((frame_of(inside[0]) if inside else frame).data)
    return data if BASE64.fullmatch(data) else b""


def data_of(record: bytes) -> bytes:
    return inflated(base64.b64decode(packed_in(record), validate=True)) or record


def inflated(data: bytes) -> bytes:
    """Return what a gzip of one or many members holds; as it is what is none, or broken.

    A member that is broken, or too many, is left behind the others: it must not go in silence.
    """
    found: list[bytes] = []
    size, rest = 0, data
    with suppress(zlib.error):
        while rest.startswith(_GZIP) and size < MOST_INFLATED and len(found) < _MOST_MEMBERS:
            member = zlib.decompressobj(wbits=31)
            piece = member.decompress(rest, MOST_INFLATED - size)
            if not (piece or member.eof):
                break
            found.append(piece)
            size += len(piece)
            rest = member.unused_data
    if size and rest.startswith(_GZIP):
        found += [b"\n", rest]
    return b"".join(found) if size else data


def places_in(line: bytes, members: Iterable[msgspec.Raw]) -> list[Framed]:
    """Return each member with where it lies in the line."""
    found, at = [], 0
    for member in members:
        text = bytes(member)
        at = line.find(text, at)
        found.append(Framed(text, at))
        at += len(text)
    return found
