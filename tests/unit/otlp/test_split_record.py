"""A record that is too large comes back smaller, and is still the same record."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.event.processor import Shrinker
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.limits import UID, AttributeLimits
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.record import encode_record, uid_of
from k8s_audit_otlp.otlp.split_record import RecordSplitter
from k8s_audit_otlp.otlp.wire import time_of
from tests.kit import reference, strategies
from tests.kit.delivery import body_of

OPTIONS = MappingOptions()
WHO = ("user.name", "k8s.audit.verb", "k8s.audit.id", UID, "log.file.record_offset")


def record_of(line: bytes, options: MappingOptions = OPTIONS, **edges: Any) -> bytes:
    [record] = Encoder(options, **edges).encode_block(strategies.blocks_of([line])).records
    return record


def parsed(record: bytes) -> dict[str, Any]:
    [message] = ScopeLogs.FromString(record).log_records
    return reference.parsed(message)


def large(size: int, **members: Any) -> bytes:
    body = {"kind": "Pod", "spec": {"x": "é" * (size // 2)}}
    return strategies.line_of(verb="update", user={"username": "u"}, responseObject=body, **members)


def test_the_body_goes_and_the_rest_stays() -> None:
    """Half the size, valid JSON, marked with what the body was; every other attribute as before."""
    line = large(100_000)
    record = record_of(line)
    smaller = RecordSplitter(OPTIONS)(record) or b""
    assert len(smaller) <= len(record) // 2
    before, after = parsed(record), parsed(smaller)
    assert json.loads(after["body"])["verb"] == "update"
    marks = {k: after["attributes"].pop(k) for k in list(after["attributes"]) if "truncat" in k}
    assert marks["k8s.audit.truncated"] is True
    assert marks["k8s.audit.truncation.original_bytes"] == len(line)
    assert marks["k8s.audit.truncation.removed"] == ["responseObject"]
    assert after["attributes"] == before["attributes"]
    assert (uid_of(smaller), time_of(smaller)) == (uid_of(record), time_of(record))


def test_long_attributes_are_cut_where_the_body_is_not_what_is_large() -> None:
    """Clients choose the length of their agent, and it is in the record twice."""
    record = record_of(
        strategies.line_of(verb="get", user={"username": "u"}, userAgent="a" * 20_000)
    )
    after = parsed(RecordSplitter(OPTIONS)(record) or b"")
    assert after["attributes"]["user.name"] == "u"
    assert set(after["attributes"]["user_agent.original"]) == {"a"}
    assert len(json.loads(after["body"])["userAgent"]) < 20_000


def test_halving_goes_on_until_it_cannot() -> None:
    """Each is smaller by a quarter at least, so a limit is met or given up in few requests."""
    sizes: list[int] = []
    wide = large(1_000_000, userAgent="a" * 5000, sourceIPs=["1.1.1.1"] * 400)
    record: bytes | None = record_of(wide)
    while record is not None:
        sizes.append(len(record))
        attributes = parsed(record)["attributes"]
        assert attributes[UID] == f"{strategies.IDENTITY}-0"
        assert attributes["user.name"] == "u"
        record = RecordSplitter(OPTIONS)(record)
    assert len(sizes) > 2
    assert all(b <= a * 3 // 4 for a, b in pairwise(sizes))
    assert sizes[-1] < 5000


def test_a_record_that_was_shrunk_before_keeps_its_first_size() -> None:
    """What is missing is told as a whole."""
    body = {"metadata": {"managedFields": ["m" * 30_000]}, "spec": "x" * 20_000}
    line = strategies.line_of(responseObject=body).replace(b": ", b":")
    record = record_of(line, shrink=Shrinker(), max_record_bytes=30_000)
    after = parsed(RecordSplitter(OPTIONS)(record) or b"")["attributes"]
    assert after["k8s.audit.truncation.original_bytes"] == len(line)
    assert after["k8s.audit.truncation.removed"] == ["managedFields", "responseObject"]


def test_a_halved_record_keeps_the_names_of_its_back_end() -> None:
    """Marks are flat, and lists JSON text, where the others are."""
    options = MappingOptions(limits=AttributeLimits(flat_names=True, lists_as_json=True))
    attributes = parsed(RecordSplitter(options)(record_of(large(50_000), options)) or b"")[
        "attributes"
    ]
    assert attributes["k8s_audit_truncation_removed"] == '["responseObject"]'
    assert not [key for key in attributes if "." in key and key != UID]


@pytest.mark.parametrize("body", ["é" * 5000, "{" + "é" * 5000, '{"a":"' + "b" * 9000 + '"}'])
def test_what_is_no_event_gets_smaller_as_well(body: str) -> None:
    """Text is cut; what begins as JSON is not cut to half of it."""
    smaller = RecordSplitter(OPTIONS)(encode_record(1, 2, 9, "x", body, {UID: "u"})) or b""
    text = body_of(smaller)
    assert body.startswith(text.removesuffix("...")) or text.startswith("[removed, ")
    assert uid_of(smaller) == "u"


@settings(max_examples=80, deadline=None)
@given(st.one_of(strategies.events, strategies.plain_events))
def test_any_record_gets_smaller_or_says_that_it_cannot(event: Any) -> None:
    """Valid JSON, unique names, the same uid and time."""
    record = record_of(json.dumps(event).encode())
    smaller = RecordSplitter(OPTIONS)(record)
    if smaller is not None:
        assert len(smaller) <= len(record) * 3 // 4
        assert isinstance(json.loads(parsed(smaller)["body"]), dict)
        assert (uid_of(smaller), time_of(smaller)) == (uid_of(record), time_of(record))
