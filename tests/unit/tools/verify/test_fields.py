"""What stands beside a body says what the body says; any export form, untouched, is no alarm."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.agent.exporter_mapping import ExporterMapping
from k8s_audit_otlp.event.redact import RedactionRules
from k8s_audit_otlp.otlp.limits import AttributeLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.tools.verify.exports.export import Export
from k8s_audit_otlp.tools.verify.field_names import FieldReport
from k8s_audit_otlp.tools.verify.fields import Fields
from tests.kit import strategies
from tests.kit.shipped import otlp_json

Row = dict[str, Any]  # uid, body, ns, number, text, attributes
UID = "log.record.uid"
NOT_OF_THE_BODY = {UID, "log.file.name", "k8s.audit.redacted"}


def rows_of(records: Sequence[bytes]) -> list[Row]:
    def value(any_value: Any) -> Any:
        kind = any_value.WhichOneof("value")
        if kind == "array_value":
            return [each.string_value for each in any_value.array_value.values]
        return getattr(any_value, kind)

    return [
        {
            "body": record.body.string_value,
            "ns": record.time_unix_nano,
            "number": record.severity_number,
            "text": record.severity_text,
            "attributes": {pair.key: value(pair.value) for pair in record.attributes},
        }
        for record in ScopeLogs.FromString(b"".join(records)).log_records
    ]


def rfc3339(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09}Z"


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def lines(rows: list[Row]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def otlp(rows: list[Row]) -> bytes:
    def value(of: Any) -> Row:
        if isinstance(of, list):
            return {"arrayValue": {"values": [{"stringValue": each} for each in of]}}
        kinds = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
        return {kinds[type(of)]: str(of) if type(of) is int else of}

    logs = [
        {
            "timeUnixNano": str(row["ns"]),
            "severityNumber": row["number"],
            "severityText": row["text"],
            "body": {"stringValue": row["body"]},
            "attributes": [{"key": k, "value": value(v)} for k, v in row["attributes"].items()],
            "eventName": "k8s.audit.event",
        }
        for row in rows
    ]
    return lines([{"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]}])


def otlp_document(rows: list[Row]) -> bytes:
    return json.dumps(json.loads(otlp(rows)), indent=1).encode()


def flat(rows: list[Row]) -> bytes:
    return lines([
        {"_time": rfc3339(r["ns"]), "_msg": r["body"], "severity_number": str(r["number"]),
         "severity_text": r["text"], **{k: as_text(v) for k, v in r["attributes"].items()}}
        for r in rows
    ])  # fmt: skip


def nested(rows: list[Row]) -> bytes:
    return lines([
        {"_source": {"@timestamp": rfc3339(r["ns"])[:23] + "Z", "body": {"text": r["body"]},
         "severity_text": r["text"], "attributes": r["attributes"]}}
        for r in rows
    ])  # fmt: skip


def loki(rows: list[Row]) -> bytes:
    values = [
        [str(r["ns"]), r["body"], {k.replace(".", "_"): as_text(v) for k, v in
         {**r["attributes"], "severity_number": r["number"], "severity_text": r["text"]}.items()}]
        for r in rows
    ]  # fmt: skip
    result = [{"stream": {"service_name": "k8s-audit"}, "values": values}]
    return json.dumps({"status": "success", "data": {"result": result}}).encode()


def clickhouse(rows: list[Row]) -> bytes:
    return lines([
        {"Timestamp": rfc3339(r["ns"]).replace("T", " ").removesuffix("Z"), "Body": r["body"],
         "SeverityNumber": r["number"], "SeverityText": r["text"],
         "LogAttributes": {k: as_text(v) for k, v in r["attributes"].items()}}
        for r in rows
    ])  # fmt: skip


def table(rows: list[Row]) -> bytes:
    names = sorted({name for row in rows for name in row["attributes"] if name.isprintable()})
    text = io.StringIO()  # no store calls a column by a tab or a NUL
    out = csv.writer(text)
    out.writerow(["timestamp", "severity_text", "body", *names])
    for r in rows:
        cells = (as_text(r["attributes"].get(name, "")) for name in names)
        out.writerow([r["ns"] // 10**6, r["text"], r["body"], *cells])
    return text.getvalue().encode()


def table_of_pandas(rows: list[Row]) -> bytes:
    """Write lists as Python does."""
    return table([
        {**r, "attributes": {k: str(v) if isinstance(v, list) else v for k, v in
         r["attributes"].items()}}
        for r in rows
    ])  # fmt: skip


FORMS: dict[str, Callable[[list[Row]], bytes]] = {
    "otlp": otlp,
    "otlp document": otlp_document,
    "flat": flat,
    "nested": nested,
    "flat within": lambda rows: lines(
        [{"_source": json.loads(r.replace(b"_msg", b"body"))} for r in flat(rows).splitlines()]
    ),
    "loki": loki,
    "clickhouse": clickhouse,
    "table": table,
    "table of pandas": table_of_pandas,
}


def judged(data: bytes) -> FieldReport:
    fields = Fields(UID)
    for item in Export("x", io.BufferedReader(io.BytesIO(data)), UID):
        fields.take(item)
    return fields.report()


PLAIN = [
    strategies.line_of(
        auditID=f"id-{n}",
        level="Metadata",
        stage="ResponseComplete",
        verb=("get", "create", "delete")[n % 3],
        requestURI=f"/api/v1/namespaces/a/pods/p-{n}?limit={n}",
        user={"username": f"user-{n}", "groups": ["system:authenticated", f"g-{n}"]},
        sourceIPs=["10.0.0.1", f"10.0.1.{n}"],
        userAgent="kubectl/v1.33",
        objectRef={"resource": "pods", "namespace": "a", "name": f"p-{n}", "apiVersion": "v1"},
        responseStatus={"code": (200, 403, 500)[n % 3]},
        annotations={"authorization.k8s.io/decision": "allow", "k8s.io/deprecated": "true"},
    )
    for n in range(6)
]
MAPPINGS = {
    "default": ExporterMapping(MappingOptions()),
    "plain": ExporterMapping(MappingOptions(profile="plain")),
    "semconv": ExporterMapping(MappingOptions(profile="semconv")),
    "prefix": ExporterMapping(MappingOptions(prefix="audit_log.")),
    "every annotation": ExporterMapping(MappingOptions(annotations=("*",), user_extra=("*",))),
    "small": ExporterMapping(MappingOptions(), max_record_bytes=1500),
    "raw": ExporterMapping(MappingOptions(), bodies="raw"),
    "bounded": ExporterMapping(
        MappingOptions(
            limits=AttributeLimits(
                value_bytes=64, list_items=2, lists_as_json=True, reserved=frozenset({"status"})
            )
        )
    ),
    "names": ExporterMapping(
        MappingOptions(limits=AttributeLimits(name_bytes=64, flat_names=True, count=40))
    ),
    "sum": ExporterMapping(MappingOptions(limits=AttributeLimits(total_bytes=4096))),
    "pseudonyms": ExporterMapping(
        MappingOptions(),
        rules=RedactionRules(
            key=b"k" * 32, pseudonymise=frozenset({"users", "addresses"}), bodies="drop"
        ),
    ),
}  # fmt: skip


def encoded(mapping: ExporterMapping, of: list[bytes]) -> list[Row]:
    return rows_of(mapping.encoder().encode_block(strategies.blocks_of(of)).records)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mapping", MAPPINGS)
def test_what_was_sent_is_no_alarm_in_any_form(mapping: str, form: str) -> None:
    report = judged(FORMS[form](encoded(MAPPINGS[mapping], PLAIN)))
    assert (report.changed, report.not_compared) == ([], [])
    assert report.records == len(PLAIN)
    assert report.values > 5 * len(PLAIN)


@pytest.mark.parametrize("form", FORMS)
@given(st.data())
@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
def test_whatever_an_event_holds_is_no_alarm(form: str, data: st.DataObject) -> None:
    """Odd types, times and texts, cut lists, lines that are no event."""
    events = data.draw(st.lists(strategies.events, min_size=1, max_size=4))
    odd = data.draw(st.lists(st.sampled_from([b"no event", b'{"kind":"Event","verb":1}'])))
    mapping = MAPPINGS[data.draw(st.sampled_from(list(MAPPINGS)))]
    rows = encoded(mapping, [json.dumps(e).encode() for e in events] + odd)
    report = judged(FORMS[form](rows))
    assert report.changed == []


@pytest.mark.parametrize("form", FORMS)
@given(st.data())
@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
def test_one_value_that_was_changed_is_named(form: str, data: st.DataObject) -> None:
    mapping = data.draw(st.sampled_from(["default", "plain", "semconv", "prefix"]))
    rows = encoded(MAPPINGS[mapping], PLAIN)
    row = data.draw(st.sampled_from(rows))
    what = data.draw(st.sampled_from(["attribute", "time", "severity"]))
    if what == "attribute":
        name = data.draw(st.sampled_from(sorted(row["attributes"].keys() - NOT_OF_THE_BODY)))
        before = row["attributes"][name]
        row["attributes"][name] = changed(before)
    elif what == "time":
        row["ns"] += data.draw(st.sampled_from([-1, 1])) * 10**9
    else:
        row["text"], row["number"] = "FATAL", 21
    report = judged(FORMS[form](rows))
    assert report.changed
    assert all(row["attributes"][UID] in line for line in report.changed), report.changed


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return ["system:masters", *value] if isinstance(value, list) else value + "x"


@pytest.mark.parametrize("text", ["ERROR", "ERROR2"])
def test_the_text_of_a_panic_may_be_that_of_an_older_version(text: str) -> None:
    """Its number tells it from an error."""
    (row,) = encoded(MAPPINGS["default"], [strategies.line_of(stage="Panic")])
    assert (row["number"], row["text"]) == (18, "ERROR")
    row["text"] = text
    assert judged(otlp([row])).changed == []
    row["number"], row["text"] = 17, "ERROR"
    assert judged(otlp([row])).changed


def test_a_name_that_the_store_uses_itself_is_said_to_be_so() -> None:
    rows = encoded(MAPPINGS["default"], PLAIN) * 1001
    for row in rows:
        row["attributes"]["status"] = "info"
    report = judged(flat(rows))
    assert (report.changed, report.more) == ([], 0)
    assert ["field status" in line for line in report.not_compared] == [True]


@pytest.mark.parametrize("form", FORMS)
def test_a_list_whose_first_item_is_over_the_bound_is_no_alarm(form: str) -> None:
    lists = (["1" * 120, ""], ["10.0.0.1", "10.0.0.2"], ["10.0.0.1", "2" * 120])
    events = [strategies.line_of(sourceIPs=each) for each in lists]
    assert judged(FORMS[form](encoded(MAPPINGS["bounded"], events))).changed == []


def test_two_mappings_in_one_export_are_no_alarm() -> None:
    rows = [
        row for name in ("plain", "semconv", "prefix") for row in encoded(MAPPINGS[name], PLAIN)
    ]
    assert judged(otlp(rows)).changed == []


def test_fields_that_an_export_has_not_are_not_asked_for(records: list[bytes]) -> None:
    rows = [{UID: r["attributes"][UID], "body": r["body"]} for r in rows_of(records)]
    report = judged(lines(rows))
    assert (report.records, report.values, report.changed) == (0, 0, [])
    assert judged(otlp_json(records)).records == len(rows)
