"""The live table of `status --watch`: a line for each exporter and log, as they are now."""

import time
from collections.abc import Callable, Collection, Iterator
from os.path import commonpath
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from k8s_audit_otlp.cli.terminal import LiveView
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.state.checkpoint import Checkpoint
from k8s_audit_otlp.telemetry.backlog import StoredSubscription, inspect
from k8s_audit_otlp.telemetry.status_file import AgentState, StatusReport
from k8s_audit_otlp.telemetry.terminal_safe import visible
from k8s_audit_otlp.telemetry.views import ExporterView
from k8s_audit_otlp.tools.table import FittingTable
from k8s_audit_otlp.tools.text import about, duration

_TITLES = ("exporter and log", "state", "rate/s", "backlog", "runway")
_AROUND = 2  # lines above the table, and the empty one of the cursor: "^C" must fit on it
_EVERY_S = 1.0

Look = Callable[[], tuple[Checkpoint, AgentState]]


def watch(look: Look, screen: Console) -> None:
    """Show what *look* finds, anew every second, until interrupted; what is too long scrolls."""
    with Live(console=screen, auto_refresh=False, vertical_overflow="visible") as live:
        shown = LiveView(live)
        while True:
            checkpoint, agent = look()
            shown.show(view(checkpoint, agent, time.time(), screen))
            time.sleep(_EVERY_S)


def view(checkpoint: Checkpoint, agent: AgentState, now: float, screen: Console) -> Group:
    """Return one picture of it: the table, and under it as much of what is wrong as fits."""
    report = agent.report
    table = FittingTable(_TITLES, 2)
    live = {e.exporter: e for e in report.exporters} if report else {}
    found = inspect(checkpoint)
    names = _names({stored.log for stored in found})
    absent = "not configured" if report else "unknown" if agent.holder else "not running"
    said: set[str] = set()
    for stored in sorted(found, key=lambda one: one.exporter):
        of = live.get(stored.exporter)
        first = stored.exporter not in said
        said.add(stored.exporter)
        state, rate, runway = _of_exporter(of, absent) if first else ("", "", "")
        name = f"{stored.exporter} {names[stored.log]}"
        style = "" if of and of.well else "yellow"
        table.add_row(name, state, rate, _backlog(stored, now), runway, style=style)
    head = Text(visible(agent.line), style="bold" if report else "bold red")
    around = len(screen.render_lines(head)) - 1 + _AROUND
    room = screen.height - len(screen.render_lines(table)) - around
    return Group(head, table, *list(_troubles(report, now))[: max(1, room)], Text())


def _names(logs: Collection[str]) -> dict[str, str]:
    """Return a short name for each log: its file's, its receiver's, or what differs of its path."""
    keys = {log: LogKey.parse(log) for log in logs}
    files = {log: Path(key.path).name for log, key in keys.items()}
    receivers = {log: key.receiver for log, key in keys.items()}
    for names in (files, receivers):
        if len(set(names.values())) == len(keys):
            return names
    whole = {log: Path(key.path).absolute() for log, key in keys.items()}
    shared = commonpath([path.parent for path in whole.values()])
    paths = {log: str(path.relative_to(shared)) for log, path in whole.items()}
    alike = len(set(paths.values())) < len(keys)  # one file may be the log of two receivers
    return {log: f"{receivers[log]} {path}" if alike else path for log, path in paths.items()}


def _of_exporter(live: ExporterView | None, absent: str) -> tuple[str, str, str]:
    """Return what is the exporter's as a whole, so it stands in the first of its lines alone."""
    if live is None:
        return absent, "", ""
    runway = duration(live.runway_s) if live.runway_s is not None else ""
    return live.state, f"{live.rate:,.0f}", runway


def _backlog(stored: StoredSubscription, now: float) -> str:
    backlog = about(stored.backlog_bytes, estimated=stored.backlog_estimated)
    if stored.backlog_bytes and stored.oldest_unsent_ns:
        backlog += f", {duration(max(0, now - stored.oldest_unsent_ns / 1e9))}"
    return backlog


def _troubles(report: StatusReport | None, now: float) -> Iterator[Text]:
    if report is None:
        return
    yield from (_trouble(f"alert: {alert}") for alert in report.alerts)
    yield from map(_trouble, report.troubles)
    for one in report.exporters:
        if not one.error or one.well:
            continue
        again = f"; next try in {duration(max(0, one.retry_at - now))}" if one.retry_at else ""
        yield _trouble(f"{one.exporter}: {one.error}{again}")


def _trouble(text: str) -> Text:
    return Text(visible(text), style="red", overflow="ellipsis", no_wrap=True)
