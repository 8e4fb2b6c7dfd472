"""When a probe is answered with yes, and what is said when it is not."""

import dataclasses
from typing import Any

import pytest

from k8s_audit_otlp.telemetry.health import LATE_S, liveness, next_step, readiness
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, LogView, ReceiverView

BEHIND = (ReceiverView("k8s_audit", backlog_bytes=10),)
WELL = HealthView([LogView("/log/audit.log")], [ExporterView("a", BEHIND, acknowledged_at=1.0)])


def but(**changes: Any) -> HealthView:
    return dataclasses.replace(WELL, **changes)


def test_an_agent_that_delivers_is_alive_and_ready() -> None:
    """Nothing is wrong, so nothing is said."""
    assert liveness(WELL).good
    assert readiness(WELL).good
    assert readiness(WELL).as_json()["status"] == "ok"


def test_a_dead_thread_is_not_alive() -> None:
    """And it is named."""
    health = liveness(but(dead_threads=["read otlp_http"]))
    assert not health.good
    assert "read otlp_http" in health.reasons[0]


def test_a_commit_loop_that_stands_still_is_not_alive() -> None:
    """It is given a minute: a slow disk is no reason for a restart."""
    assert liveness(but(beat_age_s=LATE_S)).good
    assert not liveness(but(beat_age_s=LATE_S + 1)).good


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (but(logs=[LogView("/log/audit.log", "cannot be read: Permission denied")]), "Permission"),
        (but(logs=[]), "no log"),
        (but(commit_error="No space left on device"), "No space left"),
        (but(exporters=[ExporterView("a", BEHIND)]), "no exporter delivers: a"),
        (but(exporters=[]), "there is none"),
        (
            but(exporters=[ExporterView("a", BEHIND, stalled="full", acknowledged_at=1.0)]),
            "no exporter delivers: a: full",
        ),
    ],
)
def test_an_obstacle_makes_it_unready_and_is_said(view: HealthView, said: str) -> None:
    """Each one alone is enough."""
    health = readiness(view)
    assert not health.good
    assert said in health.reasons[0]


def test_one_exporter_that_works_is_enough() -> None:
    """A vendor that is down must not make the others' agent unready."""
    exporters = [ExporterView("down", BEHIND, waiting=1), *WELL.exporters]
    health = readiness(but(exporters=exporters))
    assert health.good
    assert health.details["exporters"][0]["works"] is False


def failing(since_s: float, behind_s: float) -> ExporterView:
    """Return an exporter whose last request failed, so long after the last good one."""
    receivers = (ReceiverView("k8s_audit", backlog_bytes=10, backlog_s=behind_s),)
    return ExporterView("a", receivers, acknowledged_at=100.0, trouble_at=100.0 + since_s)


@pytest.mark.parametrize(
    ("since_s", "behind_s", "ready"),
    [(61, 61, False), (5000, 5, True), (5, 5000, True), (-1, 5000, True)],
)
def test_who_gets_nothing_through_any_more_delivers_no_more(
    since_s: float, behind_s: float, *, ready: bool
) -> None:
    """One failure after a quiet day is no trouble yet, nor is one amid a long backlog."""
    health = readiness(but(exporters=[failing(since_s, behind_s)]))
    assert health.good is ready
    assert ready or "status` says what it answers" in health.reasons[0]


def test_an_exporter_with_nothing_to_send_is_ready() -> None:
    """A fresh cluster with an empty log is no fault."""
    assert readiness(but(exporters=[ExporterView("a")])).good


def test_each_trouble_has_a_next_step_and_says_what_is_at_stake() -> None:
    """The same on the page and in `status`; without trouble there is nothing to do."""
    well = ExporterView("a", acknowledged_at=2.0, trouble="connection", trouble_at=1.0)
    assert next_step(well) == ""
    failing = dataclasses.replace(well, trouble_at=3.0, endpoint="siem:4318")
    assert next_step(failing).startswith(
        "Nothing is lost while the log is kept. See that siem:4318"
    )
    assert "what it writes to" in next_step(dataclasses.replace(failing, endpoint=""))
    held = dataclasses.replace(failing, receivers=[ReceiverView("k8s_audit", only_here_bytes=9)])
    assert "do not restart it" in next_step(held)
    gone = dataclasses.replace(failing, receivers=[ReceiverView("k8s_audit", gone_bytes=9)])
    assert next_step(gone).startswith("See that siem:4318")
    assert "status` quotes it" in next_step(dataclasses.replace(failing, trouble="misconfigured"))
