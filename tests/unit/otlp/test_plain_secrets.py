"""A plain line lets no more leave than the general path does, which judges the event whole.

An answer that says what responseStatus does stays or goes with it.
"""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.processor import EventProcessor
from k8s_audit_otlp.event.redact import Redactor
from k8s_audit_otlp.event.redact.rules import OwnRule, RedactionRules
from k8s_audit_otlp.otlp.encode import Encoder
from tests.kit import strategies
from tests.kit.strategies import as_written
from tests.unit.otlp.test_fast_path import JWT, both, encoders, planted, takes
from tests.unit.otlp.test_plain_line import run_over

KIND = {"kind": "Status", "apiVersion": "v1"}
MESSAGES = (
    'secrets "db" is forbidden: User "eve" cannot get resource "secrets" in API group ""',
    'configmaps "app" not found',
    'Invalid value: "hunter22hunter22"',
    "no token=hunter22hunter22 here",
    'cannot read {"password":"hunter22hunter22"}',
    "größe",
)
NOTES: tuple[dict[str, str], ...] = (
    {},
    {"x/y": '{"data":{"a":"hunter22hunter22"}}'},
    {"x/y": "password: hunter22hunter22"},
)
RESOURCES = ("pods", "secrets", "configmaps", "tokenreviews", "", None)


@pytest.mark.parametrize(
    "chosen",
    ["token:hunter22hunter22", "{'password':'hunter22hunter22'}", "c2VjcmV0OmFiY2RlZmdoaWprbG0="],
)
def test_an_audit_id_that_a_client_chose_is_judged_as_a_text(chosen: str) -> None:
    """Names of objects are judged by less, because they may have a colon."""
    fast, general = both(as_written(planted(("auditID",), chosen)))
    assert fast == general
    assert chosen.encode() not in fast[0]


@pytest.mark.parametrize("holder", ["annotations", "responseStatus"])
def test_a_member_named_as_the_address_hides_nothing(holder: str) -> None:
    """The address is judged apart: the true one, not what a webhook calls so."""
    line = as_written(planted((holder, "requestURI"), "/x?password=hunter22hunter22"))
    fast, general = both(line)
    assert fast == general
    assert b"hunter22" not in fast[0]


@pytest.mark.parametrize(
    "uri",
    [
        "/x/proxy/http://alice:hunter22?hunter22@host/", "/x/alice:hunter22?hunter22@host/",
        "/x/Cookie:?hunter22hunter22", "/x;token=?hunter22hunter22", "/thin:a/hunter22?hunter22@b",
        "/x/authorization: digest ?hunter22hunter22", "/basic?hunter22hunter22",
    ],
)  # fmt: skip
def test_a_value_that_begins_in_the_path_may_end_in_the_query(uri: str) -> None:
    """The two are judged apart by the fast path, and yet as one."""
    fast, general = both(as_written(planted(("requestURI", "{}"), uri)))
    assert fast == general


@pytest.mark.parametrize("null", ["requestObject", "responseObject"])
def test_a_body_that_is_null_beside_one_that_has_its_name_inside(null: str) -> None:
    """Where another member is of a wrong type, too, so that the event is read leniently."""
    other = {"requestObject": "responseObject", "responseObject": "requestObject"}[null]
    event = {**planted(("level",), "RequestResponse"), "user": {"username": ["alice"]}}
    body = {other: None, "password": "hunter22hunter22"}
    fast, general = both(as_written({**event, null: None, other: body}))
    assert fast == general
    assert b"hunter22" not in fast[0]


@pytest.mark.parametrize("path", ["/xAKIAIOSFODNN7EXAMPLE", "/x/AKIAIOSFODNN7EXAMPLE"])
def test_a_name_that_is_only_part_of_a_step_is_judged_by_itself(path: str) -> None:
    """A token shows itself by how its word begins."""
    event = planted(("objectRef", "name"), "AKIAIOSFODNN7EXAMPLE")
    fast, general = both(as_written({**event, "requestURI": path}))
    assert fast == general


def test_names_of_an_operators_rule_are_names_in_bodies() -> None:
    """Whatever else of the event is redacted, or not."""
    rule = OwnRule("mine", keys=re.compile("namespace|stage|reason"))
    processor = EventProcessor(None, Redactor(RedactionRules(own=(rule,))))
    fast = Encoder(transform=processor, clean=processor.clean_parts())
    for agent in ("kubectl", JWT):
        event = planted(("responseStatus", "reason"), "Mine")
        block = strategies.blocks_of([as_written({**event, "userAgent": agent})])
        encoded = fast.encode_block(block)
        assert encoded.records == Encoder(transform=processor).encode_block(block).records
        assert b"Mine" in encoded.records[0]
        assert "mine" not in encoded.redacted


def refusal(
    resource: str | None, message: str, notes: dict[str, str], request: Any = None
) -> dict[str, Any]:
    event = {**planted(("level",), "RequestResponse"), "annotations": notes}
    event["objectRef"] = {"resource": resource, "name": "db"}
    if resource is None:
        del event["objectRef"]
    status = {"metadata": {}, "status": "Failure", "message": message, "code": 403}
    event["responseStatus"] = status
    if request is not None:
        event["requestObject"] = request
    return {**event, "responseObject": {**KIND, **status}}


refusals = st.builds(
    refusal,
    st.sampled_from(RESOURCES),
    st.sampled_from(MESSAGES),
    st.sampled_from(NOTES),
    st.sampled_from([None, {"a": 1}, {"data": {"a": "hunter22hunter22"}}]),
)


@settings(max_examples=300, deadline=None)
@given(event=refusals, escaped=st.booleans())
def test_the_fast_path_gives_what_the_general_one_does(
    event: dict[str, Any], *, escaped: bool
) -> None:
    one, other = both(as_written(event, escaped=escaped))
    assert one == other


@pytest.mark.parametrize("resource", ["pods", "secrets", "configmaps", None])
def test_a_refusal_stays_as_it_is(resource: str | None) -> None:
    """Whatever it is about: the record says it twice as the apiserver does."""
    line = as_written(refusal(resource, MESSAGES[0], {}))
    fast, _ = encoders()
    assert takes(fast, line)
    [record] = run_over(fast, line).records
    assert record.endswith(line)


@pytest.mark.parametrize("message", [MESSAGES[2], MESSAGES[3], MESSAGES[4]])
def test_what_goes_in_one_goes_in_both(message: str) -> None:
    one, other = both(as_written(refusal("pods", message, {})))
    assert one == other
    assert b"hunter22" not in one[0]


@pytest.mark.parametrize("resource", ["pods", "secrets", "configmaps"])
@pytest.mark.parametrize(
    "more",
    [
        {"data": {"a": "aGVsbG8gd29ybGQ="}}, {"password": "hunter22hunter22"},
        {"metadata": {"token": "hunter22hunter22"}}, {"details": {"secret": "hunter22hunter22"}},
        {"details": {"causes": [{"token": "hunter22hunter22"}]}}, {"stringData": {"a": "b"}},
    ],
)  # fmt: skip
def test_members_that_are_of_no_status_are_judged_by_what_the_event_is_about(
    resource: str, more: dict[str, Any]
) -> None:
    """An aggregated server may write any."""
    event = refusal(resource, MESSAGES[1], {})
    event["responseStatus"] |= more
    event["responseObject"] |= more
    fast, _ = encoders()
    assert not takes(fast, as_written(event))
    one, other = both(as_written(event))
    assert one == other
    assert b"hunter22" not in one[0]


def test_details_of_a_status_are_known_as_they_are() -> None:
    event = refusal("pods", MESSAGES[1], {})
    cause = {"reason": "FieldValueInvalid", "message": "no", "field": "spec"}
    details = {"name": "a", "group": "g", "kind": "k", "uid": "u", "causes": [cause]}
    for part in ("responseStatus", "responseObject"):
        event[part] |= {"metadata": {}, "details": {**details, "retryAfterSeconds": 3}}
    fast, _ = encoders()
    assert takes(fast, as_written(event))


def test_json_in_a_text_is_judged_by_what_the_event_is_about() -> None:
    fast, _ = encoders()
    assert not takes(fast, as_written(refusal("secrets", MESSAGES[1], NOTES[1])))
    one, other = both(as_written(refusal("secrets", MESSAGES[1], NOTES[1])))
    assert one == other
    assert b"hunter22" not in one[0]


STATUS = b'{"metadata":{},"status":"Failure","message":"no","code":403}'
ANSWER = b'{"kind":"Status","apiVersion":"v1",' + STATUS[1:]


@pytest.mark.parametrize(
    ("status", "answer", "is_one"),
    [
        (STATUS, ANSWER, True),
        (STATUS, ANSWER.replace(b"403", b"404"), False),
        (STATUS, ANSWER.replace(b'"no"', b'"No"'), False),
        (STATUS, STATUS, False),
        (STATUS, ANSWER.replace(b"v1", b"v2"), False),
        (b"{}", b'{"kind":"Status","apiVersion":"v1",}', False),  # which is no JSON
        (b"null", b'{"kind":"Status","apiVersion":"v1"}', False),
    ],
)
def test_both_forms_tell_an_answer(
    pair: tuple[Encoder, Encoder], status: bytes, answer: bytes, *, is_one: bool
) -> None:
    event = planted(("level",), "RequestResponse")
    line = as_written({**event, "responseObject": {"X": 1}})
    line = line.replace(b'{"X":1}', answer)
    line = line.replace(b'{"metadata":{},"code":200}', status)
    assert status in line
    assert line.endswith(b"}")
    asked: list[tuple[bytes, ...]] = []

    def stay(*given: bytes) -> bool:
        asked.append(given)
        return True

    runs = [run_over(encoder, line, bodies_stay=stay) for encoder in pair]
    assert runs[0] == runs[1]
    [given] = set(asked)
    around = line.replace(b'"responseObject":' + answer, b'"responseObject":')
    assert given[4:] == ((b"", around) if is_one else (answer, b""))


LARGE = b'"x":"%b",' % (b"a" * 300_000)


@pytest.mark.parametrize("resource", ["pods", "secrets"])
@pytest.mark.parametrize("head", [b"", LARGE, b'"data":{"a":"hunter22hunter22"},'])
@pytest.mark.parametrize(
    "wrong", [b'"items":[{"a":1}', b'"items":[{"a":1},]', b'"items":{"a":1}]', b'"a":01', b'"a"']
)
def test_a_body_that_is_no_json_takes_the_general_way(
    resource: str, head: bytes, wrong: bytes
) -> None:
    """Large lists are read item by item, and others once; each is read to its end."""
    event = {**planted(("level",), "RequestResponse"), "responseObject": {"X": 1}}
    event["objectRef"] = {"resource": resource, "name": "b"}
    fast, _ = encoders()
    whole = as_written(event).replace(b'{"X":1}', b'{"kind":"List",%b"items":[{"a":1}]}' % head)
    assert takes(fast, whole)
    one, other = both(whole)
    assert one == other
    line = as_written(event).replace(b'{"X":1}', b'{"kind":"List",%b%b}' % (head, wrong))
    assert not takes(fast, line)
    one, other = both(line)
    assert one == other
    assert b"hunter22" not in one[0]
