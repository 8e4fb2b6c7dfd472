"""Judges outcome and severity of an event by its stage, status and annotations.

The severity depends on the event alone, so the same event always gets the same one.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

DECISION = "authorization.k8s.io/decision"
REASON = "authorization.k8s.io/reason"

# opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber, with the short names
INFO, WARN, ERROR, ERROR2 = 9, 13, 17, 18
# Stores tell a level by its plain word: ERROR2 would be none to them.
SEVERITY_TEXT = {INFO: "INFO", WARN: "WARN", ERROR: "ERROR", ERROR2: "ERROR"}

DENIED_CODES = frozenset({401, 403, 429})

# Annotations by which the apiserver itself reports that something is wrong with a request that it
# let through. kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/
VIOLATIONS = frozenset(
    {
        "authentication.k8s.io/legacy-token-invalidated",
        "authentication.k8s.io/stale-token",
        "pod-security.kubernetes.io/audit-violations",
        "validation.policy.admission.k8s.io/validation_failure",
    }
)
VIOLATION_PREFIXES = ("failed-open.", "apiserver.k8s.io/unsafe-delete")
VIOLATION_PART = ".invalid-cert.kubernetes.io/"  # what follows names the host


# What a watch of an aggregated API ends with when its client closes it: kubernetes issue 110112.
CLOSED = "net/http: abort Handler"


class Alarm(IntEnum):
    """What the annotations say about the request, or that its panic is none."""

    NONE = 0
    VIOLATION = 1
    FORBIDDEN = 2
    CLOSED = 3


class SeverityOutcome(NamedTuple):
    outcome: str  # success, failure or unknown
    severity: int
    error_type: str  # "" unless the outcome is failure


def alarm_of(annotations: Mapping[str, str]) -> Alarm:
    """Read the annotations for a refusal or a violation."""
    if annotations.get(DECISION) == "forbid":
        return Alarm.FORBIDDEN
    return Alarm.VIOLATION if any(map(_is_violation, annotations)) else Alarm.NONE


def _is_violation(key: str) -> bool:
    return key in VIOLATIONS or key.startswith(VIOLATION_PREFIXES) or VIOLATION_PART in key


def alarm_at_end(stage: str, message: str, alarm: int) -> int:
    """Tell a panic with which a proxied connection is closed from one of the apiserver."""
    return Alarm.CLOSED if stage == "Panic" and message.endswith(CLOSED) else alarm


def judge(stage: str, code: int, reason: str, alarm: int = Alarm.NONE) -> SeverityOutcome:
    """Decide outcome and severity; the first condition that holds wins."""
    error_type = reason or str(code)
    if stage == "Panic":
        return SeverityOutcome("failure", INFO if alarm == Alarm.CLOSED else ERROR2, "panic")
    if code <= 0 and not reason:
        return SeverityOutcome("unknown", INFO, "")
    if code >= 500:
        return SeverityOutcome("failure", ERROR, error_type)
    if code in DENIED_CODES or alarm == Alarm.FORBIDDEN:
        return SeverityOutcome("failure", WARN, error_type)
    if code >= 400 or code <= 0:
        return SeverityOutcome("failure", INFO, error_type)
    return SeverityOutcome("success", WARN if alarm else INFO, "")
