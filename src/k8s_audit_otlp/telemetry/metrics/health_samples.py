"""The samples that are about the agent as a whole: of its health, its sources, its apiserver."""

from collections.abc import Iterator, Sequence

from k8s_audit_otlp.telemetry.health import readiness
from k8s_audit_otlp.telemetry.metrics.registry import Sample
from k8s_audit_otlp.telemetry.metrics.table import PREFIX
from k8s_audit_otlp.telemetry.views import ApiserverView, HealthView, SourceView


def health_samples(view: HealthView) -> Iterator[Sample]:
    """Yield what *view* says beside its exporters."""
    for name, labels, value in _samples(view):
        yield f"{PREFIX}{name}", labels, value


def _samples(view: HealthView) -> Iterator[Sample]:
    yield "ready", {}, int(readiness(view).good)
    yield "config_refused", {}, int(view.config_refused)
    yield from _source_samples(view.sources)
    if view.apiserver is not None:
        yield from _apiserver_samples(view.apiserver)


def _apiserver_samples(view: ApiserverView) -> Iterator[Sample]:
    if view.events is None and not view.trouble:
        return  # it has not answered yet
    yield "apiserver_up", {}, int(not view.trouble)
    if view.events is not None:
        yield "apiserver_events_total", {}, view.events
        for plugin, count in view.errors.items():
            yield "apiserver_errors_total", {"plugin": plugin}, count


def _source_samples(views: Sequence[SourceView]) -> Iterator[Sample]:
    for view in views:
        of = {"source": view.source}
        yield "source_up", of, int(view.alive and not view.trouble)
        yield "source_left_out_total", of, view.left_out
        if view.behind_s is not None:
            yield "source_behind_seconds", of, view.behind_s
        for place, count in view.waiting.items():
            topic, _, partition = place.rpartition("/")
            yield "source_waiting_messages", {**of, "topic": topic, "partition": partition}, count
        for status, count in sorted(view.answers.items()):
            yield "source_requests_total", {**of, "code": status}, count
        for spool in view.spools:
            receiver = {"receiver": spool.receiver}
            events = {"taken": spool.taken, "repeated": spool.repeated, "refused": spool.refused}
            for what, count in events.items():
                yield "source_events_total", {**receiver, "outcome": what}, count
            yield "spool_bytes", receiver, spool.used_bytes
            yield "spool_max_bytes", receiver, spool.max_bytes
            yield "spool_refuses", receiver, int(bool(spool.trouble))
            yield "spool_apiserver_buffer_at_risk", receiver, int(bool(spool.at_risk))
