"""Each object of an export is read by itself: what one holds makes nothing of any other.

Whoever can write to a back end could hide all of an export behind a member of one record.
"""

import io
from typing import Any

import orjson
import pytest

from k8s_audit_otlp.tools.verify.exports.export import Export

FIELD = "log.record.uid"
UIDS = ["00112233445566aa-0", "00112233445566aa-1f4", "00112233445566aa-3e8"]
INNER = "00112233445566aa-fff"
PLANTED: dict[str, Any] = {
    "hits.hits": {"hits": {"hits": []}},
    "hits.hits with a record": {"hits": {"hits": [{"_source": {FIELD: INNER}}]}},
    "an answer within": {"response": {"hits": {"hits": [{}]}}},
    "data": {"data": [[1], {"a": 2}]},
    "data.result": {"data": {"result": [{"stream": {"a": "b"}, "values": [["1", "x"]]}]}},
    "streams": {"streams": [{"values": []}]},
    "rows": {"columns": ["a"], "rows": [[1, 2], [3]]},
    "result": {"result": {"records": [{"a": 1}]}},
    "values": {"values": [["a", "b"]], "meta": [1], "schema": [{}]},
    "tables": {"tables": [{"columns": [], "rows": [[1]]}]},
    "several": {"matches": [], "messages": [1], "results": ["x"], "content": [{"series": []}]},
    "signs of a part": {"timed_out": True, "is_partial": True, "_shards": {"failed": 1}},
}
FORMS = "lines", "indented", "an array", "a documents' hits"


def written(rows: list[Any], form: str) -> bytes:
    if form == "an array":
        return orjson.dumps(rows, option=orjson.OPT_INDENT_2)
    if form == "a documents' hits":
        return orjson.dumps({"took": 1, "hits": {"hits": [{"_source": row} for row in rows]}})
    option = orjson.OPT_INDENT_2 if form == "indented" else 0
    return b"\n".join(orjson.dumps(row, option=option) for row in rows)


def read(data: bytes) -> tuple[list[str], Export]:
    stream: Any = io.BufferedReader(io.BytesIO(data))
    export = Export("x", stream, FIELD)
    return [item.uid for item in export], export


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_a_record_stays_one_whatever_members_are_planted_in_it(
    planted: dict[str, Any], at: int, *, before: bool, form: str
) -> None:
    rows: list[dict[str, Any]] = [{FIELD: uid, "body": "{}"} for uid in UIDS]
    rows[at] = {**planted, **rows[at]} if before else {**rows[at], **planted}
    uids, export = read(written(rows, form))
    assert (uids, export.unread, export.doubt) == (UIDS, 0, "")


@pytest.mark.parametrize("form", ["lines", "indented", "an array"])
@pytest.mark.parametrize("planted", [each for each in PLANTED.values() if INNER not in str(each)])
def test_what_is_of_somebody_else_is_passed_over(planted: dict[str, Any], form: str) -> None:
    """A store holds other programs' records, too: one may hold what an answer does."""
    rows = [{"app": "x", **planted}, *({FIELD: uid} for uid in UIDS)]
    uids, export = read(written(rows, form))
    assert ([uid for uid in uids if uid], export.unread, export.doubt) == (UIDS, 0, "")


@pytest.mark.parametrize("within", [False, True])
def test_a_second_body_in_json_is_seen_wherever_the_fields_are(*, within: bool) -> None:
    """Somebody may read that one: then neither is what was sent. One in an attribute is none."""
    said = {FIELD: UIDS[0], "body": '{"a":1}', "x": {"message": '{"a":3}'}}
    for more, wanted in (({}, '{"a":1}'), ({"message": '{"a":2}'}, '{"a":1}\n{"a":2}')):
        row: dict[str, Any] = {**more, **said}
        data = orjson.dumps({"_source": row} if within else row)
        [item] = Export("x", io.BufferedReader(io.BytesIO(data)), FIELD)
        assert item.body == wanted


@pytest.mark.parametrize("form", ["lines", "indented"])
def test_a_large_first_record_is_read_whole_before_it_is_judged(form: str) -> None:
    rows = [{"hits": {"hits": []}, "body": "x" * (2 << 20), FIELD: UIDS[0]}]
    rows += [{FIELD: uid} for uid in UIDS[1:]]
    uids, export = read(written(rows, form))
    assert (uids, export.unread) == (UIDS, 0)


def test_a_first_line_that_is_damaged_makes_no_document_of_the_others() -> None:
    lines = written([{FIELD: uid} for uid in UIDS], "lines")
    uids, export = read(b'{"hits":{"hits":[]},"x\n' + lines)
    assert (uids, export.unread) == (UIDS, 1)


@pytest.mark.parametrize("form", ["lines", "a table", "uids"])
def test_a_mark_of_byte_order_may_stand_before_each_of_several_files(form: str) -> None:
    """Put one behind the other, as a shell does with files that a spreadsheet wrote."""
    header = f"{FIELD},body\n" * (form == "a table")
    files = [f"{header}{uid},x\n" for uid in UIDS]
    if form == "lines":
        files = [f'{{"{FIELD}":"{uid}"}}\n' for uid in UIDS]
    uids, export = read(b"".join(b"\xef\xbb\xbf" + file.encode() for file in files))
    assert ([uid for uid in uids if uid != FIELD], export.unread) == (UIDS, 0)


@pytest.mark.parametrize("form", ["lines", "indented"])
@pytest.mark.parametrize("first", [True, False])
def test_answers_and_records_may_follow_each_other(form: str, *, first: bool) -> None:
    """Exports of two stores, one behind the other."""
    answer = {"took": 1, "hits": {"hits": [{"_source": {FIELD: uid}} for uid in UIDS[:2]]}}
    both = [answer, {FIELD: UIDS[2]}]
    uids, export = read(written(both if first else both[::-1], form))
    assert (sorted(uids), export.unread) == (UIDS, 0)
