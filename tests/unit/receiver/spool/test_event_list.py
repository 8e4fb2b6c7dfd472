"""A webhook's body becomes the lines that the apiserver would have written to its file."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import decode
from k8s_audit_otlp.receiver.spool.event_list import MOST_EVENTS, NoEventsError, lines_of

HEAD = b'{"kind":"Event","apiVersion":"audit.k8s.io/v1",'
ITEM = b'{"level":"Metadata","auditID":"a","stage":"Panic"}'
LIST = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[%b]}'

OLD = LIST.replace(b"/v1", b"/v1beta1")
DEEP = b"[" * 5_000 + b"]" * 5_000
OF_A_CLIENT = [DEEP, b'"\\ud800"', b'"\xff\xfe"', b'{"a":1,"a":2}', b"1e999", b'"\\"auditID\\""']


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (LIST % ITEM, [HEAD + ITEM[1:] + b"\n"]),
        (LIST % b"", []),
        (b'{"kind":"EventList","items":null}', []),
        (HEAD + ITEM[1:] + b"\n", [HEAD + ITEM[1:] + b"\n"]),
        (b" [" + ITEM + b"," + HEAD + ITEM[1:] + b"]", [HEAD + ITEM[1:] + b"\n"] * 2),
        (b'{"kind":"Event",\n "auditID":"a"}', [b'{"kind":"Event", "auditID":"a"}\n']),
        (LIST % b'{"auditID":"b","kind":"Event"}', [b'{"auditID":"b","kind":"Event"}\n']),
        (OLD % ITEM, [HEAD.replace(b"/v1", b"/v1beta1") + ITEM[1:] + b"\n"]),
        (b'{"items":[%b],"kind":"EventList"}' % ITEM, [HEAD + ITEM[1:] + b"\n"]),
    ],
)
def test_a_body_becomes_lines(body: bytes, lines: list[bytes]) -> None:
    """Items of a list get the head that a line of a file has."""
    assert list(lines_of(body)) == lines


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
        b"[" * 1_000_000,
        b"\xef\xbb\xbf" + LIST % ITEM,
        LIST % ITEM + b"x",
        LIST % ITEM + b"\0",
        LIST % ITEM + LIST % ITEM,
        (LIST % ITEM).decode().encode("utf-16"),
        LIST % b"{}",
        LIST % b'{"requestObject":{"auditID":"a"}}',
        LIST % (LIST % ITEM),
        LIST % b'{"kind":"Pod","auditID":"a"}',
        LIST % b'{"kind":7,"auditID":"a"}',
        LIST % (ITEM + b"," + DEEP),
        LIST % (ITEM + b',{"x":' + DEEP + b"}"),
        b"[" + ITEM + b",5]",
        b"[" + b"{}," * 1_000_000 + b"{}]",
        b'{"kind":"EventList","items":[%b],"items":[%b]}' % (ITEM, ITEM),
        b'{"kind":"EventList","items":[%b],"items":[]}' % ITEM,
        b'{"kind":"EventList","items":[],"items":[%b]}' % ITEM,
        b'{"kind":"EventList","kind":"EventList","items":[%b]}' % ITEM,
        b'{"kind":"EventList","items":[%b],"\\u0069tems":[]}' % ITEM,
        b'{"kind":"EventList","items":[%b],"items":[]}' % (b'{"auditID":"x","y":' + DEEP + b"}"),
        b'{"kind":"EventList","apiVersion":7,"items":[%b]}' % ITEM,
        b'{"kind":"EventList","items":"x"}',
        b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1"}',
        b'{"kind":"EventList","Items":[%b]}' % ITEM,
    ],
)
def test_what_holds_no_events_is_refused(body: bytes) -> None:
    """An ordinary EventList of the core group is another thing."""
    with pytest.raises(NoEventsError):
        lines_of(body)


@pytest.mark.parametrize("value", OF_A_CLIENT, ids=range(len(OF_A_CLIENT)))
def test_what_a_client_has_put_into_an_event_refuses_no_list(value: bytes) -> None:
    """The body of a patch is the client's own bytes: no one's events may be lost for it."""
    odd = ITEM[:-1] + b',"requestObject":' + value + b"}"
    wanted = [HEAD + item[1:] + b"\n" for item in (ITEM, odd, ITEM)]
    assert list(lines_of(LIST % b",".join((ITEM, odd, ITEM)))) == wanted
    assert list(lines_of(b"[%b ,\n%b,%b]" % (ITEM, odd, ITEM))) == wanted
    assert list(lines_of(HEAD + odd[1:])) == [wanted[1]]


def test_more_events_than_memory_is_for_are_refused() -> None:
    """They are counted before they are there; the same text inside one event is no event."""
    many = b'[{"auditID":1}' + b',{"auditID":1}' * MOST_EVENTS + b"]"
    with pytest.raises(NoEventsError, match="more than 131072"):
        lines_of(LIST % many[1:-1])
    inside = ITEM[:-1] + b',"requestObject":' + many + b"}"
    assert list(lines_of(LIST % inside)) == [HEAD + inside[1:] + b"\n"]


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
