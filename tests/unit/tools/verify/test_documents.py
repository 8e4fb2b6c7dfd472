"""Answers of query APIs are read record by record, however they are cut into pieces."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.tools.verify.exports.documents import Documents, holds_records
from k8s_audit_otlp.tools.verify.exports.export import Export
from k8s_audit_otlp.tools.verify.exports.objects import UnreadableExportError

UIDS = ["00112233445566aa-0", "00112233445566aa-1f4", "00112233445566aa.2-9.3"]
FIELD = "log.record.uid"


def loki(uids: list[str], *, categorized: bool) -> dict[str, Any]:
    """Structured metadata is among the labels, or behind the line where that was asked for."""
    result = []
    for uid in uids:
        stream = {"service_name": "k8s-audit"}
        value: list[Any] = ["1700000000000000000", '{"kind":"Event"}']
        if categorized:
            value.append({"structuredMetadata": {"log_record_uid": uid}})
        else:
            stream["log_record_uid"] = uid
        result.append({"stream": stream, "values": [value]})
    data = {"resultType": "streams", "result": result, "stats": {"summary": {"values": [1, 2]}}}
    return {"status": "success", "data": data}


def otlp(uids: list[str]) -> dict[str, Any]:
    logs = [{"attributes": [{"key": FIELD, "value": {"stringValue": uid}}]} for uid in uids]
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"logRecords": logs}]}]}


ROWS = [[1, uid] for uid in UIDS]
FLAT = [{"content": "{}", FIELD: uid} for uid in UIDS]
DOCUMENTS: dict[str, Any] = {
    "Loki": loki(UIDS, categorized=False),
    "Loki, categorized": loki(UIDS, categorized=True),
    "Elasticsearch": {
        "took": 3,
        "_shards": {"total": 1},
        "hits": {"total": {"value": 3}, "hits": [{"_source": {FIELD: uid}} for uid in UIDS]},
    },
    "ES|QL": {"columns": [{"name": "@timestamp"}, {"name": FIELD}], "values": ROWS},
    "ClickHouse JSON": {
        "meta": [{"name": "LogAttributes", "type": "Map"}],
        "data": [{"LogAttributes": {FIELD: uid}} for uid in UIDS],
        "rows": 3,
    },
    "ClickHouse JSONCompact": {
        "meta": [{"name": "t", "type": "DateTime"}, {"name": "log_record_uid", "type": "String"}],
        "data": ROWS,
    },
    "DataKit": {"content": [{"series": [{"columns": ["time", "log_record_uid"], "values": ROWS}]}]},
    "OTLP": otlp(UIDS),
    "Datadog": {
        "data": [{"id": "x", "attributes": {"attributes": {FIELD: uid}}} for uid in UIDS],
        "meta": {"page": {"after": "y"}},
    },
    "Splunk": {
        "preview": False,
        "fields": [{"name": FIELD}],
        "results": [{FIELD: uid, "_raw": "{}"} for uid in UIDS],
    },
    "OpenObserve": {"took": 1, "hits": [{"log_record_uid": uid} for uid in UIDS], "total": 3},
    "async search": {"id": "x", "response": {"hits": {"hits": [{"_source": one} for one in FLAT]}}},
    "hits with fields": {
        "hits": {"hits": [{"fields": {f"attributes.{FIELD}": [uid]}} for uid in UIDS]}
    },
    "SQL of Elasticsearch": {"columns": [{"name": "t"}, {"name": FIELD}], "rows": ROWS},
    "PPL": {"schema": [{"name": "t"}, {"name": FIELD}], "datarows": ROWS, "total": 3, "size": 3},
    "Honeycomb": {"data": {"results": [{"data": {FIELD: uid, "COUNT": 1}} for uid in UIDS]}},
    "New Relic": {"data": {"actor": {"account": {"nrql": {"results": FLAT}}}}},
    "Dynatrace": {"state": "SUCCEEDED", "result": {"records": FLAT, "types": []}},
    "Axiom": {"status": {}, "matches": [{"_time": "x", "data": one} for one in FLAT]},
    "Sumo Logic": {"fields": [], "messages": [{"map": one} for one in FLAT]},
    "Azure Monitor": {"tables": [{"columns": [{"name": "t"}, {"name": FIELD}], "rows": ROWS}]},
    "an array of requests": [otlp(UIDS[:1]), otlp(UIDS[1:])],
    "an array of answers": [loki(UIDS[:2], categorized=True), loki(UIDS[2:], categorized=False)],
    "an array of objects": [{"attributes": {FIELD: uid}} for uid in UIDS],
    "an array of uids": UIDS,
}


def read(data: bytes, buffer: int = 8192) -> list[str]:
    stream: Any = io.BufferedReader(io.BytesIO(data), buffer)
    return [item.uid for item in Export("x", stream, FIELD)]


@pytest.mark.parametrize("indented", [False, True])
@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_uids_of_every_record_are_found(document: Any, *, indented: bool) -> None:
    """On one line, or on many."""
    data = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else 0)
    assert read(data) == UIDS


RECORDS: dict[str, Callable[[str], Any]] = {
    "VictoriaLogs": lambda uid: {"_msg": "{}", FIELD: uid, "results": 1},
    "ClickHouse": lambda uid: {"Body": "}{", "LogAttributes": {FIELD: uid}},
    "Splunk": lambda uid: {"preview": False, "result": {FIELD: uid}},
    "a Collector": lambda uid: otlp([uid]),
}


@pytest.mark.parametrize("indented", [False, True])
@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_records_one_after_another_may_be_over_several_lines(
    record: Callable[[str], Any], *, indented: bool
) -> None:
    """As `jq .` and ClickHouse's PrettyJSONEachRow write them."""
    option = orjson.OPT_INDENT_2 if indented else 0
    data = b"\n".join(orjson.dumps(record(uid), option=option) for uid in UIDS)
    assert read(data) == UIDS


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b"<!DOCTYPE html>\n<html><title>Sign in</title></html>",
            "a web page or XML: a login page",
        ),
        (b'\n<?xml version="1.0"?><results/>', "a web page or XML"),
        (b'{"error":{"reason":"denied"},"status":401}', "answers an error: denied; mend it"),
        (b'{"message": "cut', "nothing of it can be read as JSON"),
        (b"{\n", "nothing of it can be read as JSON"),
    ],
)
def test_what_is_no_export_is_said_and_not_that_all_is_missing(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableExportError, match=re.escape(said)):
        read(data)


def test_pages_of_answers_may_follow_each_other() -> None:
    """As a script that scrolls writes them."""
    pages = [{"hits": {"hits": [{"_source": {FIELD: uid}}]}} for uid in UIDS]
    assert read(b"\n".join(map(orjson.dumps, pages))) == UIDS


@pytest.mark.parametrize(
    ("around", "said"),
    [
        ({"timed_out": True}, True),
        ({"_shards": {"total": 2, "failed": 1, "failures": [{"shard": 0}]}}, True),
        ({"is_partial": True}, True),
        ({"timed_out": False, "is_partial": False, "_shards": {"failed": 0}}, False),
        ({"note": '"timed_out":true,"_shards":{"failed":1}'}, False),
    ],
)
@pytest.mark.parametrize("buffer", [16, 8192])
def test_an_answer_that_is_a_part_by_its_own_words_is_doubted(
    around: dict[str, Any], buffer: int, *, said: bool
) -> None:
    """What lacks in it may well be in the store."""
    answer = {**around, "hits": {"hits": [{"_source": {FIELD: uid}} for uid in UIDS]}}
    stream: Any = io.BufferedReader(io.BytesIO(orjson.dumps(answer)), buffer)
    export = Export("x", stream, FIELD)
    assert [item.uid for item in export] == UIDS
    assert ("a part only" in export.doubt) == said


@pytest.mark.parametrize(
    "answer",
    [
        '{"took":1,"hits":{"hits":[]}}',
        '{"status":"success","data":{"resultType":"streams","result":[],"stats":{"execTime":0}}}',
        '{"content":[{"series":[],"cost":"1ms"}]}',
        '{"hits":[],"total":0}',
    ],
)
def test_an_answer_without_records_holds_none_and_is_no_mistake(answer: str) -> None:
    """A back end that has nothing has nothing: `verify` then says what is missing."""
    assert read(answer.encode()) == []


CLICKHOUSE = "Timestamp", "Body", "LogAttributes"
BODY = r"""{"a":"x,\"y\\z\n it's"}"""
CELLS = [["2026-01-02 03:04:05", BODY, {FIELD: uid, "user.name": "it's"}] for uid in UIDS]


def as_text(value: Any) -> Any:
    """Return a value as ClickHouse writes it in a text."""
    if not isinstance(value, dict):
        return value
    pairs = (f"'{k}':'{v}'" for k, v in ((k, v.replace("'", "\\'")) for k, v in value.items()))
    return f"{{{','.join(pairs)}}}"


def lines(rows: list[Any]) -> bytes:
    return b"\n".join(map(orjson.dumps, rows))


def delimited(rows: list[Any], delimiter: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


def tabbed(rows: list[Any], *, escaped: bool) -> bytes:
    """ClickHouse escapes a map within its own quotes, in either form."""
    texts = [[tsv(cell) if escaped else cell for cell in row] for row in rows]
    return "".join("\t".join(row) + "\n" for row in texts).encode()


def tsv(cell: str) -> str:
    return cell if cell[:2] == "{'" else cell.replace("\\", r"\\").replace("'", r"\'")


TEXTS = [[as_text(cell) for cell in row] for row in CELLS]
META = [{"name": name, "type": "String"} for name in CLICKHOUSE]
SELECTED = {
    "JSONCompact": orjson.dumps({"meta": META, "data": CELLS, "rows": 3}),
    "JSONCompactStrings": orjson.dumps({"meta": META, "data": TEXTS}),
    "JSONStringsEachRow": lines([dict(zip(CLICKHOUSE, row, strict=True)) for row in TEXTS]),
    "JSONCompactEachRowWithNames": lines([CLICKHOUSE, *CELLS]),
    "JSONCompactEachRowWithNamesAndTypes": lines([CLICKHOUSE, ["String"] * 3, *CELLS]),
    "CSVWithNames": delimited([CLICKHOUSE, *TEXTS], ","),
    "TSVWithNames": tabbed([CLICKHOUSE, *TEXTS], escaped=True),
    "TSVRawWithNames": tabbed([CLICKHOUSE, *TEXTS], escaped=False),
    "TSV in quotes": delimited([CLICKHOUSE, *TEXTS], "\t"),
}


@pytest.mark.parametrize("data", SELECTED.values(), ids=SELECTED)
def test_whole_rows_of_clickhouse_are_read_in_every_format_with_names(data: bytes) -> None:
    """`SELECT *`: the uid is in a map, which some formats write as a text."""
    stream: Any = io.BufferedReader(io.BytesIO(data))
    found = [item for item in Export("x", stream, FIELD) if item.uid]
    assert [item.uid for item in found] == UIDS
    assert {item.body for item in found} == {CELLS[0][1]}
    assert {(item.beside or {})["logattributes.user.name"] for item in found} == {"it's"}


@pytest.mark.parametrize(
    "data",
    [
        lines(CELLS),  # JSONCompactEachRow
        delimited(TEXTS, "\t"),
        orjson.dumps([list(row) for row in zip(*TEXTS, strict=True)], option=orjson.OPT_INDENT_2),
        orjson.dumps({f"row_{n}": {FIELD: uid} for n, uid in enumerate(UIDS, 1)}),
    ],
)
def test_rows_without_names_are_refused_and_none_is_taken_for_a_heading(data: bytes) -> None:
    with pytest.raises(UnreadableExportError, match="JSONEachRow or CSVWithNames"):
        read(data)


def test_values_column_by_column_are_refused() -> None:
    """They look like rows of other columns, of which every uid but one would be missing."""
    names = [{"name": "t"}, {"name": FIELD}]
    with pytest.raises(UnreadableExportError, match="ask for them row by row"):
        read(orjson.dumps({"columns": names, "values": [["t1", "t2", "t3"], UIDS]}))


def test_json_lines_are_no_document() -> None:
    """Nor are they when a record has a field that is called data."""
    assert not holds_records(b'{"data":{"a":1},"log.record.uid":"x"}\n{"hits":3}\n')


def test_what_breaks_off_is_counted() -> None:
    """The records before it count."""
    data = orjson.dumps(DOCUMENTS["Elasticsearch"])[:-30]
    export = Export("x", io.BufferedReader(io.BytesIO(data)), FIELD)
    assert [item.uid for item in export] == UIDS[:2]
    assert export.unread == 1


TEXT = st.text(max_size=8) | st.sampled_from(['"', "\\", '\\"', "]}", "{[", ":"])
VALUE = st.recursive(
    TEXT | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)


@given(
    st.lists(st.dictionaries(TEXT, VALUE, max_size=4), max_size=5),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_cuts_between_the_pieces_change_nothing(
    rows: list[dict[str, Any]], lengths: list[int]
) -> None:
    """Inside a string, an escape or a key."""
    data = msgspec.json.encode({"took": 1, "hits": {"a": [[]], "hits": rows}, "z": [{"hits": 1}]})
    pieces, at, turn = [], 0, 0
    while at < len(data):
        length = lengths[turn % len(lengths)]
        pieces.append(data[at : at + length])
        at, turn = at + length, turn + 1
    assert [found.value for found in Documents(pieces)] == rows
