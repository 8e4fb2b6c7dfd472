"""The events have the shape that kube-apiserver writes."""

import json
import re
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.log.events import EventSource, go_json, micro_time

# the order of the fields of audit.k8s.io/v1 Event
KEYS = (
    *("kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user"),
    *("impersonatedUser", "sourceIPs", "userAgent", "objectRef", "responseStatus"),
    *("requestObject", "responseObject", "requestReceivedTimestamp", "stageTimestamp"),
    "annotations",
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def _lines(n: int = 4000, seed: int = 7) -> list[bytes]:
    source = EventSource(seed, lambda: 1_767_323_045.25)
    return [source.line() for _ in range(n)]


def test_the_same_seed_and_clock_give_the_same_lines() -> None:
    """A run can be repeated from its seed, and another seed is another run."""
    assert _lines(200) == _lines(200)
    assert _lines(200) != _lines(200, seed=8)


def test_keys_stand_in_the_order_that_the_apiserver_writes() -> None:
    """Every event's keys are a subsequence of the field order of audit.k8s.io/v1."""
    for line in _lines():
        keys = list(json.loads(line))
        assert keys == [key for key in KEYS if key in keys]


def test_no_line_holds_what_go_escapes() -> None:
    """`&`, `<` and `>` appear only as escapes, and some do appear."""
    joined = b"".join(_lines())
    assert not re.search(rb"[&<>\n]", joined)
    assert all(escape in joined for escape in (rb"\u0026", rb"\u003c", rb"\u003e"))


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_escaping_changes_bytes_not_meaning(value: Any) -> None:
    """Whatever is written as Go does it reads back equal."""
    data = go_json(value)
    assert json.loads(data) == value
    assert not re.search("[&<>\u2028\u2029]", data.decode())


def test_the_mix_has_every_kind_of_event_that_needs_care() -> None:
    """Each code, stage and level that is handled specially occurs, with its shape."""
    events = [json.loads(line) for line in _lines()]
    codes = Counter(event["responseStatus"]["code"] for event in events)
    assert set(codes) == {101, 200, 201, 304, 401, 403, 404, 409, 500}
    assert {event["level"] for event in events} == {"Metadata", "Request", "RequestResponse"}
    assert {e["stage"] for e in events} == {"ResponseStarted", "ResponseComplete", "Panic"}
    for event in events:
        if event["responseStatus"]["code"] == 401:
            assert event["user"] == {}
            assert event["stage"] == "ResponseStarted"
        assert ("requestObject" in event) <= (event["level"] != "Metadata")
    secrets = [
        e["requestObject"] for e in events if e.get("requestObject", {}).get("kind") == "Secret"
    ]
    assert all(secret["data"]["password"] for secret in secrets)
    assert secrets


def test_audit_ids_repeat_only_for_the_stages_of_one_request() -> None:
    """(auditID, stage) is unique; a watch's second stage carries the id of its first."""
    events = [json.loads(line) for line in _lines()]
    pairs = Counter((event["auditID"], event["stage"]) for event in events)
    assert set(pairs.values()) == {1}
    twice = [i for i, n in Counter(event["auditID"] for event in events).items() if n == 2]
    assert twice
    assert all((i, "ResponseStarted") in pairs for i in twice)


def test_times_have_six_digits_even_on_a_whole_second() -> None:
    """metav1.MicroTime never shortens its fraction."""
    assert micro_time(1_767_323_045) == "2026-01-02T03:04:05.000000Z"
    assert all(TIME.fullmatch(json.loads(line)["stageTimestamp"]) for line in _lines(50))
