"""Shrinking: under the limit, valid JSON, and who did what is still there."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.event.shrink import limit_text, shrink
from k8s_audit_otlp.model import EMPTY, AuditEvent

decode = msgspec.json.Decoder(AuditEvent).decode
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def line_of(**members: Any) -> bytes:
    event = {
        "kind": "Event",
        "level": "RequestResponse",
        "auditID": "8a2b1b9e-7f0c-4d7c-9a55-0c7f6e1f8f10",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/pods",
        "verb": "list",
        "user": {"username": "alice", "groups": ["dev"]},
        "sourceIPs": ["10.1.2.3"],
        "objectRef": {"resource": "pods", "namespace": "shop"},
        "responseStatus": {"code": 200},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
        "stageTimestamp": "2026-01-02T03:04:05.000007Z",
    } | members
    return json.dumps(event, separators=(",", ":")).encode()


def identity(event: AuditEvent) -> tuple[Any, ...]:
    assert event.user
    assert event.response_status
    return (
        event.audit_id,
        event.stage,
        event.verb,
        event.user.username,
        event.response_status.code,
        event.stage_timestamp,
    )


def test_what_fits_is_left_alone() -> None:
    """The same objects come back."""
    line = line_of(responseObject={"a": 1})
    event = decode(line)
    assert shrink(event, line, len(line)) == (event, line, ())


MANAGED = {"metadata": {"managedFields": [{"f": "x" * 3000}], "name": "a"}}
COPY = {"metadata": {"annotations": {LAST_APPLIED: "x" * 3000, "a": "b"}}}
LONG = {"metadata": {"annotations": {"a": "x" * 3000, "b": "c"}}}
BULK = {"x": "y" * 3000}
BOTH = {"responseObject": BULK, "requestObject": BULK}
RUNGS = [
    ({"responseObject": MANAGED}, ("managedFields",), b'{"metadata":{"name":"a"}}'),
    ({"responseObject": COPY}, ("last-applied-configuration",), b'"annotations":{"a":"b"}'),
    ({"requestObject": LONG}, ("annotations",), b'"annotations":{"b":"c"}'),
    (BOTH | {"requestObject": {"a": 1}}, ("responseObject",), b'"requestObject":{"a":1}'),
    (BOTH, ("responseObject", "requestObject"), b'"code":200},"requestRec'),
    ({"sourceIPs": ["10.0.0.1"] * 500}, ("lists", "attributes"), b'"10.0.0.1"]'),
    ({"userAgent": "x" * 5000}, ("lists", "attributes"), b'xx..."'),
]


@pytest.mark.parametrize(("members", "removed", "left"), RUNGS)
def test_the_ladder_goes_down_one_rung_at_a_time(
    members: dict[str, Any], removed: tuple[str, ...], left: bytes
) -> None:
    """And no further than it must."""
    line = line_of(**members)
    result = shrink(decode(line), line, 2000)
    assert result.removed == removed
    assert left in result.line
    assert len(result.line) <= 2000
    assert identity(decode(result.line)) == identity(decode(line)) == identity(result.event)


def test_a_list_of_fifty_megabytes_becomes_a_record_at_once() -> None:
    """The body is too large to be searched for what to trim: it goes."""
    item = b'{"metadata":{"name":"x","managedFields":[{"manager":"k"}]},"spec":{"a":"b"}}'
    body = b'{"kind":"PodList","items":[' + b",".join([item] * 650_000) + b"]}"
    line = line_of(responseObject="BODY").replace(b'"BODY"', body)
    event = decode(line)
    start = time.process_time()
    result = shrink(event, line, 250_000)
    assert time.process_time() - start < 5
    assert result.removed == ("responseObject",)
    assert result.line == line_of()
    assert result.event.response_object is EMPTY


def test_who_and_what_are_the_last_to_go() -> None:
    """A client that makes its own request large hides neither itself nor what it asked for."""
    name = "system:serviceaccount:" + "payments-production-" * 8
    path = "/api/v1/namespaces/" + "n" * 63 + "/secrets/" + "s" * 253
    line = line_of(
        requestURI=f"{path}?x={'a' * 260_000}",
        user={"username": name, "groups": [f"group-{i}" for i in range(5000)]},
        objectRef={"resource": "secrets", "namespace": "n" * 63, "name": "s" * 253},
        sourceIPs=[f"10.0.{i // 256}.{i % 256}" for i in range(2000)] + ["192.0.2.7"],
        userAgent="u" * 100_000,
        verb="v" * 1000,
    )
    event = shrink(decode(line), line, 6000).event
    assert event.user
    assert event.object_ref
    assert event.source_ips
    assert event.user.username == name
    assert event.request_uri.startswith(path)
    assert (event.object_ref.name, event.object_ref.namespace) == ("s" * 253, "n" * 63)
    assert event.verb == "v" * 1000
    assert event.source_ips[-1] == "192.0.2.7"


def test_no_more_is_cut_than_must() -> None:
    """A limit with room for most of the groups keeps a thousand of them."""
    line = line_of(user={"username": "alice", "groups": [f"group-{i:04}" for i in range(5000)]})
    event = shrink(decode(line), line, 60_000).event
    assert event.user
    assert event.user.groups
    assert len(event.user.groups) >= 1000


@settings(max_examples=100, deadline=None)
@given(
    name=st.text(max_size=3000),
    address=st.lists(st.text(max_size=40), max_size=300),
    extra=st.dictionaries(st.text(max_size=300), st.lists(st.text(max_size=300)), max_size=20),
    annotations=st.dictionaries(st.text(max_size=300), st.text(max_size=3000), max_size=20),
    body=st.dictionaries(st.text(max_size=20), st.text(max_size=3000), max_size=5),
    limit=st.sampled_from([4096, 5000, 20_000]),
)
def test_any_event_fits_any_limit_from_four_kilobytes(
    name: str,
    address: list[str],
    extra: dict[str, list[str]],
    annotations: dict[str, str],
    body: dict[str, str],
    limit: int,
) -> None:
    """Whatever clients choose; the rest agrees with the line."""
    user = {"username": "alice", "uid": name, "groups": address, "extra": extra}
    line = line_of(
        user=user,
        sourceIPs=address,
        requestURI=f"/{name}",
        objectRef={"resource": name, "name": name, "namespace": name},
        responseStatus={"code": 200, "message": name},
        responseObject=body,
        annotations=annotations,
    )
    result = shrink(decode(line), line, limit)
    assert len(result.line) <= limit
    again = decode(result.line)
    assert identity(again) == identity(result.event) == identity(decode(line))
    assert again.user == result.event.user
    assert bool(result.removed) == (len(line) > limit)


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=100), limit=st.integers(0, 60))
def test_text_is_cut_between_characters(text: str, limit: int) -> None:
    """Never longer than the limit, and a prefix of what it was."""
    cut = limit_text(text, limit)
    assert len(cut.encode()) <= limit or cut == text
    assert text.startswith(cut.removesuffix("...")) or cut == text
