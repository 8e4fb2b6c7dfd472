"""The mapping once more, plain and slow, from the JSON alone: what the encoder is compared with.

Nothing here comes from the package: Python's json reads the event, official messages the record.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

PREFIX = "k8s.audit."
EXTRA = [
    "authentication.kubernetes.io/" + name
    for name in ("pod-name", "pod-uid", "node-name", "node-uid", "credential-id")
]
NOTES = re.compile(
    r"apiserver\.k8s\.io/|apiserver\.latency\.k8s\.io/|authentication\.|failed-open\.|k8s\.io/"
    r"|pod-security\.kubernetes\.io/|validation\.policy\.admission\.k8s\.io/"
)
VIOLATION = re.compile(
    r"authentication\.k8s\.io/(legacy-token-invalidated|stale-token)$"
    r"|pod-security\.kubernetes\.io/audit-violations$"
    r"|validation\.policy\.admission\.k8s\.io/validation_failure$"
    r"|failed-open\.|apiserver\.k8s\.io/unsafe-delete|.*\.invalid-cert\.kubernetes\.io/",
    re.DOTALL,
)
DECISION, REASON = "authorization.k8s.io/decision", "authorization.k8s.io/reason"
METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")


def micros(text: str | None) -> int | None:
    """Microseconds since the epoch of a time in RFC 3339, None where it is none."""
    found = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", text or "", re.ASCII
    )
    if not found:
        return None
    day, clock, fraction, zone = found.groups()
    offset = "+0000" if zone in (None, "Z") else zone.replace(":", "")
    try:
        moment = datetime.strptime(f"{day} {clock} {offset}", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    value = whole * 1_000_000 + int((fraction or "").ljust(6, "0")[:6])
    return value if value > 0 else None


def verdict(
    stage: str | None, code: int, reason: str, annotations: dict[str, str]
) -> tuple[Any, ...]:
    """Outcome, severity number and error type."""
    violated = any(VIOLATION.match(key) for key in annotations)
    if stage == "Panic":
        return "failure", 18, "panic"
    if code <= 0 and not reason:
        return "unknown", 9, None
    if code >= 500:
        return "failure", 17, reason or str(code)
    if code in (401, 403, 429) or annotations.get(DECISION) == "forbid":
        return "failure", 13, reason or str(code)
    if code >= 400 or code <= 0:
        return "failure", 9, reason or str(code)
    return "success", 13 if violated else 9, None


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """Map to the eleven names."""
    user, ref = event.get("user") or {}, event.get("objectRef") or {}
    status, ips = event.get("responseStatus") or {}, event.get("sourceIPs") or []
    values = {
        **{key: event.get(key) for key in ("kind", "level", "stage", "verb", "auditID")},
        "username": user.get("username"),
        "responseCode": status.get("code"),
        "status": "OK" if status.get("code") == 200 else "FAIL",
        "sourceIP_0": ips[0] if ips else None,
        "namespace": ref.get("namespace"),
        "node": ref.get("name"),
    }
    return {key: value for key, value in values.items() if value}


def user_type(name: str) -> str:
    for start, kind in (
        ("system:serviceaccount:", "serviceaccount"),
        ("system:node:", "node"),
        ("system:anonymous", "anonymous"),
        ("system:", "system"),
        ("eks:", "system"),
        ("aksService", "system"),
        ("masterclient", "system"),
    ):
        if name.startswith(start):
            return kind
    return "user" if name else "none"


def semconv(event: dict[str, Any]) -> dict[str, Any]:
    """Map to the names of the semantic conventions, and those under our prefix."""
    user, acting = event.get("user") or {}, event.get("impersonatedUser") or {}
    ref, status = event.get("objectRef") or {}, event.get("responseStatus") or {}
    ips, notes = event.get("sourceIPs") or [], event.get("annotations") or {}
    verb, stage = event.get("verb") or "", event.get("stage")
    path, _, query = (event.get("requestURI") or "").partition("?")
    outcome, _, error = verdict(stage, status.get("code") or 0, status.get("reason") or "", notes)
    ours = {
        "level": event.get("level"),
        "stage": stage,
        "verb": verb,
        "id": (event.get("auditID") or "")[:128],
        "outcome": outcome,
        "user.type": user_type(user.get("username") or ""),
        "user.groups": user.get("groups"),
        **{
            f"user.extra.{key}": value
            for key, value in (user.get("extra") or {}).items()
            if key in EXTRA
        },
        "impersonated_user.name": acting.get("username"),
        "impersonated_user.id": acting.get("uid"),
        "impersonated_user.groups": acting.get("groups"),
        "impersonation_constraint": (event.get("authenticationMetadata") or {}).get(
            "impersonationConstraint"
        ),
        "source_ips": ips[:1024] if len(ips) > 1 else None,
        "object_ref.resource": ref.get("resource"),
        "object_ref.subresource": ref.get("subresource"),
        "object_ref.api_group": ref.get("apiGroup"),
        "object_ref.api_version": ref.get("apiVersion"),
        "object_ref.namespace": ref.get("namespace"),
        "object_ref.name": ref.get("name"),
        "object_ref.uid": ref.get("uid"),
        "object_ref.resource_version": ref.get("resourceVersion"),
        "authorization.decision": (notes.get(DECISION) or "")[:1024],
        "authorization.reason": (notes.get(REASON) or "")[:1024],
        "truncated": notes.get("audit.k8s.io/truncated") == "true",
        "long_running": verb in ("watch", "proxy")
        or (
            bool(ref.get("resource"))
            and ref.get("subresource") in ("attach", "exec", "proxy", "log", "portforward")
        ),
    }
    others = [(k, v) for k, v in notes.items() if v and NOTES.match(k)]
    ours |= {f"annotation.{key}": value[:1024] for key, value in others[:32]}
    method = None
    if verb and not ref.get("resource"):
        method = verb.upper() if verb.upper() in METHODS else "_OTHER"
    theirs = {
        "user.name": user.get("username"),
        "user.id": user.get("uid"),
        "client.address": ips[0] if ips else None,
        "network.peer.address": ips[-1] if ips else None,
        "user_agent.original": event.get("userAgent"),
        "url.path": path,
        "url.query": query,
        "http.response.status_code": max(status.get("code") or 0, 0),
        "error.type": error,
        "http.request.method": method,
    }
    values = {**{PREFIX + key: value for key, value in ours.items()}, **theirs}
    values = {key: value for key, value in values.items() if value}
    start, end = micros(event.get("requestReceivedTimestamp")), micros(event.get("stageTimestamp"))
    if start is not None and end is not None and end >= start and stage != "RequestReceived":
        values[PREFIX + "duration_ms"] = (end - start) / 1000
    return values


def time_ns(event: dict[str, Any]) -> int:
    created = (event.get("metadata") or {}).get("creationTimestamp")
    names = ("stageTimestamp", "requestReceivedTimestamp", "timestamp")
    times = [micros(event.get(name)) for name in names] + [micros(created)]
    return next((time * 1000 for time in times if time), 0)


def cuts(event: dict[str, Any]) -> int:
    """How many attributes a limit cut or left out."""
    notes = event.get("annotations") or {}
    others = [v for k, v in notes.items() if v and NOTES.match(k)]
    values = [notes.get(DECISION) or "", notes.get(REASON) or "", *others[:32]]
    return (
        (len(event.get("auditID") or "") > 128)
        + (len(event.get("sourceIPs") or []) > 1024)
        + sum(len(value) > 1024 for value in values)
        + max(0, len(others) - 32)
    )


def record(
    event: dict[str, Any], body: str, place: tuple[str, int, str, int], profile: str = "default"
) -> dict[str, Any]:
    """Give the whole LogRecord; `place` is (identity, offset, file name, observed time)."""
    identity, offset, name, observed = place
    status = event.get("responseStatus") or {}
    _, severity, _ = verdict(
        event.get("stage"),
        status.get("code") or 0,
        status.get("reason") or "",
        event.get("annotations") or {},
    )
    attributes = {
        "log.record.uid": f"{identity}-{offset:x}",
        "log.file.name": name,
        "log.file.record_offset": offset,
    }
    attributes |= plain(event) if profile != "semconv" else {}
    attributes |= semconv(event) if profile != "plain" else {}
    return {
        "time": time_ns(event),
        "observed": observed,
        "severity": severity,
        "severity_text": {9: "INFO", 13: "WARN", 17: "ERROR", 18: "ERROR"}[severity],
        "event_name": "k8s.audit.event",
        "body": body,
        "attributes": attributes,
        "dropped": cuts(event) if profile != "plain" else 0,
    }


def from_line(
    line: bytes, place: tuple[str, int, str, int], profile: str = "default"
) -> dict[str, Any]:
    """Give the LogRecord of a line that is one event."""
    return record(json.loads(line), line.decode(), place, profile)


def parsed(message: LogRecord) -> dict[str, Any]:
    """Read the same dictionary from an official LogRecord; a repeated key is an error."""
    attributes = {}
    for pair in message.attributes:
        assert pair.key not in attributes, f"{pair.key} is there twice"
        attributes[pair.key] = value_of(pair.value)
    return {
        "time": message.time_unix_nano,
        "observed": message.observed_time_unix_nano,
        "severity": message.severity_number,
        "severity_text": message.severity_text,
        "event_name": message.event_name,
        "body": message.body.string_value,
        "attributes": attributes,
        "dropped": message.dropped_attributes_count,
    }


def value_of(any_value: AnyValue) -> Any:
    kind: Any = any_value.WhichOneof("value")
    value = getattr(any_value, kind)
    return [value_of(each) for each in value.values] if kind == "array_value" else value
