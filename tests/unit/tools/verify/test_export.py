"""Whatever form an export has, the same uids are found in it."""

import csv
import gzip
import io
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import zstandard

from k8s_audit_otlp.tools.verify.exports.export import Export
from k8s_audit_otlp.tools.verify.exports.objects import UnreadableExportError
from k8s_audit_otlp.tools.verify.exports.record import Receipt
from tests.kit.shipped import otlp_json, receipt_record

UIDS = ["00112233445566aa-0", "00112233445566aa-1f4", "00112233445566aa.2-9.3"]
FIELD = "log.record.uid"


def export_of(data: bytes, field: str = FIELD) -> Export:
    return Export("x", io.BufferedReader(io.BytesIO(data)), field)


def read(data: bytes, field: str = FIELD) -> list[str]:
    return [item.uid for item in export_of(data, field)]


def _table(rows: list[list[str]], delimiter: str = ",") -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue().encode()


def _lines(rows: list[object]) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


FORMS = {
    "a list": "\n".join(UIDS).encode(),
    "a list with CRLF": "\r\n".join(UIDS).encode(),
    "a list with a header": "\n".join([FIELD, *UIDS]).encode(),
    "a table": _table([["time", FIELD], *(["1", uid] for uid in UIDS)]),
    "a table with a byte order mark": b"\xef\xbb\xbf" + _table([[FIELD], *([u] for u in UIDS)]),
    "a table with lines in its cells": _table([["m", FIELD], *(["a\nb,c", uid] for uid in UIDS)]),
    "a table with other names": _table([["t", "a.log_record_uid"], *(["1", u] for u in UIDS)]),
    "tabs without a header": _table([["1", uid, "x"] for uid in UIDS], "\t"),
    "semicolons": _table([["time", FIELD], *(["1", uid] for uid in UIDS)], ";"),
    "a flat field": _lines([{FIELD: uid, "a": 1} for uid in UIDS]),
    "nested objects": _lines([{"_source": {"log": {"record": {"uid": uid}}}} for uid in UIDS]),
    "attributes": _lines([{"attributes": {FIELD: uid}, "body": "x"} for uid in UIDS]),
    "underscores": _lines([{"labels": {"log_record_uid": uid}, "line": "{}"} for uid in UIDS]),
    "key and value": _lines(
        [{"attributes": [{"key": FIELD, "value": {"stringValue": uid}}]} for uid in UIDS]
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", FORMS.values(), ids=FORMS)
def test_the_form_shows_in_the_first_line(data: bytes) -> None:
    """Lists, tables and JSON lines as back ends give them out."""
    assert read(data) == UIDS


@pytest.mark.parametrize(
    "data",
    [
        "\n".join(["agent-started-18ec", *UIDS]).encode(),
        orjson.dumps(["agent-started-18ec", *UIDS]),
        _table([["1", uid, "x"] for uid in ["agent-started-18ec", *UIDS]]),
    ],
    ids=["a list", "a list in JSON", "a table without a header"],
)
def test_a_notice_may_come_first(data: bytes) -> None:
    """An agent's first record is one: it is no name of a column."""
    assert read(data) == ["agent-started-18ec", *UIDS]


def test_a_cell_that_no_memory_should_hold_is_refused() -> None:
    """Where it is named, and the way out."""
    table = _table([["big", FIELD], *([cell, UIDS[0]] for cell in ("", "x" * (65 << 20)))])
    with pytest.raises(UnreadableExportError, match=r"x: a cell is over 64 MiB; leave its column"):
        read(table)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_packed_export_is_unpacked(pack: Callable[..., Any]) -> None:
    """Seen by its first bytes, whatever it is called."""
    assert read(pack(FORMS["nested objects"])) == UIDS


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_packed_export_that_breaks_off_is_refused(pack: Callable[..., Any]) -> None:
    """Also between two parts that are one after the other; the first one may be all of a file."""
    packed = pack(FORMS["nested objects"])
    assert read(packed + pack(b"\n")) == UIDS
    for cut in (len(packed) - 1, len(packed) // 2, len(packed) + 8):
        with pytest.raises(UnreadableExportError, match="breaks off where it is packed"):
            read((packed + packed)[:cut])


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_what_is_not_packed_behind_what_is_is_refused(pack: Callable[..., Any]) -> None:
    """As where two exports were put into one file, of which one was packed."""
    data = FORMS["nested objects"]
    with pytest.raises(UnreadableExportError, match="it is damaged"):
        read(pack(data) + data)


def test_a_table_that_breaks_off_has_a_line_that_cannot_be_read() -> None:
    """Its last row is shorter than its header, or a cell is open; an empty line is no row."""
    table = _table([["time", FIELD, "body"], *(["1", uid, 'x\n"y'] for uid in UIDS)], ",")
    cut = table + b"3,00112233445566aa-fff,"
    cuts = table + b"2", cut[:-1], cut + b'"x', cut + b'"x\n', cut + b'"x\n""y""\nz'
    for data, unread in ((table, 0), (table + b"\r\n", 0), *((each, 1) for each in cuts)):
        export = Export("x", io.BufferedReader(io.BytesIO(data)), FIELD)
        assert [item.uid for item in export if item.uid] == UIDS
        assert export.unread == unread


def test_otlp_json_lines_are_read_as_the_collector_writes_them(
    records: list[bytes], uids: list[str]
) -> None:
    """Many records a line; a half-written last line is counted and left out."""
    data = otlp_json(records[:80]) + otlp_json(records[80:]) + otlp_json(records)[:1000]
    export = export_of(data)
    assert [item.uid for item in export] == uids
    assert export.unread == 1


def test_an_attribute_that_a_request_has_twice_is_neither(uids: list[str]) -> None:
    names = {FIELD: uids[0], "user.name": "one", "user_name": "another"}
    attributes = [{"key": name, "value": {"stringValue": said}} for name, said in names.items()]
    log = {"attributes": attributes, "body": {"stringValue": "{}"}}
    line = {"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}
    (item,) = export_of(orjson.dumps(line))
    assert item.beside is not None
    assert item.beside["attributes.user.name"] == "one\nanother"


@pytest.mark.parametrize("form", ["otlp", "flat", "nested", "table"])
def test_a_receipt_is_read_in_any_form(form: str) -> None:
    """The numbers that it states, and whose it is."""
    said = {"bytes": 1000, "lines": 5, "delivered": 4, "dropped": 1, "dead_lettered": 0}
    record = receipt_record("00112233445566aa", 7, **said)
    flat = {
        FIELD: "receipt-00112233445566aa-3",
        "k8s.audit.exporter": "otlp_http",
        "host.name": "cp-1",
        "k8s.audit.segment.identity": "00112233445566aa",
        "k8s.audit.segment.number": 7,
        **{f"k8s.audit.segment.{k}": v for k, v in said.items()},
    }
    data = {
        "otlp": otlp_json([record]),
        "flat": _lines([flat]),
        "nested": _lines([{"attributes": {k.replace(".", "_"): v for k, v in flat.items()}}]),
        "table": _table([[*flat], [str(v) for v in flat.values()]]),
    }[form]
    (item,) = export_of(data)
    assert item.receipt == Receipt(
        "00112233445566aa", "otlp_http", "cp-1", "", 7, 1000, 5, 4, 1, 0, 0, 0, none="unlinked"
    )


def test_another_field_can_be_named() -> None:
    """Some back ends rename what they take in."""
    assert read(_lines([{"uid2": uid, FIELD: "no"} for uid in UIDS]), "uid2") == UIDS


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (_lines([{"a": 1}]), "--uid-field"),
        (_table([["time", "message"], ["1", "x"]]), "--uid-field: time, message"),
        (b"too many outstanding requests\n", "it says only: too many outstanding requests"),
        (b'{"status":"error","errorType":"bad_data","error":"parse error"}', "parse error"),
        (b'[{"a":1}]', "--uid-field"),
        (_lines([{FIELD: "4711"}]), "log.record.uid holds no uid; name what does"),
        (_lines([{FIELD: "1-2", "auditID": "1-2"}]), "log.record.uid holds no uid"),
        (f"| {FIELD} |\n|:-|\n| 00112233445566aa-0 |\n".encode(), "give the records as JSON lines"),
    ],
)
def test_an_export_without_uids_is_refused_with_a_hint(data: bytes, hint: str) -> None:
    """Nothing found must not look like everything missing."""
    with pytest.raises(UnreadableExportError, match="x:") as caught:
        read(data)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"root:$y$j9T$kXw0pVq3Zt$8fQ7Lm:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n",
        b"DB_PASSWORD=hunter2hunter2,x\nOTHER=1,y\n",
        b"password: hunter2hunter2\n",
    ],
)
def test_of_a_file_that_is_no_export_nothing_secret_is_said(data: bytes) -> None:
    """A mistyped path may lead anywhere."""
    with pytest.raises(UnreadableExportError, match="x:") as caught:
        read(data)
    assert "$y$" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_empty_export_has_no_records() -> None:
    """It is no mistake: perhaps nothing has arrived."""
    assert read(b"") == read(b"\n\n") == []
