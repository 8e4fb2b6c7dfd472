"""How grave an event is, by its code, stage and verb."""

from typing import Any

import pytest

from k8s_audit_otlp.event.severity import (
    DECISION,
    ERROR,
    ERROR2,
    INFO,
    WARN,
    Alarm,
    SeverityOutcome,
    alarm_at_end,
    alarm_of,
    judge,
)


@pytest.mark.parametrize(
    ("stage", "code", "reason", "alarm", "verdict"),
    [
        ("Panic", 500, "InternalError", 0, SeverityOutcome("failure", ERROR2, "panic")),
        ("RequestReceived", 0, "", 0, SeverityOutcome("unknown", INFO, "")),
        ("ResponseComplete", 0, "", Alarm.FORBIDDEN, SeverityOutcome("unknown", INFO, "")),
        ("ResponseComplete", 503, "", 0, SeverityOutcome("failure", ERROR, "503")),
        (
            "ResponseStarted",
            401,
            "Unauthorized",
            0,
            SeverityOutcome("failure", WARN, "Unauthorized"),
        ),
        ("ResponseComplete", 403, "Forbidden", 0, SeverityOutcome("failure", WARN, "Forbidden")),
        ("ResponseComplete", 429, "", 0, SeverityOutcome("failure", WARN, "429")),
        ("ResponseComplete", 200, "", Alarm.FORBIDDEN, SeverityOutcome("failure", WARN, "200")),
        ("ResponseComplete", 500, "", 0, SeverityOutcome("failure", ERROR, "500")),
        ("ResponseComplete", 400, "", 0, SeverityOutcome("failure", INFO, "400")),
        ("ResponseComplete", 404, "NotFound", 0, SeverityOutcome("failure", INFO, "NotFound")),
        ("ResponseComplete", 0, "Gone", 0, SeverityOutcome("failure", INFO, "Gone")),
        ("ResponseStarted", 101, "", 0, SeverityOutcome("success", INFO, "")),
        ("ResponseComplete", 201, "", 0, SeverityOutcome("success", INFO, "")),
        ("ResponseComplete", 304, "", 0, SeverityOutcome("success", INFO, "")),
        ("ResponseComplete", 201, "", Alarm.VIOLATION, SeverityOutcome("success", WARN, "")),
    ],
)
def test_the_first_condition_that_holds_wins(
    stage: Any, code: Any, reason: Any, alarm: Any, verdict: Any
) -> None:
    """The table of outcomes and severities, row by row."""
    assert judge(stage, code, reason, alarm) == verdict


@pytest.mark.parametrize(
    ("key", "alarm"),
    [
        ("pod-security.kubernetes.io/audit-violations", Alarm.VIOLATION),
        ("failed-open.validating.webhook.admission.k8s.io/round_0_index_0", Alarm.VIOLATION),
        ("missing-san.invalid-cert.kubernetes.io/host", Alarm.VIOLATION),
        ("apiserver.k8s.io/unsafe-delete-ignore-read-error", Alarm.VIOLATION),
        ("pod-security.kubernetes.io/enforce-policy", Alarm.NONE),
        ("k8s.io/deprecated", Alarm.NONE),
    ],
)
def test_annotations_report_violations(key: Any, alarm: Any) -> None:
    """Only those that say that something is wrong."""
    assert alarm_of({key: ""}) == alarm


def test_a_watch_that_its_client_closes_is_no_panic() -> None:
    """An aggregated API's proxy ends it so; any other panic stays the severest there is."""
    closed = alarm_at_end("Panic", "APIServer panic'd: net/http: abort Handler", Alarm.VIOLATION)
    assert judge("Panic", 500, "InternalError", closed) == ("failure", INFO, "panic")
    other = alarm_at_end("Panic", "APIServer panic'd: runtime error", Alarm.NONE)
    assert judge("Panic", 500, "InternalError", other).severity == ERROR2
    assert alarm_at_end("ResponseComplete", "net/http: abort Handler", 0) == Alarm.NONE


def test_a_refusal_is_more_than_a_violation() -> None:
    """Both may be there."""
    both = {"authentication.k8s.io/stale-token": "x", DECISION: "forbid"}
    assert alarm_of(both) == Alarm.FORBIDDEN
    assert alarm_of({DECISION: "allow"}) == Alarm.NONE
