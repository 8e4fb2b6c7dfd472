"""Alerts, dashboard and the table of metrics: what they name is there, what fires has a runbook."""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.telemetry.alerts import FOR_S, Alerts
from k8s_audit_otlp.telemetry.metrics.health_samples import health_samples
from k8s_audit_otlp.telemetry.metrics.registry import Metrics
from k8s_audit_otlp.telemetry.metrics.table import table
from k8s_audit_otlp.telemetry.views import (
    ApiserverView,
    ExporterView,
    HealthView,
    Incident,
    IncidentKind,
    LogView,
    ReceiverView,
    SourceView,
    SpoolView,
)
from tests.conftest import ManualClock
from tests.faults.hour import series_of

_OF_OTHERS = {"apiserver_audit_error_total", "apiserver_audit_event_total", "kube_node_role"}
# of `evidence report`, not of the agent
_OF_REPORTS = {
    f"k8s_audit_otlp_evidence_{name}" for name in ("complete", "sound", "report_timestamp_seconds")
}
_NAME = re.compile(r"\b(?:k8s_audit_otlp|process|apiserver_audit|kube)_[a-z_]+\b")


def known() -> set[str]:
    names = {name for name, *_ in table()}
    histograms = {name for name, kind, *_ in table() if kind == "histogram"}
    return names | {f"{n}_{part}" for n in histograms for part in ("bucket", "sum", "count")}


def rules(deploy: Path) -> list[dict[str, Any]]:
    text = (deploy / "prometheus" / "alerts.yaml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def test_alerts_name_metrics_that_exist(deploy: Path) -> None:
    """A renamed metric would silence its alert for ever."""
    for rule in rules(deploy):
        named = set(_NAME.findall(rule["expr"]))
        assert named, rule
        assert named <= known() | _OF_OTHERS | _OF_REPORTS, rule


def test_each_alert_has_a_runbook_paragraph(deploy: Path) -> None:
    """At the place its annotation names."""
    headings = set(re.findall(r"^### (\w+)$", (deploy / "README.md").read_text(), re.MULTILINE))
    for rule in rules(deploy):
        assert rule["alert"] in headings
        place = f"deploy/README.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook"] == place


def test_the_chart_ships_what_lies_beside_it(deploy: Path) -> None:
    """Helm reads no file outside of a chart, so these are copies: no old ones."""
    copies = deploy / "helm" / "k8s-audit-otlp" / "files"
    sources = [*(deploy / "grafana").glob("*.json"), deploy / "prometheus" / "alerts.yaml"]
    assert {copy.name for copy in copies.iterdir()} == {source.name for source in sources}
    for source in sources:
        assert (copies / source.name).read_bytes() == source.read_bytes(), source.name


@pytest.mark.interop
def test_promtool_agrees(deploy: Any, kube_bin: Any) -> None:
    """Each alert fires when it should, none when all is well."""
    for arguments in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run(
            [kube_bin("promtool"), *arguments],
            cwd=deploy / "prometheus", capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


# What no agent can know of itself.
_ELSEWHERE = {"AuditAgentRestarts", "AuditAgentMissing", "AuditEvidence"}


def test_status_fires_after_as_long_as_the_alerts(deploy: Path) -> None:
    """So that `status --fail` and the pager say the same."""
    minutes = {rule["alert"]: int(rule.get("for", "0m")[:-1]) for rule in rules(deploy)}
    assert set(minutes) == set(FOR_S) | _ELSEWHERE
    assert {name: minutes[name] * 60 for name in FOR_S} == FOR_S


def sent(**changes: Any) -> HealthView:
    """Return an agent whose one exporter is so; times are seconds since the first look."""
    of_log = {"read", "refused", "dead_lettered", "backlog_bytes", "backlog_s", "runway_s",
              "gone_bytes", "last_event_at"}  # fmt: skip
    receiver = {name: changes.pop(name) for name in of_log & {*changes}}
    log = ReceiverView("k8s_audit", **{"last_event_at": 2400.0, **receiver})
    exporter = ExporterView("siem", [log], **{"acknowledged_at": 2400.0, **changes})
    return HealthView([LogView("audit.log")], [exporter])


def source(**changes: Any) -> HealthView:
    return HealthView(sent().logs, sent().exporters, sources=[SourceView("kafka", "", **changes)])


def counted(events: float, **changes: Any) -> HealthView:
    """Return an agent whose apiserver has counted so much, of which nothing was read."""
    of_it = {name: changes.pop(name) for name in {"errors", "unwritten"} & {*changes}}
    return replace(sent(**changes), apiserver=ApiserverView("", events, counted=events, **of_it))


def lost(kind: IncidentKind) -> tuple[Incident, ...]:
    return (Incident(60.0, kind, "it is so"),)


VIEWS = {
    "well": sent(),
    "runway": sent(runway_s=3599.0, backlog_bytes=1),
    "sent": sent(runway_s=0.0),
    "gone": sent(gone_bytes=1),
    "gap": sent(gaps={"deleted": 1}, recent=lost("gap")),
    "dead-letter": sent(dead_lettered=1, recent=lost("dead letter")),
    "refused": sent(refused=1, recent=lost("refused")),
    "silent": sent(last_event_at=-300.0),
    "no-event": sent(last_event_at=None, read=9),
    "waiting": sent(waiting=1, in_flight=1),
    "stalled": sent(stalled="the dead letter is full"),
    "hangs": sent(in_flight=1, acknowledged_at=-1.0),
    "never": sent(in_flight=1, backlog_bytes=1, acknowledged_at=0.0),
    "busy": sent(in_flight=4),
    "log": HealthView([LogView("audit.log", "is not there")], sent().exporters),
    "config": HealthView(sent().logs, sent().exporters, config_refused=True),
    "trouble": source(trouble="no broker answers"),
    "dead": source(alive=False),
    "full": source(spools=[SpoolView("k8s_audit", trouble="it is full")]),
    "behind": source(behind_s=901.0),
    "risk": source(spools=[SpoolView("k8s_audit", at_risk="raise it")]),
    "late": sent(backlog_s=901.0, backlog_bytes=1),
    "unauthorized": source(answers={"200": 9, "401": 2}),
    "no-handshake": source(answers={"200": 9, "tls": 2}),
    "unwritten": counted(10, errors={"log": 3.0}, unwritten=3.0),
    "unread": counted(500),
    "all-read": counted(100),
    "still-to-be-read": counted(500, backlog_s=901.0, backlog_bytes=1),
}
MOMENTS = (3, 8, 12, 18, 22, 40)  # minutes, none at the edge of a rule


def scraped(view: HealthView) -> dict[str, float]:
    """Return what /metrics says of it."""
    return series_of(Metrics(lambda: view.exporters, [], lambda: health_samples(view)).text())


@pytest.mark.interop
def test_status_fires_when_prometheus_does(
    deploy: Path, kube_bin: Any, tmp_path: Path, clock: ManualClock
) -> None:
    """Whatever is wrong, at every moment: promtool is given the metrics of the same views."""
    series: list[dict[str, Any]] = []
    expected: dict[int, list[dict[str, Any]]] = {minute: [] for minute in MOMENTS}
    for case, view in VIEWS.items():
        for name, value in scraped(view).items():
            if name == "process_start_time_seconds":
                value = 0.0  # noqa: PLW2901 - promtool's clock begins there
            first = 0 if "_total" in name else value
            plain, _, labels = name.partition("{")
            label = f'{plain}{{instance="{case}",job="agent"' + (f",{labels}" if labels else "}")
            series.append({"series": label, "values": f"{first} {value}x40"})
        clock.now = 0.0
        alerts = Alerts(clock)
        for minute in range(41):
            clock.now = minute * 60.0
            fires = {alert.partition(":")[0] for alert in alerts.look(view, clock.now)}
            for name in fires if minute in MOMENTS else ():
                labels = f'{{alertname="{name}", instance="{case}"}}'
                expected[minute].append({"labels": labels, "value": 1})
    assert {alert["labels"].split('"')[1] for of in expected.values() for alert in of} == set(
        FOR_S
    ), "each fires somewhere"
    which = "|".join(FOR_S)
    expression = (
        f'group by (alertname, instance) (ALERTS{{alertstate="firing",alertname=~"{which}"}})'
    )
    asked = [
        {"expr": expression, "eval_time": f"{minute}m", "exp_samples": samples}
        for minute, samples in expected.items()
    ]
    document = {
        "rule_files": [str(deploy / "prometheus" / "alerts.yaml")],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": asked}],
    }
    file = tmp_path / "test.yaml"
    file.write_text(json.dumps(document))
    command = [kube_bin("promtool"), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_use_metrics_that_exist(deploy: Path) -> None:
    """None stays empty because of a name."""
    board = json.loads((deploy / "grafana" / "dashboard.json").read_text())
    for panel in board["panels"]:
        for target in panel["targets"]:
            named = set(_NAME.findall(target["expr"]))
            assert named, panel["title"]
            assert named <= known(), panel["title"]


def rows() -> Iterator[str]:
    yield "| metric | type | unit | labels | meaning |"
    yield "|---|---|---|---|---|"
    for name, kind, unit, labels, meaning in table():
        yield f"| `{name}` | {kind} | {unit} | {labels} | {meaning} |"


def test_the_table_of_metrics_is_the_codes(deploy: Path) -> None:
    """Write it anew with what this test prints."""
    text = (deploy / "README.md").read_text()
    written = text.partition("<!-- metrics: begin -->\n")[2].partition("\n<!-- metrics: end -->")[0]
    assert written == "\n".join(rows())


def test_the_events_of_the_log_are_the_codes(deploy: Any) -> None:
    """What the page lists is written somewhere, and nothing is left out."""
    text = (deploy / "README.md").read_text()
    table_of_log = text.partition("## The log\n")[2].partition("\n## ")[0]
    rows_of_log = [line.split("|")[1] for line in table_of_log.splitlines() if line[:3] == "| `"]
    listed = {name for row in rows_of_log for name in re.findall(r"`(\w+)`", row)}
    source = "".join(
        path.read_text() for path in (deploy.parent / "src" / "k8s_audit_otlp").rglob("*.py")
    )
    told = r"""logger\.(?:(?:debug|info|warning|error)\(|\w+,|log\(logging\.\w+,)\s*"(\w+)\""""
    by_a_library = re.findall(r'fields = {"event": "(\w+)"', source)
    written = {"started", "reloaded", *re.findall(told, source), *by_a_library}
    assert listed == written - {"segment"}  # which only `level: debug` shows
