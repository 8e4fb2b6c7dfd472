"""Maps the answers of back ends (HTTP, gRPC, Kafka) to outcomes, in one table. Pure.

Rules: opentelemetry.io/docs/specs/otlp, sections OTLP/HTTP Response and OTLP/gRPC Response, and
kafka.apache.org/protocol#protocol_error_codes, by librdkafka's names (local ones begin with _);
where vendors deviate, the row says who. What the specification calls final is still kept here
while it may be a mistake of configuration: a wrong key must not destroy audit data.
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from k8s_audit_otlp.model import (
    Delivered,
    Failure,
    Misconfigured,
    Outcome,
    Rejected,
    Retry,
    TooLarge,
)

# 408: Sumo Logic and several proxies. 500 and all other 5xx (507 is Data Prepper's full buffer) are
# final to the specification, but no fault of the records: they are repeated, and a request that
# keeps failing is searched for the record that makes the back end fail.
RETRYABLE_HTTP = frozenset({408, 429, *range(500, 600)})
TOO_LARGE_HTTP = frozenset({413})
REJECTED_HTTP = frozenset({400, 422})
TOO_LARGE_SAID = "request body too large"  # the Collector answers 400 to it: Go's MaxBytesReader
TLS_SAID = re.compile(r"to (?:an )?HTTPS (?:server|port)")  # 400 of Go and of nginx to plain HTTP

MISCONFIGURED_HTTP = {
    **dict.fromkeys(range(300, 400), "a redirect is not followed: write the address it leads to"),
    260: "Loki has blocked ingestion and drops what it is sent",
    401: "the credentials are missing or wrong",
    403: "the credentials do not allow this, or a proxy forbids it",
    404: "the path is wrong",
    405: "the path takes no POST",
    406: "the back end wants another form of answer",
    407: "the proxy wants credentials",
    415: "the back end wants another content type or encoding",
}

RETRYABLE_GRPC = frozenset(
    {
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNAVAILABLE",
        "DATA_LOSS",
        # final to the specification; here as 500 is
        "UNKNOWN",
        "INTERNAL",
    }
)
REJECTED_GRPC = frozenset({"INVALID_ARGUMENT"})
MISCONFIGURED_GRPC = {
    "UNAUTHENTICATED": "the credentials are missing or wrong",
    "PERMISSION_DENIED": "the credentials do not allow this",
    "UNIMPLEMENTED": "the back end has no OTLP log service there",
    "NOT_FOUND": "the back end has no OTLP log service there",
    "FAILED_PRECONDITION": "the back end does not take this now",
    "ALREADY_EXISTS": "the back end does not take this",
}

TOO_LARGE_KAFKA = frozenset({"MSG_SIZE_TOO_LARGE", "RECORD_LIST_TOO_LARGE", "INVALID_MSG_SIZE"})
REJECTED_KAFKA = frozenset({"INVALID_RECORD", "_INVALID_DIFFERENT_RECORD"})
MISCONFIGURED_KAFKA = {
    "_AUTHENTICATION": "the credentials are missing or wrong",
    "SASL_AUTHENTICATION_FAILED": "the credentials are missing or wrong",
    "UNSUPPORTED_SASL_MECHANISM": "write another auth::sasl::mechanism",
    "ILLEGAL_SASL_STATE": "the broker wants no credentials, or others, there",
    "SECURITY_DISABLED": "the broker knows no credentials",
    "TOPIC_AUTHORIZATION_FAILED": "the credentials do not allow to write to the topic",
    "CLUSTER_AUTHORIZATION_FAILED": "the credentials do not allow IdempotentWrite",
    "_SSL": "TLS failed: look at tls, and at the port",
    "_UNKNOWN_TOPIC": "make the topic",
    "_UNKNOWN_PARTITION": "make the topic",
    "UNKNOWN_TOPIC_OR_PART": "make the topic",
    "TOPIC_EXCEPTION": "the topic has a name that is not allowed",
    "POLICY_VIOLATION": "a policy of the brokers forbids it",
    "INVALID_TIMESTAMP": "the clock is wrong, or the topic bounds the time of messages",
    "UNSUPPORTED_VERSION": "the broker is older than 0.11",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT": "the topic has an old message format",
    "UNSUPPORTED_COMPRESSION_TYPE": "write another producer::compression",
    "_UNSUPPORTED_FEATURE": "the broker is older than 0.11",
    "_INVALID_ARG": "a setting is not taken",
}

_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
MAX_WAIT_S = 3600.0  # a Retry-After beyond it is taken for a mistake of the server


def read_http(
    status: int,
    headers: Mapping[str, str],
    message: str,
    *,
    now: datetime,
    retry_also: Collection[int] = (),
) -> Outcome:
    """Say what an HTTP answer without partial success means. *message* is for people.

    *headers* have lower-case names. What *retry_also* names is retried whatever it means here.
    """
    if 200 <= status < 300 and status not in MISCONFIGURED_HTTP:
        return Delivered()
    if status in retry_also:
        return Retry(_words(status, message), retry_after_s(headers.get("retry-after"), now))
    return read_http_failure(status, message, retry_after_s(headers.get("retry-after"), now))


def read_http_failure(status: int, message: str, wait_s: float | None = None) -> Failure:
    """Say what a status means that is no success. *wait_s*: as long as the server asks to wait."""
    why = _words(status, message)
    if status in RETRYABLE_HTTP:
        return Retry(why, wait_s)
    if reason := MISCONFIGURED_HTTP.get(status):
        return Misconfigured(f"{why} ({reason})")
    if status == 400 and TLS_SAID.search(message):
        return Misconfigured(f"{why} (the port speaks TLS: write https://)")
    if status in TOO_LARGE_HTTP or (status == 400 and TOO_LARGE_SAID in message):
        return TooLarge(why)
    return Rejected(why) if status in REJECTED_HTTP else Misconfigured(why)


def _words(status: int, message: str) -> str:
    return f"HTTP {status}" + (f": {message}" if message else "")


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Read a Retry-After header: seconds or an HTTP date."""
    if not value:
        return None
    if _SECONDS.fullmatch(value.strip()):
        return min(float(value), MAX_WAIT_S)
    try:
        then = parsedate_to_datetime(value)
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        wait_s = (then - now).total_seconds()
    except (ValueError, TypeError, IndexError, OverflowError):  # it may name any year, any zone
        return None
    return min(max(0.0, wait_s), MAX_WAIT_S)


def read_grpc(code: str, message: str, retry_info_s: float | None) -> Failure:
    """Say what a gRPC status means. *retry_info_s* comes from `grpc-status-details-bin`."""
    why = f"gRPC {code}" + (f": {message}" if message else "")
    wait_s = None if retry_info_s is None else min(max(0.0, retry_info_s), MAX_WAIT_S)
    if code == "RESOURCE_EXHAUSTED":
        # Only with RetryInfo is it back-pressure; else the request is over a limit. Data Prepper
        # sends one for either: a request that keeps failing is split in the end.
        return TooLarge(why) if wait_s is None else Retry(why, wait_s)
    if code in RETRYABLE_GRPC:
        return Retry(why, wait_s)
    if code in REJECTED_GRPC:
        return Rejected(why)
    reason = MISCONFIGURED_GRPC.get(code)
    return Misconfigured(f"{why} ({reason})" if reason else why)


def read_kafka(name: str, message: str) -> Outcome:
    """Say what an error of a broker, or of its client, means.

    What is not in the tables passes: brokers change, disks fill, replicas fall behind. None of that
    is the fault of a record, so that no record is looked for.
    """
    why = f"Kafka {name}: {message}"
    if name in TOO_LARGE_KAFKA:
        return TooLarge(why)
    if name in REJECTED_KAFKA:
        return Rejected(why)
    if reason := MISCONFIGURED_KAFKA.get(name):
        return Misconfigured(f"{why} ({reason})")
    return Retry(why, reached=False)
