"""Alerts, dashboard and the table of metrics: what they name is there, what fires has a runbook."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.telemetry.metrics.table import table

_OF_OTHERS = {"apiserver_audit_error_total", "apiserver_audit_event_total", "kube_node_role"}
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
        assert named <= known() | _OF_OTHERS, rule


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
    """What the page lists is written somewhere, and nothing important is left out."""
    text = (deploy / "README.md").read_text()
    table_of_log = text.partition("## The log\n")[2].partition("\n## ")[0]
    rows_of_log = [line.split("|")[1] for line in table_of_log.splitlines() if line[:3] == "| `"]
    listed = {name for row in rows_of_log for name in re.findall(r"`(\w+)`", row)}
    source = "".join(
        path.read_text() for path in (deploy.parent / "src" / "k8s_audit_otlp").rglob("*.py")
    )
    written = set(re.findall(r"""fields\(\s*"(\w+)\"""", source)) | {"started", "reloaded"}
    assert listed <= written
    assert {"gap", "retrying", "dead_lettered", "reload_refused"} <= listed
