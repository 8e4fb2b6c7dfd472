"""A watched record is asked for by its fields, shown on a line, and counted."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ScopeLogs

from k8s_audit_otlp.tools.tap import Match, Volume, Watched, line_of, read
from tests.kit.log.events import EventSource

EVENT = {
    "kind": "Event",
    "level": "Metadata",
    "stage": "ResponseComplete",
    "verb": "delete",
    "user": {"username": "mallory@example.com"},
    "objectRef": {"resource": "deployments", "apiGroup": "apps", "namespace": "prod", "name": "a"},
    "responseStatus": {"code": 403},
    "sourceIPs": ["10.0.0.1"],
}


def watched(body: str) -> Watched:
    record = LogRecord(time_unix_nano=1_700_000_000_123_000_000, event_name="k8s.audit.event")
    record.body.string_value = body
    return read("otlp_http", ScopeLogs(log_records=[record]).SerializeToString())


def test_the_line_says_who_did_what_with_which_result() -> None:
    """In the order that one reads it."""
    assert line_of(watched(json.dumps(EVENT))) == (
        "2023-11-14T22:13:20.123Z otlp_http  403  delete  deployments.apps  prod/a  "
        "mallory@example.com"
    )


def test_what_an_event_lacks_has_its_place_in_the_line() -> None:
    """Else a name would stand where a namespace stands, and a user where a name does."""
    node = {**EVENT, "objectRef": {"resource": "nodes", "name": "node-1"}, "responseStatus": {}}
    assert line_of(watched(json.dumps(node))).endswith(
        "otlp_http  -  delete  nodes  -/node-1  mallory@example.com"
    )
    nobody = {**EVENT, "objectRef": {"resource": "pods", "namespace": "prod"}, "user": {}}
    assert line_of(watched(json.dumps(nobody))).endswith("403  delete  pods  prod/-  -")


def test_the_volume_names_who_is_not_authenticated() -> None:
    """An event without a user is no notice of the agent."""
    volume = Volume()
    volume.add(watched(json.dumps({**EVENT, "user": {}})))
    volume.add(watched("the log is silent"))
    assert {row[0] for row in volume.rows(9)} == {"(not authenticated)", "k8s.audit.event"}


@pytest.mark.parametrize(
    ("wishes", "wanted"),
    [
        ([], True),
        (["user=mallory*", "verb=delete"], True),
        (["verb=get", "verb=delete"], True),
        (["user=bob*"], False),
        (["code=4xx"], True),
        (["code=5XX"], False),
        (["resource=deployments*", "namespace=prod", "exporter=otlp_http"], True),
    ],
)
def test_every_field_that_is_asked_for_must_match(wishes: list[str], *, wanted: bool) -> None:
    """A field that is given twice takes either."""
    assert Match(wishes)(watched(json.dumps(EVENT))) is wanted


LONG = "system:serviceaccount:prod:" + "n" * 200
NAMES = [
    "o'brien",
    'a "b" c',
    "Zoë",
    "x=y",
    "[team]",
    "a\x1b[2J",
    "\u202eresu",
    "back\\slash",
    LONG,
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_found_as_it_is_and_as_it_is_shown(name: str) -> None:
    """Whatever it holds: patterns of the shell, controls, more than a line has room for."""
    found = watched(json.dumps({**EVENT, "user": {"username": name}}))
    shown = line_of(found).rpartition("  ")[2]
    assert Match([f"user={name}"])(found)
    assert Match([f"user={shown}"])(found)
    assert Match([f"user=*{name[-1]}"])(found)
    assert not Match([f"user={name}x"])(found)


@pytest.mark.parametrize(
    ("wish", "hint"),
    [
        ("usr=x", "user"),
        ("user", "user=PATTERN"),
        ("code=4xx,5xx", "takes either"),
        ("code=>400", "403 or 4xx"),
        ("code=9xx", "403 or 4xx"),
        ("level=metadata", "Metadata"),
        ("stage=complete", "ResponseComplete"),
    ],
)
def test_a_wish_that_means_nothing_is_refused(wish: str, hint: str) -> None:
    """With what was probably meant."""
    with pytest.raises(ValueError, match=hint):
        Match([wish])


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4))
def test_any_body_can_be_shown(value: object) -> None:
    """On one line, without control characters; and as JSON that can be read again."""
    for body in (str(value), json.dumps(value), json.dumps(dict.fromkeys(EVENT, value))):
        found = watched(body)
        assert line_of(found).isprintable()
        assert found.as_json().isprintable()
        orjson.loads(found.as_json())


def test_the_largest_makers_come_first() -> None:
    """By what leaves, not by how many they are."""
    source, volume = EventSource(1), Volume()
    for _ in range(200):
        volume.add(watched(source.line().decode()))
    rows = list(volume.rows(5))
    assert [row[4] for row in rows] == sorted((row[4] for row in rows), reverse=True)
    assert volume.events == 200
    assert sum(row[4] for row in volume.rows(1000)) == volume.size
