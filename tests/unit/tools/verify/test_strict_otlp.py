"""No record hides in a request of OTLP under what OTLP does not know, nor in a form of its own."""

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from k8s_audit_otlp.tools.verify.exports.export import Export
from k8s_audit_otlp.tools.verify.exports.record import is_event

FIELD = "log.record.uid"
UID = "00112233445566aa-0"
EVENT = '{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"x","verb":"delete"}'
Json = dict[str, Any]


def text(value: str) -> Json:
    return {"stringValue": value}


def pairs(**of: Json) -> list[Json]:
    return [{"key": key, "value": value} for key, value in of.items()]


def request(*logs: Json, scope: Json | None = None, **source: Any) -> Json:
    return {"resourceLogs": [{**source, "scopeLogs": [{**(scope or {}), "logRecords": [*logs]}]}]}


OURS = {"attributes": pairs(**{FIELD: text(UID)}), "body": text("{}")}
HIDDEN = {"body": text(EVENT)}
FORMS: dict[str, Callable[[list[Json]], str]] = {
    "lines": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
    "documents": lambda rows: "\n".join(json.dumps(row, indent=1) for row in rows),
    "an array": json.dumps,
}


def export_of(form: str, *rows: Json) -> Export:
    data = FORMS[form]([request(OURS), *rows]).encode()
    return Export("x", io.BufferedReader(io.BytesIO(data)), FIELD)


NOT_OTLP = {
    "a request": {"resourceLogs": [], "other": [HIDDEN]},
    "a request behind another": {"other": [HIDDEN], "resourceLogs": []},
    "far behind": {"pad": "x" * 99, **request(HIDDEN)},
    "a source": {"resourceLogs": [{"instrumentationLibraryLogs": [{"logRecords": [HIDDEN]}]}]},
    "a source's snake case": {"resourceLogs": [{"scope_logs": [{"log_records": [HIDDEN]}]}]},
    "a resource": request(resource={"events": [HIDDEN]}),
    "a scope": request(scope={"records": [HIDDEN]}),
    "a record": request({"Body": text(EVENT)}),
    "a number": request({"flags": EVENT}),
    "a pair": request({"attributes": [{"key": "a", "value": {}, "values": EVENT}]}),
    "a value": request({"body": {"StringValue": EVENT}}),
    "an array": request({"body": {"arrayValue": {"texts": [EVENT]}}}),
    "two kinds": request({"body": {"stringValue": "a", "kvlistValue": {"values": []}}}),
    "two kinds in an attribute": request({"attributes": pairs(a={"intValue": 1} | text(EVENT))}),
    "two kinds within": request(
        {"body": {"kvlistValue": {"values": pairs(a={"boolValue": True} | text(EVENT))}}}
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("hidden", NOT_OTLP.values(), ids=NOT_OTLP)
def test_what_otlp_does_not_know_cannot_be_read(hidden: Json, form: str) -> None:
    export = export_of(form, hidden)
    assert [item.uid for item in export if item.uid] == [UID]
    assert export.unread == 1


@pytest.mark.parametrize("form", ["documents", "an array"])
@pytest.mark.parametrize(
    "other",
    [
        {"x": EVENT},
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [HIDDEN]}], "resource": {}}]},
    ],
    ids=["no answer", "a resource behind its records"],
)
def test_among_documents_each_is_one(other: Json, form: str) -> None:
    export = export_of(form, other)
    assert any(item.own and is_event(item.own) for item in export) or export.unread == 1


@pytest.mark.parametrize("first", [True, False])
def test_of_pages_one_without_records_hides_no_other(*, first: bool) -> None:
    """As the answer of a query that still runs: it is named, and the rest is read."""
    pages: list[Json] = [
        {"state": "RUNNING", "progress": 1},
        {"result": {"records": [{FIELD: UID}]}},
    ]
    data = FORMS["documents"](pages if first else pages[::-1]).encode()
    export = Export("x", io.BufferedReader(io.BytesIO(data)), FIELD)
    assert [item.uid for item in export] == [UID]
    assert export.unread == 1


KV = {"kvlistValue": {"values": pairs(auditID=text("x"), verb=text("delete"))}}
SHOWN = {
    "a text": HIDDEN,
    "pairs": {"body": KV},
    "bytes": {"body": {"bytesValue": base64.b64encode(EVENT.encode()).decode()}},
    "an array": {"body": {"arrayValue": {"values": [text("a"), text(EVENT)]}}},
    "an attribute": {"attributes": pairs(message2=text(EVENT))},
    "pairs of an attribute": {"attributes": pairs(message2=KV)},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("log", SHOWN.values(), ids=SHOWN)
def test_an_event_without_a_uid_is_seen_in_every_kind_of_value(log: Json, form: str) -> None:
    ours, other = export_of(form, request(log))
    assert ours.uid == UID
    assert other.own is not None
    assert is_event(other.own)


@pytest.mark.parametrize("form", FORMS)
def test_all_that_otlp_knows_is_read(form: str) -> None:
    """Such as a Collector adds; also what JSON has no number for, and null."""
    values: Json = {
        "a": {"intValue": "1"},
        "b": {"doubleValue": "NaN"},
        "c": {},
        "d": {"boolValue": False},
        "e": {"kvlistValue": {"values": pairs(f=text("g"))}},
        "h": {"arrayValue": {"values": [{"bytesValue": "AAAA"}, {}]}},
        "i": {"stringValue": "j", "intValue": None},
    }
    log = {
        "timeUnixNano": "1",
        "observedTimeUnixNano": 2,
        "severityNumber": 9,
        "flags": 1,
        "severityText": "INFO",
        "traceId": "00",
        "spanId": "00",
        "eventName": "x",
        "attributes": pairs(**{FIELD: text(UID)}, **values),
        "droppedAttributesCount": 1,
        "body": text("{}"),
    }
    scope = {"name": "n", "version": "1", "attributes": [], "droppedAttributesCount": 1}
    entity = {"schemaUrl": "u", "type": "host", "idKeys": ["a"], "descriptionKeys": ["b"]}
    resource = {"attributes": pairs(a=text("b")), "droppedAttributesCount": 1}
    whole = request(
        log,
        resource=resource | {"entityRefs": [entity]},
        schemaUrl="u",
        scope={"scope": scope, "schemaUrl": "u"},
    )
    export = export_of(form, whole)
    _, item = export
    assert export.unread == 0
    assert item.uid == UID
    assert item.beside is not None
    assert item.beside["attributes.e.f"] == "g"
    assert item.beside["resource.attributes.a"] == "b"


@pytest.mark.parametrize("damaged", ['{"a":1}}', "[1]]"])
def test_a_bracket_too_many_is_a_line_that_cannot_be_read(damaged: str) -> None:
    rows = json.dumps({FIELD: UID}) + "\n" + damaged + "\n"
    export = Export("x", io.BufferedReader(io.BytesIO(rows.encode())), FIELD)
    assert [item.uid for item in export if item.uid] == [UID]
    assert export.unread == 1
