"""What a file is that is no audit log: auditd's, a container's log, JSON of another kind. Pure."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from k8s_audit_otlp.event.decode import REFUSED, is_event, read_line
from k8s_audit_otlp.event.formats import detect, is_audit, unwrap
from k8s_audit_otlp.event.memory_bounds import is_costly_to_decode
from k8s_audit_otlp.event.partial_lines import Pieces, joined

LOOKED_AT: Final = 20  # lines that are enough to tell
_KEYS: Final = 5  # of an unknown object that are named

# at the beginning of a file
_HEADS: Final = (
    (re.compile(rb"\x1f\x8b|\x28\xb5\x2f\xfd|PK\x03\x04"), "a packed file that is not called .gz"),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "a file in UTF-16: it is read in UTF-8 only"),
    (re.compile(rb"[\[{]\s*$"), "JSON over several lines, where an event has one"),
    (re.compile(rb"apiVersion:|kind:|---"), "YAML, such as a policy"),
    (re.compile(rb"\s*\{"), "JSON that breaks off or is damaged"),
)
_LIST: Final = re.compile(rb"\s*\[\s*[{\]]")
# each line of a file
_TEXTS: Final = (
    (re.compile(rb"(?:node=\S+ )?type=[A-Z_]+ msg=audit\("), "the log of auditd, the host's own"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\S+ (?:stdout|stderr) [FP] "), "a container's log (CRI)"),
    (re.compile(rb"[IWEF]\d{4} \d\d:\d\d:\d\d"), "the messages of a Kubernetes program (klog)"),
    (re.compile(rb'.{0,400}\{""(?:kind|auditID)""'), "rows of CSV: export them as JSON"),
    (re.compile(rb"(?:<\d+>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "), "a syslog file"),
)  # fmt: skip
# keys of an object -> what it is; the first whose keys are all there is named
_OBJECTS: Final = (
    ({"log", "stream"}, "a container's log (docker)"),
    ({"logEvents"}, "records of CloudWatch"),
    ({"records"}, "records of Azure Event Hubs"),
    ({"insertId", "logName"}, "records of Google Cloud Logging"),
    ({"__REALTIME_TIMESTAMP"}, "an export of journald"),
    ({"resourceLogs"}, "OTLP requests"),
)  # fmt: skip
_read = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def seems(lines: Sequence[bytes]) -> str:
    """Say what *lines*, the first of a file, seem to be; '' if they are of an audit log.

    A program may say much in a container's log before its first event.
    """
    lines = [line for line in lines if line.strip(b"\0 \r\n")]
    if any(is_audit(text) for text in _unframed(lines)):
        return ""
    lines = lines[:LOOKED_AT]
    found = [kind for line in lines if (kind := _text(line) or _object(line))]
    if found and 2 * len(found) >= len(lines):
        return found[0]
    if not lines or any(map(_is_read, lines)):
        return ""
    if head := next((what for form, what in _HEADS if form.match(lines[0])), ""):
        return head
    return "text of another kind" if any(map(_is_text, lines)) else "binary data"


def _is_text(line: bytes) -> bool:
    return line.isascii() and line.decode("ascii").strip().isprintable()


def framed(lines: Sequence[bytes]) -> bool:
    """Say whether something has framed most of *lines*: what is no event is left out then."""
    lines = [line for line in lines if line.strip(b"\0 \r\n")][:LOOKED_AT]
    return 2 * sum(detect(line) != "audit" for line in lines) > len(lines)


def _unframed(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the texts in frames, those that come in pieces put together."""
    pieces = Pieces()
    for line in lines:
        if (name := detect(line)) != "audit":
            for one in unwrap(line, name):
                yield from map(joined, pieces.add(0, one))
    yield from map(joined, pieces.end_all())


def _is_read(line: bytes) -> bool:
    """Say whether there is an event in *line*, or a list that may be empty."""
    if line.lstrip().startswith(b"["):  # as the lines of many programs, with a time or a level
        return _LIST.match(line) is not None
    begins = line.lstrip().startswith(b'{"kind":"EventList"')
    return begins or any(not item.is_unread for item in read_line(line))


def _text(line: bytes) -> str:
    start = line.lstrip(b"\xef\xbb\xbf\0 ")[:200]
    return next((what for form, what in _TEXTS if form.match(start)), "")


def _object(line: bytes) -> str:
    """Name an object that is no audit event."""
    try:
        if is_costly_to_decode(line):
            return ""
        value = _read(line)
    except REFUSED:
        return "" if line.lstrip()[:1] in (b"{", b"[") else _scalar(line)
    keys = value.keys()
    if known := next((what for marks, what in _OBJECTS if marks <= keys), ""):
        return known
    kind, group = (bytes(value.get(name, b"")).strip(b'"') for name in ("kind", "apiVersion"))
    if kind == b"Event" and group and not group.startswith(b"audit.k8s.io"):
        return "Kubernetes Events, as kubectl get events shows them"
    if kind in (b"Event", b"EventList"):
        return ""
    if "stage" in keys and any(is_event(r.event) for r in read_line(line)):
        return ""  # without kind and ID, and yet an event
    named = ", ".join(key for key in list(keys)[:_KEYS] if key.isprintable())
    return f"JSON of another kind, {f'with the keys {named}' if named else 'without a key'}"[:120]


def _scalar(line: bytes) -> str:
    try:
        msgspec.json.decode(line)
    except REFUSED:
        return ""
    return "JSON of another kind"
