"""The samples that are about the agent as a whole: of its health, its sources, its apiserver."""

from collections.abc import Iterator, Sequence

from k8s_audit_otlp.telemetry.health import readiness
from k8s_audit_otlp.telemetry.metrics.registry import Sample
from k8s_audit_otlp.telemetry.metrics.table import (
    APISERVER_ERRORS,
    APISERVER_EVENTS,
    APISERVER_UP,
    CONFIG_REFUSED,
    READY,
    SOURCE_BEHIND,
    SOURCE_EVENTS,
    SOURCE_LEFT_OUT,
    SOURCE_REQUESTS,
    SOURCE_UP,
    SOURCE_WAITING,
    SPOOL_AT_RISK,
    SPOOL_BYTES,
    SPOOL_MAX_BYTES,
    SPOOL_REFUSES,
)
from k8s_audit_otlp.telemetry.views import ApiserverView, HealthView, SourceView


def health_samples(view: HealthView) -> Iterator[Sample]:
    """Yield what *view* says beside its exporters."""
    yield READY, {}, int(readiness(view).good)
    yield CONFIG_REFUSED, {}, int(view.config_refused)
    yield from _source_samples(view.sources)
    if view.apiserver is not None:
        yield from _apiserver_samples(view.apiserver)


def _apiserver_samples(view: ApiserverView) -> Iterator[Sample]:
    if view.events is None and not view.trouble:
        return  # it has not answered yet
    yield APISERVER_UP, {}, int(not view.trouble)
    if view.events is not None:
        yield APISERVER_EVENTS, {}, view.events
        for plugin, count in view.errors.items():
            yield APISERVER_ERRORS, {"plugin": plugin}, count


def _source_samples(views: Sequence[SourceView]) -> Iterator[Sample]:
    for view in views:
        of = {"source": view.source}
        yield SOURCE_UP, of, int(view.alive and not view.trouble)
        yield SOURCE_LEFT_OUT, of, view.left_out
        if view.behind_s is not None:
            yield SOURCE_BEHIND, of, view.behind_s
        for place, count in view.waiting.items():
            topic, _, partition = place.rpartition("/")
            yield SOURCE_WAITING, {**of, "topic": topic, "partition": partition}, count
        for status, count in sorted(view.answers.items()):
            yield SOURCE_REQUESTS, {**of, "code": str(status)}, count
        for spool in view.spools:
            receiver = {"receiver": spool.receiver}
            events = {"taken": spool.taken, "repeated": spool.repeated, "refused": spool.refused}
            for what, count in events.items():
                yield SOURCE_EVENTS, {**receiver, "outcome": what}, count
            yield SPOOL_BYTES, receiver, spool.used_bytes
            yield SPOOL_MAX_BYTES, receiver, spool.max_bytes
            yield SPOOL_REFUSES, receiver, int(bool(spool.trouble))
            yield SPOOL_AT_RISK, receiver, int(bool(spool.at_risk))
