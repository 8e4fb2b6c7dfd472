"""Events made up by hypothesis, blocks of lines, and what the official messages read of records."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.model import Block, EncodedBlock, Span
from tests.kit import reference

IDENTITY, FILE, OBSERVED = "0123456789abcdef", "audit.log", 1_764_000_000_123_456_789
TIMES = {
    "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z",
    "stageTimestamp": "2026-01-02T03:04:06.000001Z",
}

text = st.one_of(st.text(max_size=12), st.text(min_size=120, max_size=140), st.just(""))
texts = st.lists(text, max_size=4)
notes = st.dictionaries(
    st.one_of(
        st.sampled_from(
            [
                "authorization.k8s.io/decision",
                "authorization.k8s.io/reason",
                "audit.k8s.io/truncated",
                "k8s.io/deprecated",
                "pod-security.kubernetes.io/audit-violations",
                "apiserver.latency.k8s.io/total",
                "failed-open.validating.webhook.admission.k8s.io/round_0_index_1",
                "x.invalid-cert.kubernetes.io/host",
            ]
        ),
        text,
    ),
    st.one_of(text, st.sampled_from(["allow", "forbid", "true", "é" * 1025])),
    max_size=6,
)
extra = st.dictionaries(
    st.one_of(st.just("authentication.kubernetes.io/pod-name"), text), texts, max_size=3
)
user = st.fixed_dictionaries(
    {},
    optional={
        "username": st.one_of(text, st.sampled_from(["system:node:a", "system:x", "eks:a"])),
        "uid": text,
        "groups": st.none() | texts,
        "extra": st.none() | extra,
    },
)
ref = st.fixed_dictionaries(
    {},
    optional={
        "resource": st.sampled_from(["pods", "secrets", ""]),
        "subresource": st.sampled_from(["exec", "status", "log"]),
        **dict.fromkeys(
            ("namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion"), text
        ),
    },
)
status = st.fixed_dictionaries(
    {},
    optional={
        "code": st.sampled_from([0, 101, 200, 201, 304, 401, 403, 404, 429, 500, -5, 2**31 - 1]),
        "reason": st.sampled_from(["", "Forbidden", "NotFound"]),
        "message": text,
        "status": text,
    },
)
time = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(2262, 1, 1)).map(  # noqa: DTZ001 # naive bounds
        lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    ),
    st.sampled_from(
        [
            "2026-01-02T03:04:05.678901Z",
            "2026-01-02 03:04:05.38",
            "2026-01-02T03:04:05+02:00",
            "0001-01-01T00:00:00Z",
            None,
        ]
    ),
)
body = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {"kind": st.just("Event"), "auditID": text},
    optional={
        "apiVersion": st.sampled_from(["audit.k8s.io/v1", "audit.k8s.io/v1beta1"]),
        "level": st.sampled_from(["Metadata", "Request", "RequestResponse"]),
        "stage": st.sampled_from(
            ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
        ),
        "requestURI": st.one_of(text, st.sampled_from(["/api?x=1&y=é", "/healthz?"])),
        "verb": st.sampled_from(["get", "list", "watch", "head", "brew", ""]),
        "user": st.none() | user,
        "impersonatedUser": st.none() | user,
        "authenticationMetadata": st.fixed_dictionaries(
            {}, optional={"impersonationConstraint": text}
        ),
        "sourceIPs": st.none() | texts,
        "userAgent": text,
        "objectRef": st.none() | ref,
        "responseStatus": st.none() | status,
        "requestObject": body,
        "responseObject": body,
        "requestReceivedTimestamp": time,
        "stageTimestamp": time,
        "annotations": st.none() | notes,
        "unknown": body,
    },
)


def blocks_of(lines: Iterable[bytes], start: int = 0) -> Block:
    data = b"".join(line + b"\n" for line in lines)
    return Block(Span(1, start, start + len(data)), IDENTITY, FILE, data, OBSERVED)


def read(encoded: EncodedBlock) -> list[Any]:
    return [
        reference.parsed(record)
        for record in ScopeLogs.FromString(b"".join(encoded.records)).log_records
    ]


def line_of(**members: Any) -> bytes:
    return json.dumps({"kind": "Event", "auditID": "a", **TIMES, **members}).encode()


# The members of an event in the order of k8s.io/apiserver pkg/apis/audit/v1/types.go.
WRITTEN = (
    "kind", "apiVersion", "level", "auditID", "stage", "requestURI", "verb", "user",
    "impersonatedUser", "authenticationMetadata", "sourceIPs", "userAgent", "objectRef",
    "responseStatus", "requestObject", "responseObject", "requestReceivedTimestamp",
    "stageTimestamp", "annotations",
)  # fmt: skip
WRITTEN_REFERENCE = (
    "resource", "namespace", "name", "uid", "apiGroup", "apiVersion", "resourceVersion",
    "subresource",
)  # fmt: skip


def _in_order(members: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    first = {name: members[name] for name in names if name in members}
    return {**first, **members}


def as_written(event: dict[str, Any], *, escaped: bool = True) -> bytes:
    """Write an event as kube-apiserver does: in its order, without white space."""
    event = _in_order(event, WRITTEN)
    if isinstance(event.get("objectRef"), dict):
        event["objectRef"] = _in_order(event["objectRef"], WRITTEN_REFERENCE)
    text = json.dumps(event, ensure_ascii=escaped, separators=(",", ":"))
    return text.replace("&", "\\u0026").encode()


def without(strategy: st.SearchStrategy[Any], *names: str) -> st.SearchStrategy[Any]:
    """Leave members out of made objects."""
    return strategy.map(lambda made: {k: v for k, v in made.items() if k not in names})


# What the fast path takes: as kube-apiserver writes at level Metadata.
moments = st.datetimes(datetime(1971, 1, 1), datetime(2240, 1, 1))  # noqa: DTZ001 # naive bounds
delays = st.one_of(st.integers(0, 10**6), st.integers(0, 86_400 * 10**6 - 1), st.just(-1))
stages = st.sampled_from(["ResponseStarted", "ResponseComplete", "Panic"])


def _plain(parts: Any) -> dict[str, Any]:
    event, start, delay, stage = parts
    end = start + timedelta(microseconds=delay)
    form = "%Y-%m-%dT%H:%M:%S.%fZ"
    return {
        **event,
        "stage": stage,
        "requestReceivedTimestamp": start.strftime(form),
        "stageTimestamp": end.strftime(form),
    }


plain_events = st.tuples(
    without(
        events,
        *("unknown", "requestObject", "responseObject"),
        *("impersonatedUser", "authenticationMetadata"),
    ),
    moments,
    delays,
    stages,
).map(_plain)
