"""Makes anew what the agent put beside a body, and finds it among the fields of an export. Pure.

Attributes, time and severity are a function of the body as it was sent. The same encoder makes them
here, with all annotations and claims of users: an exporter's allow-lists only leave some out.
"""

import re
from ast import literal_eval
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from typing import Any, Final, NamedTuple

import msgspec
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from k8s_audit_otlp.event.severity import ERROR, ERROR2, INFO, SEVERITY_TEXT, WARN
from k8s_audit_otlp.evidence.chain import words
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.mapping import EVENT_NAME, TABLE, MappingOptions, P
from k8s_audit_otlp.otlp.parts import MAX_NOTES
from k8s_audit_otlp.otlp.record import plain_value
from k8s_audit_otlp.tools.verify.exports.uids import UidPlace, is_item, offset_of

PREFIX: Final = "k8s.audit."
# What is always there with the attributes of the semantic conventions: it shows the prefix.
_ALWAYS: Final = ("outcome", "user.type")
_SHORTEST_CUT: Final = 48
_UID: Final = "log.record.uid"
_OFFSET: Final = words("log.file.record_offset")
_SEVERITY: Final = {SEVERITY_TEXT[number]: number for number in (INFO, WARN, ERROR)}
_NAMES_OF_SEVERITY: Final = {ERROR2: "error2"}  # in OTLP; versions before 0.2 sent it as a text
_PLAIN: Final = frozenset(words(row.key) for row in TABLE if row.profile == P)
NOT_OF_THE_BODY: Final = frozenset({_UID, "log.file.name", "log.file.path"})
# What was done to the event before it was sent.
_MARKS: Final = ("redacted", "truncated", "truncation")
_NOTHINGS: Final = frozenset({"[]", "{}", "false", "0", "0.0", "null"})
_TIMES: Final = ("timeunixnano", "time", "timestamp")
_NUMBERS: Final = ("severitynumber", "severity.number")
_TEXTS: Final = ("severitytext", "severity.text", "severity")
_EVENTS: Final = ("eventname", "event.name")
_DIGITS: Final = re.compile(r"[0-9]{1,20}")
_WRITTEN: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?"
)


class Beside(NamedTuple):
    """What an export has beside a body. Attributes are by their names in plain words."""

    attributes: Mapping[str, Any]
    record: dict[str, Any]  # time, severity and event name, by the names that the export has
    prefix: str  # of the mapping, in plain words


class Derived(NamedTuple):
    """What the body says itself; two attributes may have one name in plain words."""

    attributes: dict[str, tuple[Any, ...]]
    time_ns: int
    severity: int
    severity_text: str


def beside_of(known: Mapping[str, Any], field: str) -> Beside:
    """Find attributes, time and severity: attributes are where the uid is, the rest around it.

    Or there as well, as in a store's own object around all fields of a record.
    """
    wanted = words(field)
    inside = around = ""
    if wanted == _UID and wanted not in known:
        path = next((p for p in known if p.endswith("." + wanted)), "")
        inside = path.removesuffix(wanted)
        around = inside[: inside.rstrip(".").rfind(".") + 1]
    attributes = (
        {n.removeprefix(inside): value for n, value in known.items() if n.startswith(inside)}
        if inside
        else known
    )
    record = {
        start + name: known[start + name]
        for start in (around, inside)
        for name in (*_TIMES, *_NUMBERS, *_TEXTS, *_EVENTS)
        if known.get(start + name) not in (None, "")
    }
    return Beside(attributes, record, _prefix_in(attributes))


def _prefix_in(attributes: Mapping[str, Any]) -> str:
    one, other = _ALWAYS
    if PREFIX + one in attributes:
        return PREFIX
    starts = (name.removesuffix(one) for name in attributes if name.endswith(one))
    return next((start for start in starts if start + other in attributes), PREFIX)


class _Names(NamedTuple):
    """The names of a mapping in plain words."""

    rows: frozenset[str]
    maps: tuple[str, ...]  # what the names of an attribute for each entry begin with
    marks: tuple[str, ...]
    others: dict[str, str]  # what a back end's reserved name becomes, and that name


@lru_cache(maxsize=16)
def _names(prefix: str) -> _Names:
    keys = [row.key_with(prefix) for row in TABLE]
    rows = frozenset(words(key) for key in keys if not key.endswith("<key>"))
    maps = tuple(words(k.removesuffix("<key>")) + "." for k in keys if k.endswith("<key>"))
    moved = {words(prefix + name): name for name in rows if not name.startswith(prefix)}
    others = {name: of for name, of in moved.items() if name not in rows}
    return _Names(rows, maps, tuple(prefix + mark for mark in _MARKS), others)


@lru_cache(maxsize=16)
def _encoder(prefix: str) -> Encoder:
    every = ("*",)
    return Encoder(MappingOptions(prefix=prefix, annotations=every, user_extra=every))


def derive(records: Sequence[tuple[UidPlace, str]], prefix: str) -> list[Derived | None]:
    """Make what the agent puts beside bodies; None for what is no body of one event.

    Many at once are cheaper.
    """
    lines = [_line_of(place, body) for place, body in records]
    data = b"".join(line + b"\n" for line in lines)
    encoded = _encoder(prefix).encode_block(Block(Span(0, 0, len(data)), "", "", data, 0))
    made: dict[int, list[bytes]] = {}
    for end, record in zip(encoded.ends, encoded.records, strict=True):
        made.setdefault(end, []).append(record)
    ends = accumulate(len(line) + 1 for line in lines)
    return [
        _derived(of[0], place) if line and len(of := made.get(end, [])) == 1 else None
        for (place, _), line, end in zip(records, lines, ends, strict=True)
    ]


def _line_of(place: UidPlace, body: str) -> bytes:
    """Return the line that *body* is of; b"" where it is none."""
    data = body.encode("utf-8", "replace")
    if b"\n" in data:
        return b""
    if data and is_item(place.place):  # which has no kind of its own
        return b'{"kind":"EventList","items":[%b]}' % data
    return data


def _derived(encoded: bytes, place: UidPlace) -> Derived:
    """Read a record of ours; it was encoded as if its line were another."""
    ((_, message),) = wire.fields(encoded)
    record, attributes = LogRecord.FromString(message), dict[str, tuple[Any, ...]]()
    for pair in record.attributes:
        name = words(pair.key)
        attributes[name] = (*attributes.get(name, ()), plain_value(pair.value))
    attributes[_OFFSET] = (offset_of(place.place),)
    number = _SEVERITY[record.severity_text]
    if number == ERROR and attributes.get("stage") == ("Panic",):
        number = ERROR2  # which has the same text
    return Derived(attributes, record.time_unix_nano, number, record.severity_text)


def expected(name: str, derived: Derived, prefix: str) -> tuple[Any, ...] | None:
    """Return what an attribute may say, () if the body has no such; None if it cannot be known."""
    names = _names(prefix)
    if name in NOT_OF_THE_BODY or name.startswith(names.marks):
        return None
    if (known := derived.attributes.get(name)) is not None:
        return known
    if name in names.others:
        return derived.attributes.get(names.others[name], ())
    if name.startswith(names.maps):
        same = [key for key in derived.attributes if key.startswith(names.maps)]
        if len(same) >= MAX_NOTES:
            return None  # more may be sent than were made here
        # A back end may bound the length of names.
        cut = [key for key in same if len(name) >= _SHORTEST_CUT and key.startswith(name)]
        return tuple(value for key in cut for value in derived.attributes[key])
    return () if name in names.rows else None


def says_something(beside: Beside) -> bool:
    """Tell whether any of it can be compared with a body: an export may hold bodies alone."""
    names = _names(beside.prefix)
    known = beside.attributes.keys() - NOT_OF_THE_BODY
    return bool(
        beside.record
        or known & (names.rows | names.others.keys())
        or any(name.startswith(names.maps) for name in known)
    )


def is_sent(name: str, beside: Beside) -> bool:
    """Tell whether the mapping of a record has a name, by what else the record has of it.

    Entries of maps may be left out by an exporter, and names that are reserved in a back end.
    """
    names, there = _names(beside.prefix), beside.attributes
    if name in _PLAIN:
        return len(_PLAIN & there.keys()) > 1
    return name in names.rows and any(beside.prefix + each in there for each in _ALWAYS)


def says(value: Any, wanted: Any) -> bool:
    """Tell whether an export's value is the one that was sent; it may have become a text."""
    if isinstance(wanted, bool):
        return str(value).lower() in (("true", "1") if wanted else ("false", "0"))
    if isinstance(wanted, int | float):
        try:
            return abs(float(value) - wanted) <= abs(wanted) * 1e-9
        except (TypeError, ValueError):
            return False
    if isinstance(wanted, list):
        return as_list(value) == wanted or (len(wanted) == 1 and str(value) == str(wanted[0]))
    return str(value) == str(wanted)


def as_list(value: Any) -> list[str]:
    """Read a list, or the text that it has become: JSON, or with single quotes as in Python."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.MsgspecError:
            if not value.startswith(("['", '["')):  # Python takes the quote that a text has not
                return [value]
            try:
                value = literal_eval(value)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                return [value]
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def is_nothing(value: Any) -> bool:
    """Tell whether a value is what a table has where there is none."""
    return value in (None, "", ()) or str(value).lower() in _NOTHINGS


def record_says(name: str, value: Any, derived: Derived) -> bool | None:
    """Hold time, severity or event name against the body; None where that cannot be done."""
    last = name.rpartition(".")[2] if not name.endswith((*_NUMBERS, *_TEXTS, *_EVENTS)) else name
    if last in _TIMES:
        return _says_time(value, derived.time_ns) if derived.time_ns else None
    if name.endswith(_EVENTS):
        return str(value) == EVENT_NAME
    number, text = str(derived.severity), derived.severity_text.lower()
    said = str(value).lower().removeprefix("severity_number_")
    return said in (number, text, _NAMES_OF_SEVERITY.get(derived.severity, text))


def _says_time(value: Any, wanted_ns: int) -> bool | None:
    text = str(value).strip()
    told: int
    if _DIGITS.fullmatch(text):
        return any(int(text) == wanted_ns // 10**unit for unit in (0, 3, 6, 9))
    found = _WRITTEN.fullmatch(text)
    if found is None:
        return None
    day, time, fraction, zone = found.groups()
    fraction = fraction or ""
    if zone not in (None, "Z") and ":" not in zone:
        zone = f"{zone[:3]}:{zone[3:]}"
    seconds = int(datetime.fromisoformat(f"{day}T{time}{zone or 'Z'}").timestamp())
    unit = 9 - len(fraction)
    told = wanted_ns // 10**unit
    return int(f"{seconds}{fraction}") == told
