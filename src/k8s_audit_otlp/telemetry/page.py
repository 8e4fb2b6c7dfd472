"""The page at `/`: what it shows as plain values, and the one document that shows them.

The document is the same for everyone and holds no value; its script asks for `status.json` and
writes text, never markup. Neither holds an event, a secret or an answer of a back end.
"""

import base64
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from k8s_audit_otlp import __version__
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.telemetry.health import CONFIG_REFUSED_TEXT, readiness
from k8s_audit_otlp.telemetry.metrics.apiserver import ApiserverReader
from k8s_audit_otlp.telemetry.metrics.measured import History
from k8s_audit_otlp.telemetry.running_agent import RunningAgent
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView

_SHOWN_SEGMENTS = 12  # of each log, the newest

# what to do, by the reason of the last failure; the agent's log has the answer itself
_NEXT: Final[Mapping[str, str]] = {
    "connection": "See that the endpoint answers, and what lies between.",
    "retryable": "The back end is busy or down; look at its side.",
    "too_large": "Requests are split; see the back end's limit.",
    "rejected": "The request is split until the record at fault is found. Where all are refused a "
    "setting is wrong: `k8s-audit-otlp status` quotes the answer.",
    "misconfigured": "A key, a path or a certificate, here or at the back end, is not right: "
    "`k8s-audit-otlp status` quotes it. Correct it; where the configuration changed, reload.",
}
_SAFE: Final = "Nothing is lost while the log is kept. "


def status_of(
    agent: RunningAgent,
    view: HealthView,
    history: History,
    at: float,
    apiserver: ApiserverReader | None = None,
) -> dict[str, Any]:
    """Return what the page shows. *at*: seconds since the epoch."""
    ready = readiness(view)
    verdict, kind = _verdict(view)
    return {
        "version": __version__,
        "pid": os.getpid(),
        "at": at,
        "verdict": verdict,
        "kind": kind if ready.good else "bad",
        "reasons": list(ready.reasons),
        "exporters": [_exporter(exporter, history) for exporter in view.exporters],
        "sources": [asdict(source) for source in view.sources],
        "logs": _logs(agent, {log.path: log.trouble for log in view.logs}),
        "apiserver": None if apiserver is None else _apiserver(apiserver),
    }


def _apiserver(reader: ApiserverReader) -> dict[str, Any]:
    compared = reader.compared()
    return {"trouble": reader.trouble, **(compared._asdict() if compared else {})}


def headline(view: HealthView) -> str:
    """Return in a line what the page says first."""
    return "; ".join(readiness(view).reasons) or _verdict(view)[0]


def _verdict(view: HealthView) -> tuple[str, str]:
    """Answer whether anything is being lost, with what to do, and how bad it is."""
    exporters = view.exporters
    behind = sum(exporter.backlog_bytes > 0 for exporter in exporters)
    sent = f"{behind} of {len(exporters)} exporters have a backlog." if behind else "All is sent."
    failing = sum(_is_failing(exporter) or bool(exporter.stalled) for exporter in exporters)
    if failing:
        sent = f"{failing} of {len(exporters)} exporters get nothing through. {sent}"
    if view.config_refused:
        sent += f" The {CONFIG_REFUSED_TEXT}."
    if any(exporter.gone_bytes for exporter in exporters):
        return f"Bytes of the log were deleted before they were delivered: see below. {sent}", "bad"
    if gaps := sum(_proven(exporter) for exporter in exporters):
        return f"{gaps:,} stretches of the log are lost to an exporter: see below. {sent}", "bad"
    if unseen := sum(exporter.gaps.get("unseen", 0) for exporter in exporters):
        what = "times nothing proves that no file of the log came and went unread"
        return f"{unseen:,} {what}: see AuditGap in the runbook. {sent}", "warn"
    if aside := sum(_lost(e)["refused"] + _lost(e)["dead-lettered"] for e in exporters):
        what = "records were refused for good: `dead-letter list` shows them"
        return f"{aside:,} {what}. {sent}", "warn"
    return f"Nothing is being lost. {sent}", "warn" if failing or view.config_refused else "good"


def _next(view: ExporterView) -> str:
    said = _NEXT.get(view.trouble, "")
    return said if view.gone_bytes else _SAFE + said


def _proven(view: ExporterView) -> int:
    """Count the gaps that are known to hold bytes; `unseen` says only that they may."""
    return sum(count for reason, count in view.gaps.items() if reason != "unseen")


def _is_failing(view: ExporterView) -> bool:
    """Say whether its last request failed; one that hangs now does not make it better."""
    return view.waiting > 0 or view.trouble_at > view.acknowledged_at


def _lost(view: ExporterView) -> dict[str, int]:
    return {
        "gaps": sum(view.gaps.values()),
        "refused": sum(r.refused for r in view.receivers),
        "dead-lettered": sum(r.dead_lettered for r in view.receivers),
    }


def _exporter(view: ExporterView, history: History) -> dict[str, Any]:
    failing = _is_failing(view)
    if view.stalled:
        state, kind = f"stalled: {view.stalled}", "bad"
    elif failing:
        state, kind = "failing, tried again", "warn"
    else:
        state, kind = "delivering" if view.backlog_bytes else "all is sent", "good"
    return {
        "exporter": view.exporter,
        "state": state,
        "kind": kind,
        "next": _next(view) if failing else "",
        "backlog_bytes": view.backlog_bytes,
        "backlog_estimated": view.backlog_estimated,
        "backlog_s": view.backlog_s,
        "gone_bytes": view.gone_bytes,
        "runway_s": view.runway_s,
        "lag_s": view.lag_s,
        "acknowledged_at": view.acknowledged_at,
        "delivered": view.delivered,
        "lost": _lost(view),
        "trouble": view.trouble,
        "trouble_at": view.trouble_at,
        "retry_at": view.retry_at,
        "rates": history.rates(view.exporter),
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
    return (
        {"text": f"{part}, rest lost", "kind": "bad"} if state.gone else {"text": part, "kind": ""}
    )


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
