"""Which rules of `deploy/prometheus/alerts.yaml` fire on this agent: what `status --fail` asks.

The same thresholds and the same patience as there, so that a check by hand or by cron and the
pager say the same. Rules that need more than this agent are Prometheus' alone: those that compare
with the apiserver's own counts, and those over restarts, requests to a webhook and other nodes.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from k8s_audit_otlp.telemetry.health import readiness
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, SourceView

_LATE_S: Final = 900.0  # silence, a backlog, a source behind
_RECENT_S: Final = 900.0  # what was lost or refused is told so long
_UNACKNOWLEDGED_S: Final = 300.0


class Rule(NamedTuple):
    """One alert: whom it concerns at a moment, and how long that must hold before it fires."""

    name: str
    for_s: float
    concerns: Callable[[HealthView, float, float], Iterator[str]]  # now; when the process began


def _exporters(fits: Callable[[ExporterView, float], bool]) -> Callable[..., Iterator[str]]:
    return lambda view, now, _: (e.exporter for e in view.exporters if fits(e, now))


def _sources(fits: Callable[[SourceView], bool]) -> Callable[..., Iterator[str]]:
    return lambda view, *_: (s.source for s in view.sources if fits(s))


def _silent(view: HealthView, now: float, began: float) -> Iterator[str]:
    seen = (r.last_event_at for e in view.exporters for r in e.receivers if r.last_event_at)
    if now - max(seen, default=began) > _LATE_S:
        yield "the audit log"


def _recent(view: ExporterView, now: float, *kinds: str) -> bool:
    return any(one.kind in kinds and now - one.at < _RECENT_S for one in view.recent)


def _unhealthy(view: ExporterView, now: float) -> bool:
    fresh = view.acknowledged_at and now - view.acknowledged_at < _UNACKNOWLEDGED_S
    return bool(view.stalled) or view.waiting > 0 or (view.in_flight > 0 and not fresh)


def _down(source: SourceView) -> bool:
    refuses = any(spool.trouble for spool in source.spools)
    return refuses or not source.alive or bool(source.trouble)


RULES: Final = (
    Rule("AuditRunwayShort", 300, _exporters(lambda e, _: e.runs_short)),
    Rule("AuditGap", 0, _exporters(lambda e, now: e.gone_bytes > 0 or _recent(e, now, "gap"))),
    Rule(
        "AuditDeadLetter", 0, _exporters(lambda e, now: _recent(e, now, "refused", "dead letter"))
    ),
    Rule("AuditSilence", 300, _silent),
    Rule("AuditExporterUnhealthy", 900, _exporters(_unhealthy)),
    Rule("AuditNotReady", 300, lambda view, *_: iter(readiness(view).reasons[:1])),
    Rule("AuditConfigRefused", 300, lambda view, *_: iter(["the files"] * view.config_refused)),
    Rule("AuditSourceDown", 300, _sources(_down)),
    Rule("AuditSourceBehind", 300, _sources(lambda s: (s.behind_s or 0.0) > _LATE_S)),
    Rule("AuditApiserverBuffer", 0, _sources(lambda s: any(p.at_risk for p in s.spools))),
    Rule("AuditBacklogOld", 600, _exporters(lambda e, _: e.backlog_s > _LATE_S)),
)


class Alerts:
    """Remembers since when each rule has held; whoever looks seldom may see it begin late."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: dict[tuple[Rule, str], float] = {}
        self._began: float | None = None

    def look(self, view: HealthView, now: float) -> list[str]:
        """Return what fires, each with whom it concerns. *now*: seconds since the epoch."""
        at = self._monotonic()
        began = self._began = now if self._began is None else self._began
        held = [(rule, who) for rule in RULES for who in rule.concerns(view, now, began)]
        self._since = {key: self._since.get(key, at) for key in held}
        return [
            f"{rule.name}: {who}"
            for (rule, who), since in self._since.items()
            if at - since >= rule.for_s
        ]
