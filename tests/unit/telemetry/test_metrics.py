"""What an operator's Prometheus reads: right numbers, known labels, counters that never fall."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp import __version__
from k8s_audit_otlp.evidence.notices import GAP_REASONS
from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.model import Delivered, Retry
from k8s_audit_otlp.telemetry.journal import ExporterJournal
from k8s_audit_otlp.telemetry.metrics.health_samples import health_samples
from k8s_audit_otlp.telemetry.metrics.registry import Metrics, process_values
from k8s_audit_otlp.telemetry.metrics.table import RETRY_REASONS, table
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, ReceiverView, SourceView
from tests.kit.present import present

LINE = re.compile(r"([a-z_0-9]+)(?:\{(.*)\})? (\S+)")
PAIR = re.compile(r'([a-z]+)="((?:[^"\\]|\\.)*)"')


def parsed(
    text: str,
) -> dict[tuple[Any, ...], float]:
    """Read the text format as a scraper does: {(name, labels): value}."""
    series = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = present(LINE.fullmatch(line)).groups()
        pairs = tuple((k, re.sub(r"\\(.)", r"\1", v)) for k, v in PAIR.findall(labels or ""))
        assert (name, pairs) not in series
        series[name, pairs] = float(value)
    return series


def view(exporter: str = "otlp_http/siem", **receiver: Any) -> ExporterView:
    more = {k: receiver.pop(k) for k in ("gaps", "retries", "in_flight") if k in receiver}
    return ExporterView(exporter, [ReceiverView("k8s_audit", **receiver)], **more)


class Observed:
    """Stands where the agent stands: whatever views it holds are what is observed."""

    def __init__(self, *views: Any) -> None:
        self.views = list(views)

    def __call__(self) -> list[ExporterView]:
        return self.views


@pytest.fixture
def started() -> Callable[..., Any]:
    made = []

    def start(*views: Any) -> Any:
        observed = Observed(*views)
        made.append(Metrics(observed))
        return made[-1], observed

    return start


PLACE = (("exporter", "otlp_http/siem"), ("receiver", "k8s_audit"))


def test_counters_begin_at_zero_with_the_process(started: Callable[..., Any]) -> None:
    """A stored count that is taken up again is no increase."""
    metrics, observed = started(view(read=1000, delivered=900))
    assert parsed(metrics.text())["k8s_audit_otlp_events_read_total", PLACE] == 0
    observed.views = [view(read=1500, delivered=1300)]
    series = parsed(metrics.text())
    assert series["k8s_audit_otlp_events_read_total", PLACE] == 500
    assert series["k8s_audit_otlp_events_delivered_total", PLACE] == 400


def test_a_counter_never_falls(started: Callable[..., Any]) -> None:
    """A reading in the middle of a move must not look like a restart."""
    metrics, observed = started(view(read=10))
    observed.views = [view(read=60)]
    metrics.text()
    observed.views = [view(read=20)]
    assert parsed(metrics.text())["k8s_audit_otlp_events_read_total", PLACE] == 50


def test_what_is_dropped_is_told_by_rule(started: Callable[..., Any]) -> None:
    """Also for a rule that drops for the first time."""
    metrics, observed = started(view())
    observed.views = [view(dropped={"rule 3": 7, "rule 9 stage": 2})]
    series = parsed(metrics.text())
    name = "k8s_audit_otlp_events_dropped_total"
    assert series[name, (*PLACE, ("rule", "rule 3"))] == 7
    assert series[name, (*PLACE, ("rule", "rule 9 stage"))] == 2


def test_every_reason_is_there_before_it_happens(started: Callable[..., Any]) -> None:
    """An alert on an increase must see the very first gap."""
    series = parsed(started(view())[0].text())
    exporter = ("exporter", "otlp_http/siem")
    for metric, reasons in (("gaps", GAP_REASONS), ("retries", RETRY_REASONS)):
        for reason in reasons:
            assert series[f"k8s_audit_otlp_{metric}_total", (exporter, ("reason", reason))] == 0


def test_gauges_tell_the_moment(started: Callable[..., Any]) -> None:
    """Backlog, runway, in flight and the last acknowledgement go up and down."""
    full = ExporterView(
        "otlp_http/siem",
        [ReceiverView("k8s_audit", backlog_bytes=4096, backlog_s=2.5, runway_s=3600.0)],
        in_flight=3,
        acknowledged_at=1_767_323_045.25,
    )
    metrics, observed = started(full)
    series = parsed(metrics.text())
    exporter = (PLACE[0],)
    assert series["k8s_audit_otlp_backlog_bytes", PLACE] == 4096
    assert series["k8s_audit_otlp_backlog_seconds", PLACE] == 2.5
    assert series["k8s_audit_otlp_runway_seconds", PLACE] == 3600
    assert series["k8s_audit_otlp_in_flight_requests", exporter] == 3
    named = "k8s_audit_otlp_last_acknowledgement_timestamp_seconds"
    assert series[named, exporter] == 1_767_323_045.25
    observed.views = [view()]
    assert parsed(metrics.text())["k8s_audit_otlp_backlog_bytes", PLACE] == 0


def test_an_unknown_runway_is_absent(started: Callable[..., Any]) -> None:
    """Neither 0 nor infinity: no alert may read something into it."""
    assert "runway_seconds{" not in started(view(runway_s=None))[0].text()


def test_each_metric_has_one_help_and_one_type(started: Callable[..., Any]) -> None:
    """The format wants both before the first series, once."""
    text = started(view(), view("otlp_http/other"))[0].text()
    types = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE)
    assert len(types) == len(dict(types))
    known = {name: kind for name, kind, *_ in table()}
    assert all(known[name] == kind for name, kind in types)
    assert all(name.startswith(("k8s_audit_otlp_", "process_")) for name in known)
    assert all((kind == "counter") == name.endswith("_total") for name, kind in types)
    assert len(re.findall(r"^# HELP ", text, re.MULTILINE)) == len(types)


@given(st.text(max_size=20))
def test_any_name_can_be_read_back(name: str) -> None:
    """Quotes, backslashes and line breaks of an exporter's id do not break the format."""
    metrics = Metrics(Observed(ExporterView(name, in_flight=5)))
    lines = metrics.text().split("\n")
    (line,) = (x for x in lines if x.startswith("k8s_audit_otlp_in_flight_requests"))
    value = (
        present(PAIR.search(line))[2].replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n")
    )
    assert value.replace("\0", "\\") == name.replace("\0", "\\")
    assert line.endswith("} 5")


def test_requests_are_counted_by_what_became_of_them(started: Callable[..., Any]) -> None:
    """Cumulative buckets, a sum and a count; an outcome that never came is there at zero."""
    gate = Gate(lambda: None)
    journal = ExporterJournal("a", gate)
    journal.answered(Delivered(), [b"one", b"two"], 2000, 0.03)
    journal.answered(Retry("busy"), [b"three"], 300_000, 0.3)
    series = parsed(started(ExporterView("a", requests=journal.counts.sent))[0].text())
    named = "k8s_audit_otlp_request_duration_seconds"
    delivered = (("exporter", "a"), ("outcome", "delivered"))
    assert series[f"{named}_bucket", (*delivered, ("le", "0.025"))] == 0
    assert series[f"{named}_bucket", (*delivered, ("le", "0.05"))] == 1
    assert series[f"{named}_bucket", (*delivered, ("le", "+Inf"))] == 1
    assert series[f"{named}_count", (("exporter", "a"), ("outcome", "retryable"))] == 1
    assert series[f"{named}_count", (("exporter", "a"), ("outcome", "rejected"))] == 0
    assert series["k8s_audit_otlp_request_size_bytes_sum", (("exporter", "a"),)] == 302_000
    assert series["k8s_audit_otlp_request_records_sum", (("exporter", "a"),)] == 3


def test_the_process_is_told(started: Callable[..., Any]) -> None:
    """Version, memory, descriptors and when it began, as every client of Prometheus tells them."""
    series = parsed(started(view())[0].text())
    names = {name for name, _ in series}
    assert {name for name, *_ in table() if name.startswith("process_")} <= names
    assert series["process_resident_memory_bytes", ()] > 1 << 20
    assert -2 < time.time() - series["process_start_time_seconds", ()] < 3600
    ((_, labels),) = (key for key in series if key[0] == "k8s_audit_otlp_build_info")
    assert dict(labels)["version"] == __version__


def test_the_start_of_the_process_does_not_move() -> None:
    """An alert counts its changes as restarts."""
    told = set()
    for _ in range(5):
        told.add(dict(process_values())["process_start_time_seconds"])
        time.sleep(0.03)
    assert len(told) == 1


def test_how_far_behind_a_source_is_told_of_those_that_read() -> None:
    """Each partition by itself; a webhook has nothing to be behind of."""
    kafka = SourceView("kafka", "", behind_s=3.5, waiting={"audit.a/0": 7, "audit.a/11": 0})
    samples = list(health_samples(HealthView(sources=[kafka, SourceView("k8s_audit_webhook", "")])))
    behind = [(labels, v) for name, labels, v in samples if name.endswith("behind_seconds")]
    assert behind == [({"source": "kafka"}, 3.5)]
    waiting = [(labels, v) for name, labels, v in samples if name.endswith("waiting_messages")]
    assert waiting == [
        ({"source": "kafka", "topic": "audit.a", "partition": "0"}, 7),
        ({"source": "kafka", "topic": "audit.a", "partition": "11"}, 0),
    ]
