"""The page at `/`: what it shows as plain values, and the one document that shows them.

The document is the same for everyone and holds no value; its script asks for `status.json` and
writes text, never markup. Neither holds an event, a secret or an answer of a back end.
"""

import base64
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.resources import files
from typing import Any, Literal

from k8s_audit_otlp import __version__
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.telemetry.health import CONFIG_REFUSED_TEXT, next_step, readiness
from k8s_audit_otlp.telemetry.running_agent import RunningAgent
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView

_NAMED = 2  # exporters in a sentence; of more it is said how many
_SHOWN_SEGMENTS = 12  # of each log, the newest
_BEHIND_S = 60.0  # who is so late may wait for a back end, and counts what comes when it reads it


def status_of(
    agent: RunningAgent,
    view: HealthView,
    at: float,
) -> dict[str, Any]:
    """Return what the page shows. *at*: seconds since the epoch."""
    said, kind = verdict(view)
    return {
        "version": __version__,
        "pid": os.getpid(),
        "at": at,
        "verdict": said,
        "kind": kind,
        "reasons": list(readiness(view).reasons),
        "exporters": [_exporter(one, read=_read(view)) for one in view.exporters],
        "sources": [asdict(source) for source in view.sources],
        "logs": _logs(agent, {log.path: log.trouble for log in view.logs}),
        "apiserver": view.apiserver and asdict(view.apiserver) | {"doubt": _doubt(view)},
    }


def _doubt(view: HealthView) -> str:
    """Say what the apiserver's own count has against the log: '' as a rule."""
    if view.apiserver and view.apiserver.unwritten:
        count = f"{view.apiserver.unwritten:,.0f} events"
        return (
            f"The kube-apiserver could not write {count}: see AuditApiserverErrors in the runbook."
        )
    if not view.counts_unread(_BEHIND_S):
        return ""
    return "The kube-apiserver counts more events than were read: see AuditEventsMissing."


def headline(view: HealthView) -> str:
    """Return in a line what the page says first."""
    return "; ".join(readiness(view).reasons) or _verdict(view)[0]


def verdict(view: HealthView) -> tuple[str, str]:
    """Answer whether anything is being lost, with what to do; and good, warn or bad."""
    said, kind = _verdict(view)
    return said, kind if readiness(view).good else "bad"


def _read(view: HealthView) -> str:
    """Say of what it can be told that it is sent: what nobody could read is not in it."""
    down = any(log.trouble for log in view.logs) or not view.logs
    for source in view.sources:
        spools = any(spool.trouble or spool.at_risk for spool in source.spools)
        down |= spools or not source.alive or bool(source.trouble)
    return "All that was read is" if down else "All is"


def _verdict(view: HealthView) -> tuple[str, str]:
    """Say it for an agent that is ready."""
    read = _read(view)
    for said, kind in _losses(view):
        return f"{said} {_sent(view, read.replace('All', 'All else', 1))}", kind
    known = "Nothing is being lost." if read == "All is" else "Nothing that was read is being lost."
    troubled = _failing(view) or view.config_refused or read != "All is"
    return f"{known} {_sent(view, read)}", "warn" if troubled else "good"


def _failing(view: HealthView) -> list[str]:
    return [e.exporter for e in view.exporters if e.failing or e.stalled]


def _named(exporters: Sequence[str], of: int) -> str:
    if len(exporters) > _NAMED:
        return f"{len(exporters)} of {of} exporters"
    return " and ".join(exporters)


def _sent(view: HealthView, read: str) -> str:
    """Say who fails, who is behind, and what else is wrong. *read*: "All is", or less."""
    count, failing = len(view.exporters), _failing(view)
    behind = [e.exporter for e in view.exporters if e.backlog_bytes and e.exporter not in failing]
    said = []
    if failing:
        verb = "gets" if len(failing) == 1 else "get"
        said.append(f"{_named(failing, count)} {verb} nothing through.")
    if behind:
        verb = "has" if len(behind) == 1 else "have"
        said.append(f"{_named(behind, count)} {verb} a backlog.")
    if any(exporter.only_here_bytes for exporter in view.exporters):
        said.append(
            "Do not restart this process (a reload is safe): it alone has what deleted files hold."
        )
    if not said:
        said.append(f"{read} sent.")
    if view.config_refused:
        said.append(f"The {CONFIG_REFUSED_TEXT}.")
    said += [f"{source.source}: {source.trouble}." for source in view.sources if source.trouble]
    return " ".join(said)


def _losses(view: HealthView) -> Iterator[tuple[str, Literal["bad", "warn"]]]:
    """Say what is lost or soon will be, the worst first."""
    exporters = view.exporters
    if any(exporter.gone_bytes for exporter in exporters):
        yield "Bytes of the log were deleted before they were delivered: see below.", "bad"
    if gaps := sum(_certain_gaps(exporter) for exporter in exporters):
        yield f"Stretches of the log lost to an exporter: {gaps:,}, see below.", "bad"
    if doubt := _doubt(view):
        yield doubt, "bad"
    for spool in (spool for source in view.sources for spool in source.spools if spool.at_risk):
        yield f"An apiserver's buffer may drop events: {spool.at_risk}.", "bad"
    if left := {e.runway_s or 0.0: e.exporter for e in exporters if e.runs_short}:
        soon = min(left)
        when = f"In about {soon / 60:.0f} minutes" if soon > 60 else "At any moment"
        yield f"{when} events are lost: {left[soon]} is behind.", "bad"
    if exporters and not any(_meets_events(exporter) for exporter in exporters):
        yield "No line that was read is an audit event: is it the --audit-log-path?", "bad"
    if unseen := max((exporter.gaps.get("unseen", 0) for exporter in exporters), default=0):
        what = "Nothing proves that no file of the log came and went unread"
        yield f"{what}, {unseen:,} times: see AuditGap in the runbook.", "warn"
    if aside := sum(_lost(e)["refused"] + _lost(e)["dead-lettered"] for e in exporters):
        yield f"Records refused for good: {aside:,}, `dead-letter list` shows them.", "warn"


def _meets_events(view: ExporterView) -> bool:
    """Say whether it has read an event with a time, or nothing yet."""
    return any(r.last_event_at or not r.settled for r in view.receivers) or not view.receivers


def _certain_gaps(view: ExporterView) -> int:
    """Count the gaps that are known to hold bytes; `unseen` says only that they may."""
    return sum(count for reason, count in view.gaps.items() if reason != "unseen")


def _lost(view: ExporterView) -> dict[str, int]:
    return {
        "gaps": sum(view.gaps.values()),
        "refused": sum(r.refused for r in view.receivers),
        "dead-lettered": sum(r.dead_lettered for r in view.receivers),
    }


def _exporter(view: ExporterView, read: str) -> dict[str, Any]:
    state = f"stalled: {view.stalled}" if view.stalled else str(view.state)
    if view.well and not view.backlog_bytes:
        state = f"{read.lower()} sent"
    return {
        **view.as_json(),
        "state": state,
        "kind": "bad" if view.stalled else "good" if view.well else "warn",
        "next": next_step(view),
        "lost": _lost(view),
        "rates": view.rates,
        "recent": [one._asdict() for one in reversed(view.recent)],
    }


def _logs(agent: RunningAgent, troubles: Mapping[str, str]) -> list[dict[str, Any]]:
    readers = [s for runtime in agent.exporters for s in runtime.subscriptions]
    shown = []
    for log in agent.logs:
        of = [s for s in readers if s.log is log]
        segments = [segment.state for segment in log.segments() if not segment.state.lost]
        shown.append(
            {
                "path": str(log.path),
                "trouble": troubles.get(str(log.path), ""),
                "exporters": [s.exporter for s in of],
                "segments": [_segment(s, of) for s in reversed(segments[-_SHOWN_SEGMENTS:])],
            }
        )
    return shown


def _segment(state: SegmentState, of: Sequence[Subscription]) -> dict[str, Any]:
    said = "deleted" if state.gone else "closed" if state.complete else "open"
    return {
        "name": state.name,
        "size": state.likely_size,
        "state": said,
        "positions": [_position(state, subscription) for subscription in of],
    }


def _position(state: SegmentState, subscription: Subscription) -> dict[str, Any]:
    settled = subscription.ledger.settled_offset(state.seq)
    if state.seq in subscription.receipted:
        return {"text": "receipt", "kind": "good"}
    size = state.likely_size
    if settled >= size:
        return {"text": "settled", "kind": "good"}
    part = f"{100 * settled // max(1, size)} %"
    if not state.gone:
        return {"text": part, "kind": ""}
    if subscription.ledger.next_offset(state.seq) >= size:
        return {"text": f"{part}, rest on its way", "kind": "warn"}
    return {"text": f"{part}, rest lost", "kind": "bad"}


def document() -> tuple[bytes, str]:
    """Return the page, and a content security policy that admits its own script and style only."""
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    policy = [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        f"script-src {_hash(re.findall('<script>(.*?)</script>', text, re.DOTALL))}",
        f"style-src {_hash(re.findall('<style>(.*?)</style>', text, re.DOTALL))}",
    ]
    return text.encode(), "; ".join(policy)


def _hash(parts: Iterable[str]) -> str:
    digests = (base64.b64encode(sha256(part.encode()).digest()).decode() for part in parts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)
