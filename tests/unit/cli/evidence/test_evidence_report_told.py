"""Who is told what `evidence report` found, and what it says where somebody cannot be."""

from pathlib import Path

import pytest

from k8s_audit_otlp.cli.exit_codes import FAILURE, UNDELIVERED
from tests.unit.cli.evidence.test_evidence_report import (
    KINDS,
    Row,
    Stand,
    day_of,
    fixture,
    report,
    rows,
    stand,
)

__all__ = ["fixture", "rows", "stand"]
KIND = "clickhouse"
CONFIG = """
receivers: {{k8s_audit: {{include: [/log], resource: {{k8s.cluster.name: prod}}}}}}
exporters:
  otlp_file: {{path: {path}}}
  otlp_file/out: {{path: "-"}}
service:
  state_dir: {state}
  telemetry: {{{telemetry}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "agent.yaml"


def test_a_file_of_the_agent_gets_the_answer_too(
    stand: Stand, rows: list[Row], tmp_path: Path, config: Path
) -> None:
    """As any back end does; the standard output is the command's own."""
    path = tmp_path / "out.jsonl"
    config.write_text(CONFIG.format(path=path, state=tmp_path, telemetry=""))
    stand.answer = KINDS[KIND](rows)
    result = report(KIND, stand, "--day", day_of(rows), "-c", str(config))
    assert result.exit_code == 0, result.output
    assert "k8s.audit.evidence" in path.read_text()
    assert "resourceLogs" not in result.stdout


def test_metrics_that_cannot_be_pushed_show_in_the_exit_code(
    stand: Stand, rows: list[Row], tmp_path: Path, config: Path
) -> None:
    """Who waits for them would take yesterday's for today's."""
    push = f"metrics: {{otlp: {{endpoint: {stand.url}/nowhere}}}}"
    config.write_text(CONFIG.format(path=tmp_path / "out", state=tmp_path, telemetry=push))
    answer = KINDS[KIND](rows)
    stand.answer = lambda method, path, *more: (
        (400, b"") if "nowhere" in path else answer(method, path, *more)
    )
    result = report(KIND, stand, "--day", day_of(rows), "-c", str(config))
    assert result.exit_code == UNDELIVERED, result.output
    assert "could not be pushed" in result.stderr


def test_a_store_that_cannot_be_asked_is_told_to_every_exporter(
    stand: Stand, rows: list[Row], tmp_path: Path, config: Path
) -> None:
    """Nobody takes yesterday's answer for today's."""
    path = tmp_path / "out.jsonl"
    config.write_text(CONFIG.format(path=path, state=tmp_path, telemetry=""))
    stand.answer = lambda *_: (400, b"")
    result = report(KIND, stand, "--day", day_of(rows), "-c", str(config))
    assert result.exit_code == FAILURE, result.output
    told = path.read_text()
    assert '"k8s.audit.evidence.answer","value":{"stringValue":"unknown"}' in told
    assert "could not be judged" in told
