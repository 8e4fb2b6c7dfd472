"""Any line gives events or says why not: nothing raises and nothing is dropped."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.decode import NO_EVENT, NOT_JSON, read_line
from tests.kit.present import present

EVENT = {"kind": "Event", "auditID": "a", "verb": "get"}
LINE = json.dumps(EVENT).encode()
WHOLE = json.dumps({**EVENT, "auditID": "b"}).encode()


def with_member(text: bytes) -> bytes:
    return LINE[:-1] + b"," + text + b"}"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: LINE[:30] + b + WHOLE))
def test_nothing_raises_and_nothing_is_dropped(line: bytes) -> None:
    """Any bytes give records, unless they are blank."""
    line = line.replace(b"\n", b"")
    reads = read_line(line)
    assert reads or not line.replace(b"\xef\xbb\xbf", b"").strip(b" \t\r\x00")
    for read in reads:
        read.body.decode()


@pytest.mark.parametrize("line", [b"[]", b'{"kind":"EventList","items":[]}'])
def test_a_list_without_events_is_told(line: bytes) -> None:
    """It is no event, and it was in the log."""
    (read,) = read_line(line)
    assert (read.is_unread, read.fault, read.at) == (True, NO_EVENT, 0)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([
                "kind", "items", "user", "groups", "extra", "code", "responseStatus", "auditID",
                "annotations", "sourceIPs", "objectRef", "stageTimestamp", "metadata",
            ]),
            inner,
            max_size=5,
        ),
        max_leaves=20,
    )
)  # fmt: skip
def test_any_json_is_read(value: Any) -> None:
    """Members of any type where others belong are no trouble."""
    line = json.dumps(value).encode()
    reads = read_line(line)
    assert all(isinstance(read.event.audit_id, str) for read in reads)


def test_a_wrong_type_is_left_out_and_named() -> None:
    """The rest of the event stays."""
    [read] = read_line(
        b'{"kind":"Event","auditID":5,"verb":"get","user":{"username":["x"],"groups":["a",1,null]},'
        b'"responseStatus":{"code":"200","reason":"r"},"sourceIPs":"1.2.3.4","annotations":{"a":1,"b":"c"}}'
    )
    assert read.fault == (
        "auditID, user.username, user.groups, sourceIPs, responseStatus.code, annotations"
    )
    assert read.event.verb == "get"
    assert present(read.event.user).groups == ("a",)
    assert present(read.event.response_status).reason == "r"
    assert read.event.annotations == {"b": "c"}


def test_a_code_stays_where_another_member_is_wrong() -> None:
    """A number of 32 bits; a larger one is left out and named."""
    line = b'{"kind":"Event","auditID":5,"responseStatus":{"code":%d}}'
    for code, kept, fault in (
        (404, 404, "auditID"),
        (2**31 - 1, 2**31 - 1, "auditID"),
        (2**31, 0, "auditID, responseStatus.code"),
    ):
        [read] = read_line(line % code)
        assert present(read.event.response_status).code == kept
        assert read.fault == fault


def test_null_is_the_same_as_missing() -> None:
    """It is no fault anywhere."""
    [read] = read_line(
        b'{"kind":"Event","auditID":null,"verb":"get","user":{"username":null,"groups":[null,"a"],'
        b'"extra":{"k":null}},"objectRef":{"name":null},"annotations":{"a":null},'
        b'"responseStatus":{"code":null},"stageTimestamp":null,"requestObject":null}'
    )
    assert read.fault == ""
    assert (read.event.audit_id, present(read.event.user).groups) == ("", ("a",))


@pytest.mark.parametrize(
    "member",
    [
        b'"requestObject":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        b'"requestObject":{"a":1e99999,"b":' + b"9" * 5000 + b"}",
        b'"requestObject":{"a":"\\ud800"}',
        b'"unknown":{"a":"\xff"}',
    ],
)
def test_what_a_body_holds_does_not_matter(member: bytes) -> None:
    """Depth, numbers, lone surrogates and invalid UTF-8 leave the event readable."""
    line = with_member(member)
    [read] = read_line(line)
    assert (read.event.audit_id, read.event.verb, read.fault) == ("a", "get", "")
    assert read.body == line.decode("utf-8", "replace").encode()


def test_text_that_is_no_unicode_becomes_the_replacement_sign() -> None:
    """A lone surrogate and a stray byte would not be UTF-8."""
    [read] = read_line(with_member(b'"userAgent":"a\\ud800\xff","requestURI":"/"'))
    assert read.event.user_agent == "a\ufffd\ufffd"


def test_of_a_repeated_key_the_last_counts() -> None:
    """So it is with the fast way and everywhere else."""
    [fast] = read_line(b'{"kind":"Event","verb":"a","verb":"b"}')
    [slow] = read_line(b'{"kind":"Event","verb":"a","verb":"b","auditID":1}')
    assert (fast.event.verb, slow.event.verb) == ("b", "b")


@pytest.mark.parametrize("form", [b'{"kind":"EventList","items":[%b]}', b"[%b]", b" [ %b ] "])
def test_a_list_gives_each_item_with_its_own_bytes(form: bytes) -> None:
    """An item without kind is an event all the same."""
    items = b'{"auditID": "1"},  {"auditID":"2","kind":"Event"}'
    first, second = read_line(form % items)
    assert (first.body, first.item, first.event.kind) == (b'{"auditID": "1"}', 0, "Event")
    assert (second.body, second.item) == (b'{"auditID":"2","kind":"Event"}', 1)


def test_a_list_item_that_is_no_event_is_told() -> None:
    """Nothing in a list disappears."""
    one, two, three = read_line(b'[{"auditID":"1"},null,{"kind":"Pod"}]')
    assert (one.fault, two.fault, three.fault) == ("", NO_EVENT, NO_EVENT)
    assert two.body == b"[unparsable, 4 bytes removed]"


def test_an_event_without_kind_is_an_event() -> None:
    """Its kind stays absent."""
    [read] = read_line(b'{"auditID":"a","stage":"Panic"}')
    assert (read.event.kind, read.fault) == ("", "")


def test_all_of_a_stranger_is_taken_for_a_body() -> None:
    """Redaction then looks everywhere in it."""
    [read] = read_line(b'{"kind":"Pod","spec":{"token":"x"}}')
    assert read.fault == NO_EVENT
    assert bytes(read.event.request_object) == read.body


def test_an_unreadable_time_is_named() -> None:
    """The time then comes from the next best."""
    [read] = read_line(with_member(b'"stageTimestamp":"yesterday"'))
    assert read.fault == "stageTimestamp"


@pytest.mark.parametrize("noise", [b"\xef\xbb\xbf", b"\x00" * 5, b"\x00\xef\xbb\xbf\x00"])
def test_noise_before_a_line_is_skipped(noise: bytes) -> None:
    """The place of the event is where its text begins."""
    [read] = read_line(noise + LINE)
    assert (read.at, read.body, read.fault) == (len(noise), LINE, "")


@pytest.mark.parametrize("line", [b"", b"  \r", b"\x00" * 9, b"\xef\xbb\xbf"])
def test_a_blank_line_is_no_record(line: bytes) -> None:
    """Nothing was written there."""
    assert read_line(line) == []


def test_a_line_that_is_no_json_never_shows_its_text() -> None:
    """Only its length is told."""
    [read] = read_line(b"secret=hunter2")
    assert (read.body, read.fault) == (b"[unparsable, 14 bytes removed]", NOT_JSON)
    assert read.is_unread


@pytest.mark.parametrize("cut", [1, 10, 25, len(LINE) - 1])
def test_a_whole_event_after_a_torn_one_is_found(cut: int) -> None:
    """What was torn is removed and told by its length."""
    torn, whole = read_line(LINE[:cut] + WHOLE)
    assert torn.body == b"[unparsable, %d bytes removed]" % cut
    assert (whole.event.audit_id, whole.at, whole.body) == ("b", cut, WHOLE)


def test_several_events_after_a_torn_one_are_all_found() -> None:
    reads = read_line(LINE[:20] + LINE + WHOLE)
    assert [read.event.audit_id for read in reads] == ["", "a", "b"]


def test_a_whole_event_is_found_however_many_torn_ones_come_before_it() -> None:
    """The last ones are tried: a line is torn where the one before it ends."""
    *_, last = read_line(LINE[:25] * 1000 + WHOLE)
    assert last.event.audit_id == "b"


def test_events_glued_to_each_other_are_all_found() -> None:
    """Also with something torn at the end."""
    reads = read_line(LINE + WHOLE + LINE[:20])
    assert [read.event.audit_id for read in reads] == ["a", "b", ""]


def test_an_event_inside_a_torn_body_is_not_believed() -> None:
    """Otherwise a client could write audit events."""
    forged = b'{"kind":"Event","auditID":"forged"}'
    torn = b'{"kind":"Event","auditID":"a","requestObject":{"x":[' + forged + b',"y'
    reads = read_line(torn + WHOLE)
    assert [read.event.audit_id for read in reads] == ["", "b"]


def test_a_code_that_is_true_or_a_text_is_left_out_and_named() -> None:
    """Python takes true for 1, which no answer has."""
    for code in (b"true", b"200.0", b'"200"'):
        [read] = read_line(b'{"kind":"Event","auditID":"a","responseStatus":{"code":%b}}' % code)
        assert present(read.event.response_status).code == 0
        assert read.fault == "responseStatus.code"


def test_the_items_of_another_list_are_no_events() -> None:
    """A list of whatever else is told as one thing that is no event."""
    event = b'{"kind":"Event","auditID":"a"}'
    [read] = read_line(b'{"kind":"List","items":[%b,%b]}' % (event, event))
    assert read.fault == NO_EVENT
    assert len(read_line(b'{"kind":"EventList","items":[%b,%b]}' % (event, event))) == 2
