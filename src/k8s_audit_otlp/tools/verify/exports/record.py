"""One record of an export: its uid, and the receipt that it may be.

A back end gives fields back under names of its own, flat or nested, as `{key, value}` or as OTLP
JSON; they are known by how their names end.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from k8s_audit_otlp.evidence.chain import CHAIN, REPLAYED, told, words
from k8s_audit_otlp.otlp.mapping import EVENT_NAME
from k8s_audit_otlp.state.content_hash import VERSION as CONTENT_VERSION
from k8s_audit_otlp.tools.text import time_of
from k8s_audit_otlp.tools.verify.exports.uids import read_uid

_MAX_DEPTH = 8
_MAP_ENTRY = re.compile(r"'((?:[^'\\]|\\.)*)':'((?:[^'\\]|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}
SEGMENT = "k8s.audit.segment."  # attributes of a receipt begin so
CHAIN_ID = CHAIN + "id"
_GAP: Final = "k8s.audit.gap."
# OTLP and ClickHouse, Elasticsearch, VictoriaLogs, DataKit, Loki's line (it has no name).
_BODIES = ("body", "body.text", "msg", "message", "line", "")
_BODY_ENDS = (".body", ".body.text", ".message")
# What a record of an audit event has, under whatever uid; none of the agent's own has any of it.
_AUDIT_IDS = ("k8s.audit.id", "auditID")
_EVENT = re.compile(r'\{.{0,400}?"apiVersion":\s?"audit\.k8s\.io/', re.DOTALL)
_SOURCE = ("service.instance.id", "host.name", "k8s.node.name")


class Receipt(NamedTuple):
    """What the agent states about one segment; -1 where the export does not say.

    `replayed`: it speaks of what was sent again, not of what has to be there. `hash` and `sums` are
    over the records that were delivered; `none` says why there is no hash, "" where there is one.
    """

    identity: str
    exporter: str = ""
    source: str = ""  # which node's agent, where that can be told
    chain: str = ""  # the id of the chain that it is a link of
    number: int = -1
    bytes: int = -1
    lines: int = -1
    delivered: int = -1
    dropped: int = 0
    dead_lettered: int = 0
    refused: int = 0
    gaps: int = 0
    first_event_ns: int = 0
    last_event_ns: int = 0
    told_ns: int = 0  # when it was made: all that it speaks of had arrived
    replayed: bool = False
    name: str = ""  # of the file
    sha256: str = ""  # of its bytes
    hash: str = ""
    sums: tuple[int, ...] = ()
    none: str = ""
    form: str = ""  # in which it was sent, and what it speaks of as a rule

    @property
    def given_up(self) -> int:
        """Not delivered, as the back end would not have them; they may be sent again later."""
        return self.dead_lettered + self.refused

    @property
    def weight(self) -> tuple[bool, int, int]:
        """What counts of two of one segment: one in a chain, that of more bytes, more records."""
        return bool(self.chain), self.bytes, self.delivered

    def with_part(self, part: "Receipt") -> "Receipt":
        """Return what both say of one file that was cut and written on."""
        counts = ("lines", "delivered", "dropped", "dead_lettered", "refused", "gaps")
        sums = {name: getattr(self, name) + getattr(part, name) for name in counts}
        return self._replace(bytes=max(self.bytes, part.bytes), **sums)


class ExportRecord(NamedTuple):
    uid: str
    receipt: Receipt | None = None
    # The fields of one of the agent's own records, by their paths in plain words.
    own: Mapping[str, Any] | None = None
    body: str | None = None  # of an event's record, where the export has it
    beside: Mapping[str, Any] | None = None  # and its fields


# -- fields under whatever name a back end gives them --------------------------------------------


def flat(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every plain value with its dotted path; lists of {key, value} count as objects.

    A list of texts is yielded as a tuple.
    """
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        if len(value) == 1 and (kind := next(iter(value))).endswith("Value"):
            held = value[kind]
            if kind == "arrayValue" and isinstance(held, dict):
                held = [e.get("stringValue") for e in held.get("values", ()) if isinstance(e, dict)]
            yield from flat(held, path, depth + 1)
            return
        for key, each in value.items():
            if each.__class__ is str and not each.startswith("{'"):
                yield f"{path}.{key}", each
            else:
                yield from flat(each, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        yield from _flat_list(value, path, depth + 1)
    elif value.__class__ is str and value.startswith("{'"):
        for key, text in _MAP_ENTRY.findall(value):  # a map, as ClickHouse writes it in a text
            yield f"{path}.{unescaped(key)}", unescaped(text)
    else:
        yield path, value


def _flat_list(values: list[Any], path: str, depth: int) -> Iterator[tuple[str, Any]]:
    for each in values:
        if isinstance(each, dict) and "key" in each and "value" in each:
            yield from flat(each["value"], f"{path}.{each['key']}", depth)
    if values and all(isinstance(each, str) for each in values):
        yield path, tuple(values)


def unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), text) if "\\" in text else text


def item_of_row(header: Iterable[str], cells: Iterable[Any], field: str) -> ExportRecord:
    """Read a row of a table, whose cells may hold objects."""
    pairs = zip(header, cells, strict=False)
    return item_of_fields((one for name, cell in pairs for one in flat(cell, name)), field)


def field_of(known: Mapping[str, Any], name: str) -> Any:
    """Return the field whose path is *name* or ends with it; paths are in plain words."""
    wanted = words(name)
    if wanted in known:
        return known[wanted]
    ending = "." + wanted
    return next((value for path, value in known.items() if path.endswith(ending)), None)


def text_of(known: Mapping[str, Any], name: str) -> str:
    """Return that field as a text, "" where there is none: a table has an empty cell there."""
    value = field_of(known, name)
    return "" if value is None else str(value)


def item_of_fields(fields: Iterable[tuple[str, Any]], field: str) -> ExportRecord:
    known: dict[str, Any] = {}
    lists: dict[str, Any] = {}
    for path, value in fields:
        if value is None:  # what a table has where there is none
            continue
        name = words(path)
        if isinstance(value, tuple):
            lists[name] = value
            continue
        if not name and name in known:
            known["time"], known[name] = known[name], value  # Loki: a time and a line without names
        else:
            known[name] = told(known[name], value) if name in known else value
    uid = str(field_of(known, field) or "")
    if read_uid(uid) is not None:
        return ExportRecord(uid, body=body_of(known), beside={**known, **lists})
    known = {name: _whole(value) for name, value in known.items()}
    return ExportRecord(uid, read_receipt(known), {**known, **lists})


def _whole(value: Any) -> Any:
    """Return a number as the agent's own records have it: a table may make 3.0 of 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_event(known: Mapping[str, Any]) -> bool:
    """Say whether a record is one of an audit event: by its name, an audit id or any text in it."""
    if text_of(known, "event.name") == EVENT_NAME or any(text_of(known, n) for n in _AUDIT_IDS):
        return True
    return any(map(_EVENT.match, _texts(known.values())))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, tuple):
            yield from _texts(value)
        elif isinstance(value, str | bytes):
            yield value if isinstance(value, str) else value.decode("utf-8", "replace")


def body_of(known: Mapping[str, Any]) -> str | None:
    """Return the body of a record, by the names that back ends give it.

    Another object of JSON beside it is what somebody reads instead, unless it is the beginning of
    it, as a store may keep for display: then neither is the body.
    """
    bodies = [body for name in _BODIES if isinstance(body := known.get(name), str)]
    if not bodies:
        inside = (p.removesuffix(end) for end in _BODY_ENDS for p in known if p.endswith(end))
        within = next(inside, "")  # the object around the fields
        found = (known.get(within + end) for end in _BODY_ENDS)
        bodies = [body for body in found if isinstance(body, str)]
    if not bodies:
        return None
    body, *others = bodies
    others = [o for o in others if o.startswith("{") and not body.startswith(o)]
    return "\n".join([body, *others])


def source_of(known: Mapping[str, Any]) -> str:
    """Return what names the node, from fields by their names in plain words."""
    return next((str(v) for name in _SOURCE if (v := field_of(known, name))), "")


def gap_text(own: Mapping[str, Any]) -> str:
    """Return what a gap says for people, and between which times it lies where it tells them."""
    since, until = (number_of(field_of(own, _GAP + name)) for name in ("since_ns", "until_ns"))
    after = f", after {time_of(since)}" if since else ""
    return f"{body_of(own) or ''}{after}{f', before {time_of(until)}' if until else ''}"


def read_receipt(known: Mapping[str, Any]) -> Receipt | None:
    """Read a receipt from a record's fields by their names in plain words; None if it is none."""
    identity = text_of(known, SEGMENT + "identity")
    if not identity or field_of(known, SEGMENT + "delivered") in (None, ""):
        return None
    is_hashed = text_of(known, SEGMENT + "content.version") == str(CONTENT_VERSION)
    none = text_of(known, SEGMENT + "content.none") or ("" if is_hashed else "not_hashed")
    return Receipt(
        identity,
        text_of(known, "k8s.audit.exporter"),
        source_of(known),
        text_of(known, CHAIN_ID),
        **{n: number_of(field_of(known, SEGMENT + n), default) for n, default in _NUMBERS.items()},
        replayed=text_of(known, REPLAYED) != "",
        name=text_of(known, "log.file.name"),
        sha256=text_of(known, SEGMENT + "sha256"),
        hash=text_of(known, SEGMENT + "content.hash"),
        sums=sums_in(text_of(known, SEGMENT + "content.sums")),
        none=none if text_of(known, CHAIN_ID) else "unlinked",
        form="",  # told by what reads the forms of records
    )


def sums_in(text: str) -> tuple[int, ...]:
    """Read the sums of a content; () where they are none."""
    try:
        return tuple(int(each, 16) for each in text.split("-"))
    except ValueError:
        return ()


_NUMBERS: Final = {n: d for n, d in Receipt._field_defaults.items() if type(d) is int}


_MOST_DIGITS: Final = 40  # far more than any count has; thousands Python does not read


def number_of(value: Any, default: int = 0) -> int:
    """Read a field that holds a count or a time; *default* where it holds something else."""
    text = str(_whole(value))
    return int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else default
