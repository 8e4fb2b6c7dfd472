"""Which rules of `deploy/prometheus/alerts.yaml` fire on this agent: what `status --fail` asks.

The same thresholds and the same `for` as there, so that a check by hand or by cron and the
pager say the same. Two are Prometheus' alone: that an agent starts again and again, or that a node
has none, no agent can tell of itself.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from k8s_audit_otlp.telemetry.health import readiness
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, SourceView

FOR_S: Final[Mapping[str, float]] = {
    "AuditRunwayShort": 300,
    "AuditGap": 0,
    "AuditDeadLetter": 0,
    "AuditSilence": 300,
    "AuditExporterUnhealthy": 900,
    "AuditNotReady": 300,
    "AuditConfigRefused": 300,
    "AuditSourceDown": 300,
    "AuditSourceBehind": 300,
    "AuditApiserverBuffer": 0,
    "AuditBacklogOld": 600,
    "AuditWebhookRefuses": 300,
    "AuditApiserverErrors": 0,
    "AuditEventsMissing": 1800,
}
_LATE_S: Final = 900.0  # silence, a backlog, a source behind; and what was lost is told so long
_UNACKNOWLEDGED_S: Final = 300.0

Fires = Iterator[tuple[str, bool]]


def _exporter(view: ExporterView, now: float) -> Fires:
    of_late = {one.kind for one in view.recent if now - one.at < _LATE_S}
    fresh = view.acknowledged_at and now - view.acknowledged_at < _UNACKNOWLEDGED_S
    hangs = view.in_flight > 0 and not fresh
    yield "AuditRunwayShort", view.runs_short
    yield "AuditGap", view.gone_bytes > 0 or "gap" in of_late
    yield "AuditDeadLetter", bool(of_late & {"refused", "dead letter"})
    yield "AuditExporterUnhealthy", bool(view.stalled) or view.waiting > 0 or hangs
    yield "AuditBacklogOld", view.backlog_s > _LATE_S


def _source(view: SourceView) -> Fires:
    refuses = any(spool.trouble for spool in view.spools)
    yield "AuditSourceDown", refuses or not view.alive or bool(view.trouble)
    yield "AuditSourceBehind", (view.behind_s or 0.0) > _LATE_S
    yield "AuditApiserverBuffer", any(spool.at_risk for spool in view.spools)


def _process(view: HealthView, now: float, began: float) -> Fires:
    seen = (r.last_event_at for e in view.exporters for r in e.receivers if r.last_event_at)
    yield "AuditSilence", now - max(seen, default=began) > _LATE_S
    yield "AuditNotReady", not readiness(view).good
    yield "AuditConfigRefused", view.config_refused
    yield "AuditEventsMissing", view.counts_unread(_LATE_S)


def _counts(view: HealthView) -> Iterator[tuple[str, str, float]]:
    """Yield what must not grow: the rule, whom it concerns, and the count since the start."""
    for source in view.sources:
        refused = (count for code, count in source.answers.items() if not code.startswith("2"))
        yield "AuditWebhookRefuses", source.source, sum(refused)
    if view.apiserver is not None:
        yield "AuditApiserverErrors", "the agent", view.apiserver.unwritten


class Alerts:
    """Remembers since when each rule has held; whoever looks seldom may see it begin late."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._since: dict[tuple[str, str], float] = {}
        self._began: float | None = None
        self._grown: dict[tuple[str, str], tuple[float, float]] = {}  # to how much, and when

    def look(self, view: HealthView, now: float) -> list[str]:
        """Return what fires, each with whom it concerns. *now*: seconds since the epoch."""
        self._began = now if self._began is None else self._began
        asked = [("the agent", _process(view, now, self._began))]
        asked += [(exporter.exporter, _exporter(exporter, now)) for exporter in view.exporters]
        asked += [(source.source, _source(source)) for source in view.sources]
        at = self._monotonic()
        held = [(name, whom) for whom, fires in asked for name, holds in fires if holds]
        held += [
            (name, whom)
            for name, whom, count in _counts(view)
            if self._grows(name, whom, count, at)
        ]
        self._since = {key: self._since.get(key, at) for key in held}
        return [
            f"{name}: {whom}"
            for (name, whom), since in self._since.items()
            if at - since >= FOR_S[name]
        ]

    def _grows(self, name: str, whom: str, count: float, at: float) -> bool:
        """Say whether a count that begins at zero has grown in the last quarter of an hour."""
        before, when = self._grown.get((name, whom), (0.0, -_LATE_S))
        when = at if count > before else when
        self._grown[name, whom] = count, when
        return at - when < _LATE_S
