"""Dashboards: panels are about what there is, each finds what its title says and nothing else."""

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.telemetry.status import AgentStatus
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource

GRAFANA = Path(__file__).parents[3] / "deploy" / "grafana"
# What one agent that reads a log, asks no apiserver and has no losses of its own has no series of.
ONLY_SOMETIMES = {
    "k8s_audit_otlp_apiserver_events_total",
    "k8s_audit_otlp_apiserver_errors_total",
    "k8s_audit_otlp_events_dropped_total",
    "k8s_audit_otlp_runway_seconds",
    "k8s_audit_otlp_source_behind_seconds",
    "k8s_audit_otlp_source_waiting_messages",
}
CLAUSE = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')


def board(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GRAFANA / name).read_text())
    return found


def expressions(name: str) -> Iterator[tuple[str, str]]:
    for panel in board(name)["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize("name", ["dashboard.json", "events.json"])
def test_panels_do_not_cover_each_other(name: str) -> None:
    """Each has a place and a number of its own, within Grafana's 24 columns."""
    panels = board(name)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


CONFIG = """
receivers: {{k8s_audit: {{include: ["{log}"]}}}}
exporters: {{otlp_http: {{endpoint: "{url}"}}}}
service: {{state_dir: "{state}", telemetry: {{metrics: {{address: "127.0.0.1:0"}}}}}}
"""


def test_panels_use_metrics_of_a_running_agent(tmp_path: Path, backend: Backend) -> None:
    """Names and labels as they are scraped from one that delivers."""
    source = EventSource(1)
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(source.line() + b"\n" for _ in range(300)))
    text = CONFIG.format(log=log, url=backend.url, state=tmp_path / "state")
    agent = Agent(load_text(text, "test", {}).config, {})
    status = AgentStatus(agent, Path("/nowhere"))
    agent.start(lambda _: status.start())
    address = status.start()
    worker = threading.Thread(target=agent.run)
    worker.start()
    try:
        end = time.monotonic() + 60
        while len(backend.received.uids) < 300:
            assert time.monotonic() < end
            time.sleep(0.05)
        scraped = ""
        while "k8s_audit_otlp_event_lag_seconds" not in scraped:  # an answer has been taken in
            assert time.monotonic() < end, scraped
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as answer:
                scraped = answer.read().decode()
    finally:
        agent.stop()
        worker.join()
        status.stop()
    series: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)(?:{(.*)})? \S+$", scraped, re.MULTILINE):
        series.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    for title, expression in expressions("dashboard.json"):
        names = set(re.findall(r"\b(?:k8s_audit_otlp|process)_\w+", expression))
        assert names, title
        assert names - ONLY_SOMETIMES <= series.keys(), title
        labels = set().union(*(series.get(name, set()) for name in names))
        if names & ONLY_SOMETIMES:
            continue
        for by in re.findall(r"(?:by|on) \(([^)]*)\)", expression):
            assert set(by.split(", ")) <= labels | {"instance"}, title


class Shape(NamedTuple):
    """An event as Loki has it: names with `_`, what is absent is empty."""

    title: str
    attributes: dict[str, str]

    def passes(self, expression: str) -> bool:
        """Apply the label filters of an expression, as LogQL does: wholly anchored."""
        any_value = re.sub(r"\$(cluster|user|namespace)", ".*", expression)
        for name, sign, wanted in CLAUSE.findall(any_value.partition("line_format")[0]):
            value = self.attributes.get(name, "")
            equal = value == wanted if "~" not in sign else re.fullmatch(wanted, value) is not None
            if equal == sign.startswith("!"):
                return False
        return True


def shaped(title: str, **more: str) -> Shape:
    plain = {
        "service_name": "k8s-audit",
        "k8s_audit_verb": "get",
        "k8s_audit_stage": "ResponseComplete",
        "k8s_audit_outcome": "success",
        "http_response_status_code": "200",
        "user_name": "alice",
        "k8s_audit_user_type": "user",
        "k8s_audit_object_ref_resource": "pods",
        "k8s_audit_object_ref_namespace": "shop",
    }
    return Shape(title, plain | more)


EXEC = {"k8s_audit_verb": "get", "k8s_audit_object_ref_subresource": "exec"}
SHAPES = [
    shaped("Into containers: exec, attach, port-forward", **EXEC),
    shaped("Secrets read", k8s_audit_verb="list", k8s_audit_object_ref_resource="secrets"),
    shaped(
        "Rights changed (RBAC)",
        k8s_audit_verb="update",
        k8s_audit_object_ref_api_group="rbac.authorization.k8s.io",
    ),
    shaped("Deleted", k8s_audit_verb="delete"),
    shaped("Without a name, and let in", k8s_audit_user_type="anonymous"),
    shaped("On behalf of others (impersonation)", k8s_audit_impersonated_user_name="bob"),
    shaped(
        "Refused: who was not let in, or may not",
        k8s_audit_outcome="failure",
        http_response_status_code="403",
    ),
    Shape(
        "About the trail itself: gaps, refusals, silence",
        {"service_name": "k8s-audit", "event_name": "k8s.audit.gap"},
    ),
]


def test_panels_of_events_name_attributes_that_there_are() -> None:
    """As Loki writes them, with `_` for each dot."""
    page = (GRAFANA.parents[1] / "otel-config" / "attributes.md").read_text()
    named = set(re.findall(r"^\| `([\w.]+)` \|", page, re.MULTILINE))
    known = {name.replace(".", "_") for name in named}
    known |= {"service_name", "event_name", "k8s_cluster_name"}
    for title, expression in expressions("events.json"):
        used = {name for name, _, _ in CLAUSE.findall(expression)}
        used |= set(re.findall(r"{{\.(\w+)}}", expression))
        for by in re.findall(r"by \(([^)]*)\)", expression):
            used |= set(by.split(", "))
        assert used, title
        assert used <= known, title


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.title)
def test_each_panel_finds_what_its_title_says(shape: Shape) -> None:
    """And none of the others' events, nor a plain one."""
    (expression,) = (e for title, e in expressions("events.json") if title == shape.title)
    assert shape.passes(expression)
    assert not shaped("plain").passes(expression)
    others = [other for other in SHAPES if other is not shape]
    assert [other.title for other in others if other.passes(expression)] == []
