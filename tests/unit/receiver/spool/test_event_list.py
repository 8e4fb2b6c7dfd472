"""A webhook's body becomes the lines that the apiserver would have written to its file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import decode
from k8s_audit_otlp.receiver.spool.event_list import NoEventsError, lines_of

HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
ITEM = b'{"level":"Metadata","auditID":"a","stage":"Panic"}'
LIST = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[%b]}'


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (LIST % ITEM, [HEAD + ITEM[1:] + b"\n"]),
        (LIST % b"{}", [HEAD[:-1] + b"}\n"]),
        (LIST % b"", []),
        (b'{"kind":"EventList","items":null}', []),
        (HEAD + ITEM[1:] + b"\n", [HEAD + ITEM[1:] + b"\n"]),
        (b" [" + ITEM + b"," + HEAD + ITEM[1:] + b"]", [HEAD + ITEM[1:] + b"\n"] * 2),
        (b'{"kind":"Event",\n "auditID":"a"}', [b'{"kind":"Event", "auditID":"a"}\n']),
        (LIST % b'{"auditID":"b","kind":"Event"}', [b'{"auditID":"b","kind":"Event"}\n']),
    ],
)
def test_a_body_becomes_lines(body: bytes, lines: list[bytes]) -> None:
    """Items of a list get the head that a line of a file has."""
    assert lines_of(body) == lines


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"[1]",
        b"[{}",
        b'"text"',
        b"{}",
        b'{"kind":"Pod","apiVersion":"v1"}',
        b'{"kind":"EventList","apiVersion":"v1","items":[]}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[null]}',
        b"[" * 100_000,
    ],
)
def test_what_holds_no_events_is_refused(body: bytes) -> None:
    """An ordinary EventList of the core group is another thing."""
    with pytest.raises(NoEventsError):
        lines_of(body)


TEXTS = st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=4)


@given(items=st.lists(TEXTS, max_size=5), indent=st.sampled_from([None, 1]))
def test_every_item_is_one_line_of_the_same_members(
    items: list[dict[str, object]], indent: int | None
) -> None:
    """Whatever the names and however it is spaced, nothing is added but the head."""
    items = [{**item, "auditID": "x"} for item in items]
    body = json.dumps({"kind": "EventList", "items": items}, indent=indent).encode()
    lines = lines_of(body)
    assert [json.loads(one) | item for one, item in zip(lines, items, strict=True)] == [
        json.loads(one) for one in lines
    ]
    assert all(one.count(b"\n") == 1 for one in lines)
    for item, one in zip(items, lines, strict=True):
        if not {"kind", "apiVersion", *item} - {"kind", "apiVersion", "auditID"}:
            assert decode(one).audit_id == "x"
