"""What the page says first: no word of it may be untrue."""

import dataclasses
from typing import Any

import pytest

from k8s_audit_otlp.telemetry.metrics.apiserver import Compared
from k8s_audit_otlp.telemetry.page import headline
from k8s_audit_otlp.telemetry.views import (
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


class Counts:
    """An apiserver that has counted so much."""

    trouble = ""

    def __init__(self, counted: float, errors: float = 0.0) -> None:
        self._compared = Compared(counted, 10, 1.0, errors)

    def compared(self) -> Compared:
        return self._compared


def test_what_the_apiserver_counts_is_held_against_it() -> None:
    """It may know of events that were never in the log."""
    apiserver: Any = Counts(10, errors=3.0)
    assert headline(WELL, apiserver).startswith("The kube-apiserver could not write 3 events")
    apiserver = Counts(500)
    assert headline(WELL, apiserver).startswith("The kube-apiserver counts more events")
    late = dataclasses.replace(SENT, receivers=(ReceiverView("x", backlog_bytes=9, backlog_s=99),))
    behind = dataclasses.replace(WELL, exporters=[late])
    assert headline(behind, apiserver).startswith("Nothing is being lost"), "it is still to be read"
