"""What the page says first: no word of it may be untrue."""

import dataclasses
from typing import Any

import pytest

from k8s_audit_otlp.telemetry.health import next_step
from k8s_audit_otlp.telemetry.page import headline, verdict
from k8s_audit_otlp.telemetry.views import (
    ApiserverView,
    ExporterView,
    HealthView,
    LogView,
    ReceiverView,
    SourceView,
    SpoolView,
)

SENT = ExporterView("a", (ReceiverView("k8s_audit"),), acknowledged_at=1.0)
WELL = HealthView([LogView("/log/audit.log")], [SENT])


def of_source(**changes: Any) -> HealthView:
    return dataclasses.replace(WELL, sources=[SourceView("kafka", "broker:9092", **changes)])


def test_where_all_is_well_it_says_so() -> None:
    """And nothing else."""
    assert headline(WELL) == "Nothing is being lost. All is sent."


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (of_source(trouble="no broker answers"), "kafka: no broker answers."),
        (of_source(alive=False), "kafka takes nothing"),
        (of_source(spools=[SpoolView("k8s_audit", trouble="it is full")]), "it is full"),
        (of_source(spools=[SpoolView("k8s_audit", at_risk="raise X")]), "may drop events: raise X"),
        (dataclasses.replace(WELL, logs=[LogView("/log/b.log", "is not there")]), "b.log: is not"),
        (dataclasses.replace(WELL, config_refused=True), "is refused"),
    ],
)
def test_what_is_not_read_is_not_called_sent(view: HealthView, said: str) -> None:
    """Whatever the reason is that nothing comes."""
    text = headline(view)
    assert said in text
    if not view.config_refused:
        assert "All is sent" not in text
        assert "Nothing is being lost." not in text


def test_what_the_apiserver_counts_is_held_against_it() -> None:
    """It may know of events that were never in the log."""
    unwritten = ApiserverView(counted=10, read=10, unwritten=3.0)
    text = headline(dataclasses.replace(WELL, apiserver=unwritten))
    assert text.startswith("The kube-apiserver could not write 3 events")
    unread = dataclasses.replace(WELL, apiserver=ApiserverView(counted=500, read=10))
    assert headline(unread).startswith("The kube-apiserver counts more events")
    late = dataclasses.replace(SENT, receivers=(ReceiverView("x", backlog_bytes=9, backlog_s=99),))
    behind = dataclasses.replace(unread, exporters=[late])
    assert headline(behind).startswith("Nothing is being lost"), "it is still to be read"


def behind(name: str, **changes: Any) -> ExporterView:
    late = ReceiverView("k8s_audit", backlog_bytes=9, **changes)
    return dataclasses.replace(SENT, exporter=name, receivers=(late,))


def test_who_is_in_trouble_is_named() -> None:
    """Up to two; the others have a backlog or nothing at all."""
    failing = dataclasses.replace(behind("b"), waiting=1)
    two = dataclasses.replace(WELL, exporters=[SENT, failing, behind("c")])
    assert headline(two) == "Nothing is being lost. b gets nothing through. c has a backlog."
    many = dataclasses.replace(WELL, exporters=[SENT, *(behind(name) for name in "bcd")])
    assert headline(many) == "Nothing is being lost. 3 of 4 exporters have a backlog."


def test_who_would_restart_it_is_told_what_that_loses() -> None:
    """Deleted files are held by the process alone."""
    held = dataclasses.replace(WELL, exporters=[behind("b", only_here_bytes=9)])
    assert "b has a backlog. Do not restart this process" in headline(held)


def test_what_two_exporters_did_not_see_is_counted_once() -> None:
    """It is one stretch of the log, whoever reads it."""
    two = [dataclasses.replace(SENT, exporter=name, gaps={"unseen": 3}) for name in "ab"]
    assert "unread, 3 times" in headline(dataclasses.replace(WELL, exporters=two))


def test_beside_what_is_refused_only_the_rest_is_called_sent() -> None:
    """Both stand in one line."""
    one = dataclasses.replace(SENT, receivers=(ReceiverView("k8s_audit", dead_lettered=1),))
    assert headline(dataclasses.replace(WELL, exporters=[one])).endswith("All else is sent.")


@pytest.mark.parametrize(
    ("receiver", "said"),
    [
        ({"backlog_bytes": 9, "runway_s": 1200.0}, "In about 20 minutes events are lost: a is"),
        ({"backlog_bytes": 9, "runway_s": 0.0}, "At any moment events are lost: a is"),
        ({"backlog_bytes": 0, "runway_s": 1200.0}, "Nothing is being lost."),
        ({"backlog_bytes": 9, "runway_s": 7200.0}, "Nothing is being lost."),
        ({"read": 9, "delivered": 9}, "No line that was read is an audit event"),
        ({"read": 9}, "Nothing is being lost."),
        ({"read": 9, "delivered": 9, "last_event_at": 1.0}, "Nothing is being lost."),
    ],
)
def test_what_will_be_lost_is_said_before_it_is(receiver: dict[str, Any], said: str) -> None:
    """And that the log is another one, whose lines all arrive and say nothing."""
    one = dataclasses.replace(SENT, receivers=(ReceiverView("k8s_audit", **receiver),))
    text, kind = verdict(dataclasses.replace(WELL, exporters=[one]))
    assert text.startswith(said)
    assert (kind == "good") == said.startswith("Nothing")


def test_one_that_hangs_is_not_said_to_deliver() -> None:
    """Nor idle: `status` and the page say the same of a request that failed and is sent again."""
    hangs = dataclasses.replace(SENT, trouble_at=2.0, in_flight=1, unanswered_s=1.0)
    assert hangs.state == "failing"
    assert dataclasses.replace(hangs, acknowledged_at=3.0).state == "sending"


def test_a_request_without_an_answer_is_not_said_to_be_delivered() -> None:
    """Before it is given up as well, which takes half a minute: and what to look at is said."""
    silent = dataclasses.replace(behind("a"), in_flight=1, unanswered_s=6.0, endpoint="siem:4318")
    assert silent.state == "no answer yet"
    assert not silent.well
    assert next_step(silent).startswith("Nothing is lost while the log is kept. See that siem:4318")
    assert dataclasses.replace(silent, unanswered_s=None).state == "idle"
