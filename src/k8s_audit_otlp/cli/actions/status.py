"""`status`: what the state directory says about every exporter, and a running agent beside it."""

import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from k8s_audit_otlp.cli.exit_codes import FAILURE, OK
from k8s_audit_otlp.cli.options import checkpoint_in
from k8s_audit_otlp.cli.terminal import console, echo, echo_json
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.state.checkpoint import Checkpoint
from k8s_audit_otlp.telemetry.backlog import StoredSubscription, inspect
from k8s_audit_otlp.telemetry.health import next_step
from k8s_audit_otlp.telemetry.status_file import FILE_NAME, AgentState, agent_now
from k8s_audit_otlp.telemetry.views import ExporterView, SourceView
from k8s_audit_otlp.tools.text import about, ago, counted, duration, size

_WATCH_S = 1.0


def command(directory: Path, *, as_json: bool, watch: bool, fail: bool) -> None:
    if watch and fail:
        raise click.UsageError("--watch has no end that could fail; leave one of them out")
    if watch and not as_json and sys.stdout.isatty():
        from k8s_audit_otlp.cli.actions.watch import watch as live  # noqa: PLC0415 - slow to import

        live(lambda: _read(directory), console())
    while True:
        checkpoint, agent = _read(directory)
        if as_json:
            echo_json(_as_json(checkpoint, agent), None if watch else 2)
        else:
            echo(_as_text(checkpoint, agent, time.time()))
        if not watch:
            sys.exit(FAILURE if fail and agent.alerts else OK)
        time.sleep(_WATCH_S)


def _read(directory: Path) -> tuple[Checkpoint, AgentState]:
    agent = agent_now(directory, time.time())
    report = directory / FILE_NAME
    if report.exists() and not report.is_file():
        echo(f"warning: {report} is no regular file; move it away", err=True)
    checkpoint, warning = checkpoint_in(directory, runs=agent.holder is not None)
    if warning:
        echo(f"warning: {warning}", err=True)
    return checkpoint, agent


def _as_json(checkpoint: Checkpoint, agent: AgentState) -> dict[str, Any]:
    report = agent.report
    live = {e.exporter: e for e in report.exporters} if report else {}
    return {
        "written": checkpoint.written,
        "running": agent.pid,
        "reporting": report is not None,
        "verdict": report.verdict if report else agent.line,
        "kind": report.kind if report else "bad",
        "not_ready": list(report.not_ready) if report else [],
        "alerts": list(agent.alerts),
        "config_refused": report is not None and report.config_refused,
        "sources": [asdict(source) for source in report.sources] if report else [],
        "exporters": [
            {**asdict(stored), "now": _now(live.get(stored.exporter))}
            for stored in inspect(checkpoint)
        ],
    }


def _now(view: ExporterView | None) -> dict[str, Any] | None:
    if view is None:
        return None
    return view.as_json() | {"error": view.error, "error_at": view.error_at, "rate": view.rate}


def _as_text(checkpoint: Checkpoint, agent: AgentState, now: float) -> str:
    report = agent.report
    lines = [agent.line]
    if checkpoint.written:
        age = now - datetime.fromisoformat(checkpoint.written).timestamp()
        lines.append(f"positions as of {ago(age)} ({checkpoint.written})")
    lines += [
        f"alert: {alert} (see deploy/README.md, Alerts)" for alert in agent.alerts if agent.holder
    ]
    lines += report.troubles if report else []
    for source in report.sources if report else ():
        lines += ["", *_source(source)]
    live = {e.exporter: e for e in report.exporters} if report else {}
    told = {e.exporter: e for e in agent.last.exporters} if agent.last else {}
    found = inspect(checkpoint)
    if not found:
        lines.append("no exporter has a position")
    for stored in found:
        now_of = live.get(stored.exporter)
        lines += ["", *_exporter(stored, now_of, now)]
        if (ended := told.get(stored.exporter)) and ended.error:
            lines.append(f"  trouble  {ended.error} ({ago(now - ended.error_at)})")
        if report and now_of is None:
            lines.append(
                "  idle     not in the agent's configuration; `state forget` removes what it keeps"
            )
    return "\n".join(lines)


def _source(source: SourceView) -> list[str]:
    refuses = source.trouble or any(spool.trouble for spool in source.spools)
    state = "dead" if not source.alive else "in trouble" if refuses else "taking"
    lines = [f"{source.source}: {state}, {source.place}"]
    if source.trouble:
        lines.append(f"  trouble  {source.trouble}")
    if source.behind_s is not None:
        count = counted(sum(source.waiting.values()), "message")
        waiting = f", waiting: {count}" if source.waiting else ""
        lines.append(f"  behind   {duration(source.behind_s)}{waiting}")
    if source.answers:
        named = {"tls": "no TLS handshake: the agent's log says why"}
        counts = sorted(source.answers.items())
        answers = ", ".join(f"{count:,} x {named.get(code, code)}" for code, count in counts)
        lines.append(f"  answers  {answers}")
    if source.left_out:
        lines.append(f"  left out {source.left_out:,} that held no audit event")
    for spool in source.spools:
        lines.append(
            f"  spool    {spool.receiver}: {size(spool.used_bytes)} of {size(spool.max_bytes)}, "
            f"taken {spool.taken:,}, repeated {spool.repeated:,}, refused {spool.refused:,}"
        )
        if spool.trouble:
            lines.append(f"  trouble  it takes nothing: {spool.trouble}")
        if spool.at_risk:
            lines.append(f"  at risk  {spool.at_risk}")
    return lines


def _exporter(stored: StoredSubscription, live: ExporterView | None, now: float) -> list[str]:
    head = stored.exporter
    if live:
        head += f": {live.state}, {live.rate:,.0f} records/s, "
        head += f"{counted(live.in_flight, 'request')} in flight"
        if live.in_flight_records:
            head += f" ({counted(live.in_flight_records, 'record')})"
        if live.runway_s is not None:
            head += f", runway {duration(live.runway_s)}"
    backlog = about(stored.backlog_bytes, estimated=stored.backlog_estimated)
    if stored.oldest_unsent_ns:
        backlog += f" ({duration(max(0, now - stored.oldest_unsent_ns / 1e9))})"
    lines = [
        head,
        f"  log      {LogKey.parse(stored.log).path}",
        f"  position {stored.segment or 'nowhere yet'} at byte {stored.offset:,}",
        f"  backlog  {backlog}",
        f"  records  {_conservation(stored)}",
        f"  gaps     {stored.gaps:,}",
    ]
    # Of a file that is gone a running agent may have the rest in memory; its positions do not say.
    gone_bytes = min(stored.gone_bytes, live.gone_bytes) if live else stored.gone_bytes
    if gone_bytes:
        gone = f"{size(gone_bytes)} were deleted before they were read"
        lines.append(f"  lost     {gone}; a gap in the stream tells of them when their turn comes")
    if live and live.only_here_bytes:
        lines.append(
            f"  held     {size(live.only_here_bytes)} of deleted files, by this process alone: "
            "do not restart it before they are sent; a reload is safe"
        )
    if live and live.error:
        when = ago(now - live.error_at)
        retry = f", next try in {duration(max(0, live.retry_at - now))}" if live.retry_at else ""
        lines.append(f"  trouble  {live.error} ({when}{retry})")
    if live and (what := next_step(live)):
        lines.append(f"  next     {what}")
    if live and live.acknowledged_at:
        lines.append(f"  last acknowledged {ago(now - live.acknowledged_at)}")
    return lines


def _conservation(stored: StoredSubscription) -> str:
    other = f" + no audit events {stored.no_events:,}" if stored.no_events else ""
    unknown = f" + unaccounted for {stored.balance:,}" if stored.balance else ""
    return (
        f"settled {stored.read:,} = delivered {stored.delivered:,}"
        f" + dropped by policy {stored.dropped:,}{other} + dead-lettered {stored.dead_lettered:,}"
        f" + refused {stored.refused:,}{unknown}"
    )
