"""Every row of the table of answers, read here and met on a socket in test_http and test_grpc."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from k8s_audit_otlp.model import Delivered, Misconfigured, Outcome, Rejected, Retry, TooLarge
from k8s_audit_otlp.transport.response_codes import (
    MAX_WAIT_S,
    read_grpc,
    read_http,
    read_kafka,
    retry_after_s,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def http(status: int, headers: dict[str, str] | None = None, **rest: Any) -> Outcome:
    return read_http(status, headers or {}, "", now=NOW, **rest)


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [
        ({200, 201, 202, 204, 206}, Delivered),
        ({260}, Misconfigured),
        ({301, 302, 303, 307, 308}, Misconfigured),
        ({400, 422}, Rejected),
        ({401, 402, 403, 404, 405, 406, 407, 410, 415, 451}, Misconfigured),
        ({408, 429, 500, 501, 502, 503, 504, 507, 521, 599}, Retry),
        ({413}, TooLarge),
    ],
)
def test_each_status_means_what_its_row_says(
    statuses: set[int],
    kind: type,
) -> None:
    """The table, row by row."""
    assert {type(http(status)) for status in statuses} == {kind}


def test_the_collectors_400_for_a_large_body_is_too_large() -> None:
    """It has no 413: its message says what it means."""
    message = "http: request body too large"
    assert read_http(400, {}, message, now=NOW) == TooLarge(f"HTTP 400: {message}")


def test_further_codes_are_retried_by_configuration() -> None:
    """retry_status_codes wins over every other row."""
    outcome = http(404, {"retry-after": "3"}, retry_also=frozenset({404}))
    assert outcome == Retry("HTTP 404", 3.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Fri, 02 Jan 2026 03:05:05", 60.0),
        ("999999999", MAX_WAIT_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MAX_WAIT_S),
        ("soon", None),
        ("-5", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    """RFC 9110; nonsense is no wish, and a wish has a bound."""
    assert retry_after_s(value, NOW) == seconds


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (
            "CANCELLED DEADLINE_EXCEEDED ABORTED OUT_OF_RANGE UNAVAILABLE DATA_LOSS",
            Retry,
        ),
        ("UNKNOWN INTERNAL", Retry),
        ("INVALID_ARGUMENT", Rejected),
        ("RESOURCE_EXHAUSTED", TooLarge),
        ("UNAUTHENTICATED PERMISSION_DENIED UNIMPLEMENTED NOT_FOUND", Misconfigured),
        ("FAILED_PRECONDITION ALREADY_EXISTS", Misconfigured),
    ],
)
def test_each_grpc_code_means_what_its_row_says(codes: str, kind: type) -> None:
    """The table, row by row."""
    assert {type(read_grpc(code, "", None)) for code in codes.split()} == {kind}


def test_resource_exhausted_with_retry_info_is_back_pressure() -> None:
    """Only then may it be retried as it is."""
    assert read_grpc("RESOURCE_EXHAUSTED", "slow down", 2.5) == Retry(
        "gRPC RESOURCE_EXHAUSTED: slow down", 2.5
    )


def test_retry_info_has_a_bound() -> None:
    """A server cannot send us away for days."""
    assert read_grpc("UNAVAILABLE", "", 1e9) == Retry("gRPC UNAVAILABLE", MAX_WAIT_S)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("MSG_SIZE_TOO_LARGE", TooLarge),
        ("RECORD_LIST_TOO_LARGE", TooLarge),
        ("INVALID_RECORD", Rejected),
        ("TOPIC_AUTHORIZATION_FAILED", Misconfigured),
        ("CLUSTER_AUTHORIZATION_FAILED", Misconfigured),
        ("_AUTHENTICATION", Misconfigured),
        ("UNKNOWN_TOPIC_OR_PART", Misconfigured),
        ("NOT_ENOUGH_REPLICAS", Retry),
        ("KAFKA_STORAGE_ERROR", Retry),
        ("NOT_LEADER_FOR_PARTITION", Retry),
        ("_MSG_TIMED_OUT", Retry),
        ("OUT_OF_ORDER_SEQUENCE_NUMBER", Retry),
        ("an error that nobody knows", Retry),
    ],
)
def test_what_a_broker_answers(name: str, kind: type) -> None:
    """Too large is split, not authorised is kept, all else passes and is no record's fault."""
    outcome = read_kafka(name, "said")
    assert isinstance(outcome, kind)
    assert not isinstance(outcome, Retry) or not outcome.reached
