"""What a back end says of a request, in each form in which it may say it."""

import json
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from k8s_audit_otlp.model import Rejected
from k8s_audit_otlp.otlp.export_response import (
    MAX_MESSAGE,
    read_partial_success,
    read_status,
    without_sent,
)

PROTOBUF = "application/x-protobuf"

# A request as it was sent, which some servers give back.
ECHO = ExportLogsServiceRequest(
    resource_logs=[ResourceLogs(resource=Resource(attributes=[KeyValue(key="a")]))]
).SerializeToString()


def response(rejected: int, message: str) -> bytes:
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = rejected
    answer.partial_success.error_message = message
    return bytes(answer.SerializeToString())


@pytest.mark.parametrize(
    ("body", "content_type", "wanted"),
    [
        (response(3, "too\nold"), PROTOBUF, (3, "too old")),
        (response(3, "x"), "", (3, "x")),
        (b"", PROTOBUF, (0, "")),
        (b" \r\n", PROTOBUF, (0, "")),
        (b"{}", PROTOBUF, (0, "")),
        (b"\xff\xff\xff", PROTOBUF, None),
        (response(-1, ""), PROTOBUF, (0, "")),
        (
            b'{"partialSuccess":{"rejectedLogRecords":"4","errorMessage":"e"}}',
            "application/json",
            (4, "e"),
        ),
        (b'{"partialSuccess":{"rejectedLogRecords":2}}', "", (2, "")),
        (b'{"partialSuccess":{"rejectedLogRecords":-2}}', "", (0, "")),
        (b'{"partialSuccess":[]}', "application/json", (0, "")),
        (b'{"partialSuccess":null}', "application/json", (0, "")),
        (b'{"partialSuccess":"x"}', "application/json", None),
        (b'{"partialSuccess":{"rejectedLogRecords":"few"}}', "application/json", None),
        (b'{"status":"ok"}', "application/json", None),
        (b"[]", "application/json", None),
        (b"null", "application/json", None),
        (b"{", "application/json; charset=utf-8", None),
        (b"<html>", "text/html", None),
        (b"OK", "", None),
        (ECHO, PROTOBUF, None),
    ],
)
def test_refused_records_are_counted(
    body: bytes, content_type: str, wanted: tuple[int, str] | None
) -> None:
    """In either form; what is of no form is no answer."""
    assert read_partial_success(body, content_type) == wanted


@pytest.mark.parametrize(
    ("body", "content_type", "wanted"),
    [
        (Status(code=3, message="bad").SerializeToString(), PROTOBUF, "bad"),
        (Status(message="bad").SerializeToString(), "application/octet-stream", "bad"),  # Loki
        (Status(code=3, message="bad").SerializeToString(), "", "bad"),
        (Status(message="x" * 100).SerializeToString(), "", "x" * 100),  # its length is a letter
        (b'{"code":3,"message":"bad"}', "application/json", "bad"),
        (b'{"error":{"message":"bad"}}', "", "bad"),
        (b'{"errors":[{"detail":"bad"}]}', "application/json", "bad"),
        (b'{"x":1}', "application/json", '{"x":1}'),
        (b"entry too far behind", "text/plain", "entry too far behind"),
        (b"<html><style>x{}</style><h1>413</h1>\n<p>Too large</p>", "text/html", "413 Too large"),
        (b"\x1b[31mred\x00", "text/plain", "[31mred"),
        (b"", "", ""),
        (b"x" * 1000, "", "x" * (MAX_MESSAGE - 1) + "…"),
    ],
)
def test_the_message_of_a_refusal_is_found(body: bytes, content_type: str, wanted: str) -> None:
    """Whatever it is written in; it fits one line of a log."""
    assert read_status(body, content_type) == wanted


@given(st.binary(), st.sampled_from([PROTOBUF, "application/json", "text/html", ""]))
def test_no_answer_is_trouble(body: bytes, content_type: Any) -> None:
    """Any bytes may come back."""
    rejected, message = read_partial_success(body, content_type) or (0, "")
    assert rejected >= 0
    for text in (message, read_status(body, content_type)):
        assert len(text) <= MAX_MESSAGE
        assert text.isprintable()


def test_deep_json_is_no_trouble() -> None:
    """A hostile server may nest as deep as it likes."""
    assert read_partial_success(b"[" * 100_000, "application/json") is None
    assert len(read_status(b"[" * 100_000, "application/json")) == MAX_MESSAGE
    assert read_status(json.dumps({"error": [[["x"]]]}).encode(), "application/json")


def test_the_words_of_a_back_end_are_cleaned() -> None:
    """It may quote the request's headers; what it sent itself is masked whatever its form."""
    quoted = b"Authorization: Bearer abcdef123456 is unknown; password=hunter2"
    text = read_status(quoted, "text/plain")
    assert "abcdef123456" not in text
    assert "hunter2" not in text
    refused = without_sent(Rejected("invalid key KEYecho of true"), ["KEYe", "KEYecho", "", "tru"])
    assert refused == Rejected("invalid key REDACTED of true")


@pytest.mark.parametrize(
    ("page", "text"),
    [
        (b"<html><script>if (a < b) x()</script><p>no <b>entry</b>", "no entry"),
        (b"<style>p {}</STYLE>gone<SCRIPT src=x>never closed", "gone"),
        (b"a < b and c <d>e", "a < b and c e"),
        (b"<<<p>x", "<< x"),
    ],
)
def test_a_page_is_told_by_its_text(page: bytes, text: str) -> None:
    """Without tags, and without what a browser does not show."""
    assert read_status(page, "text/html") == text


def test_a_token_is_masked_without_the_word_before_it_too() -> None:
    """A back end says which token it does not know, not how that was sent."""
    said = without_sent(Rejected("no tenant for token-of-mine"), ["Bearer token-of-mine"])
    assert said == Rejected("no tenant for REDACTED")
