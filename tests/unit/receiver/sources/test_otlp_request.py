"""What an exporter has written as requests is read back as the lines of its events."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp.evidence.notices import skipped
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.record import body_of, encode_record
from k8s_audit_otlp.otlp.resource import encode_resource, export_request
from k8s_audit_otlp.receiver.sources.otlp_request import (
    UnreadableRequestError,
    is_request,
    read_request,
)
from k8s_audit_otlp.receiver.sources.partition import lines_in
from k8s_audit_otlp.transport.otlp_json import to_line
from tests.kit.present import present
from tests.kit.strategies import blocks_of, plain_events

RESOURCE, SCOPE = b"\x0a\x00", b"\x0a\x00"


def notice(name: str, body: str, **attributes: str) -> bytes:
    named = {key.replace("_", "."): value for key, value in attributes.items()}
    return encode_record(1, 1, 17, name, body, named)


GAP = notice("k8s.audit.gap", "9 bytes are missing")
OTHERS = [
    notice("k8s.audit.segment", "a receipt"),
    notice("k8s.audit.gap", "left out", k8s_audit_gap_reason="skipped"),
]


def forms(request: bytes) -> list[bytes]:
    return [request, to_line(request), b" " + to_line(request)]


@given(st.lists(plain_events, max_size=4))
def test_events_come_back_as_the_lines_they_were(events: list[dict[str, Any]]) -> None:
    """Whatever the length of the request is; gaps are told, other notices left out."""
    texts = [json.dumps(event).encode() for event in events]
    records = [*OTHERS, *Encoder().encode_block(blocks_of(texts)).records, GAP]
    request = export_request(RESOURCE, SCOPE, records)
    for message in (*forms(request), request + request):
        times = 1 + (message == request + request)
        assert is_request(message)
        assert present(read_request(message)).gaps == ["9 bytes are missing"] * times
        for packed in (message, gzip.compress(message), b"\xef\xbb\xbf" + message):
            assert lines_in(packed) == ([text + b"\n" for text in texts] * times, times)


def test_whose_events_they_are_is_known() -> None:
    """Their resource is left out: who reads two clusters as one must be told."""
    record = Encoder().encode_block(blocks_of([b'{"kind":"Event","auditID":"a"}'])).records
    both = b"".join(
        export_request(
            encode_resource(Resource({"a": "b", "k8s.cluster.name": name})), SCOPE, record
        )
        for name in ("prod", "test-é")
    )
    for message in forms(both):
        assert present(read_request(message)).clusters == {"prod", "test-é"}


def test_what_the_writer_could_not_read_is_not_left_out() -> None:
    """Its record is read as one of an event that could not be read, of as many bytes."""
    torn = b'{"kind":"Event","auditID":"a","sta'
    record = Encoder().encode_block(blocks_of([torn])).records[0]
    (line,), left_out = lines_in(export_request(RESOURCE, SCOPE, [record]))
    assert left_out == 0
    assert lines_in(body_of(record)) == ([line], 0)  # as `encoding: raw` writes it
    (again,) = Encoder().encode_block(blocks_of([line.rstrip()])).records
    assert body_of(again) == body_of(record) == b"[unparsable, %d bytes removed]" % len(torn)


def test_what_is_left_out_on_purpose_is_no_loss() -> None:
    """The attribute that says so is the one that notices carry."""
    attributes = skipped("e", "log", 9, now_ns=1).attributes
    assert attributes["k8s.audit.gap.reason"] == "skipped"


@pytest.mark.parametrize(
    "message",
    [
        b'\n{"kind":"Event","auditID":"a"}',
        b'\n{\n  "kind": "Event",\n  "auditID": "a"\n}',
        b"\n\n" + b'{"kind":"Event","auditID":"a"}' + b"\n",
        b"\n",
        b"",
        b"\n\x80",
        b'{"kind":"Event","auditID":"resourceLogs"}',
    ],
)
def test_events_behind_a_line_break_are_no_request(message: bytes) -> None:
    assert not is_request(message)


@pytest.mark.parametrize(
    "message",
    [
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"kvlistValue":{}}}]}]}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{}]}]}]}',
        b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"\xff"}}]}]}]}',
        b'{"resourceLogs":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"resourceLogs":["scopeLogs"]}',
        b'{"resourceLogs":[{',
        b"\x0a\x06\x12\x04\x12\x02\x2a\x00",
    ],
)
def test_bodies_that_are_no_texts_are_not_passed_over(message: bytes) -> None:
    """They would count as no audit event and be lost."""
    assert is_request(message)
    with pytest.raises(UnreadableRequestError):
        read_request(message)
