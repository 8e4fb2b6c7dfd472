"""What `status` knows of an agent without asking it: its report, and who holds the lock."""

import os
from pathlib import Path

import pytest

from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.telemetry.metrics.measured import History
from k8s_audit_otlp.telemetry.page import verdict
from k8s_audit_otlp.telemetry.status_file import (
    FILE_NAME,
    FRESH_S,
    Reporter,
    agent_now,
    last_report,
)
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, LogView
from k8s_audit_otlp.tools.text import ago

SENT = "Nothing is being lost. All is sent."


def reporter(folder: Path, at: float, reasons: tuple[str, ...] = ()) -> Reporter:
    logs = [LogView("audit.log", reason) for reason in reasons] or [LogView("audit.log")]
    view = HealthView(logs, [ExporterView("otlp_http")])
    return Reporter(folder, lambda: view, verdict, clock=lambda: at)


def test_who_runs_is_known_also_where_no_report_is(tmp_path: Path) -> None:
    """A process that holds the lock and tells nothing is not taken for one that is not there."""
    lock, me = StateLock(tmp_path), os.getpid()
    assert agent_now(tmp_path, 0.0).line == "no agent is running; start one with run"
    lock.acquire()
    assert agent_now(tmp_path, 0.0).line.startswith(f"process {me} uses it")
    reporter(tmp_path, 100.0).write()
    assert agent_now(tmp_path, 100.0).line == f"agent {me} is running. {SENT}"
    assert agent_now(tmp_path, 101.0 + FRESH_S).line.startswith(f"process {me} uses it")
    assert agent_now(tmp_path, 101.0 + FRESH_S).pid == me
    assert agent_now(tmp_path, 99.0 - FRESH_S).report is None, "the clock was set back: it may hang"
    lock.release()
    ended = f"no agent is running; start one with run; the last one said: {SENT}"
    assert agent_now(tmp_path, 100.0).line == ended, "its report outlived it"


def test_a_check_asks_what_an_operator_would_be_woken_for(tmp_path: Path) -> None:
    """Not a moment's trouble: no agent, one that is silent for a minute, what an alert says."""
    lock = StateLock(tmp_path)
    assert agent_now(tmp_path, 100.0).alerts == ["no agent is running"]
    lock.acquire()
    began = (tmp_path / "lock").stat().st_mtime
    assert not agent_now(tmp_path, began + 30).alerts, "it begins"
    assert agent_now(tmp_path, began + 61).alerts == ["it has not told how it is for 60 s"]
    now = [began + 100]
    ill = HealthView([LogView("audit.log")], [ExporterView("otlp_http", waiting=1)])
    told = Reporter(tmp_path, lambda: ill, verdict, clock=lambda: now[0], monotonic=lambda: now[0])
    told.write()
    assert not agent_now(tmp_path, now[0]).alerts, "one request has failed"
    now[0] += 901
    told.write()
    said = ["AuditExporterUnhealthy: otlp_http"]
    assert agent_now(tmp_path, now[0]).alerts == said
    assert agent_now(tmp_path, now[0] + FRESH_S + 1).alerts == said, "a slow disk mends nothing"
    lock.release()
    assert agent_now(tmp_path, now[0]).alerts == ["no agent is running"]


def test_a_report_of_the_predecessor_is_not_the_successors(tmp_path: Path) -> None:
    """Within seconds of a restart both are there."""
    lock = StateLock(tmp_path)
    lock.acquire()
    reporter(tmp_path, 100.0).write()
    (tmp_path / "lock").write_text("1")
    assert agent_now(tmp_path, 100.0).report is None
    assert agent_now(tmp_path, 100.0).pid == 1
    lock.release()


def test_status_and_page_show_the_same_rate(tmp_path: Path) -> None:
    """Records over seconds of a clock that nobody sets; of its course the file holds the end."""
    history = History()
    for at, delivered in ((0.0, 100), (2.0, 200), (5.0, 600), (15.0, 700)):
        history.look(at, {"otlp_http": delivered})
    rates = history.rates("otlp_http")
    assert rates == [0.0, 100.0, 10.0]
    view = HealthView([LogView("audit.log")], [ExporterView("otlp_http", rates=rates)])
    Reporter(tmp_path, lambda: view, verdict).write()
    report = last_report(tmp_path)
    assert report is not None
    assert [(one.rate, len(one.rates)) for one in report.exporters] == [(10.0, 1)]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.0, "0 s ago"), (-0.5, "0 s ago"), (70.0, "70 s ago"), (-7200.0, "2 h ahead of this clock")],
)
def test_a_time_ahead_of_a_clock_that_was_set_back_is_called_so(seconds: float, said: str) -> None:
    """Nothing happened minus two hours ago."""
    assert ago(seconds) == said


@pytest.mark.parametrize("reasons", [(), ("the disk is full",), ("x" * 1500,)])
def test_where_no_file_can_be_made_the_report_is_written_over(
    tmp_path: Path, reasons: tuple[str, ...]
) -> None:
    """Longer or shorter than the one before: read whole in any case, in the same file."""
    lock = StateLock(tmp_path)
    lock.acquire()
    reporter(tmp_path, 1.0, ("a reason of some length",)).write()
    file = tmp_path / FILE_NAME
    inode, size = file.stat().st_ino, file.stat().st_size
    temporary = file.with_suffix(".tmp")
    (temporary / "in the way").mkdir(parents=True)  # as a disk that has no room for another file
    reporter(tmp_path, 2.0, reasons).write()
    report = agent_now(tmp_path, 2.0).report
    assert report is not None
    assert (report.at, len(report.not_ready)) == (2.0, len(reasons))
    assert all(reason in said for reason, said in zip(reasons, report.not_ready, strict=True))
    assert (file.stat().st_ino, file.stat().st_size) == (inode, size), "it has taken no more room"
    lock.release()
