"""How the exporters are in, the agent's own metrics in Prometheus' text format out.

    k8s_audit_otlp_events_read_total{exporter="otlp_http/siem",receiver="k8s_audit"} 81920

Labels are exporter, receiver, rule and reasons from closed sets: what clients of the apiserver
choose never becomes a label. Counters begin at zero with the process and never fall: a stored count
that is a second behind after a crash would look like a reset and count twice.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from threading import Lock
from typing import NamedTuple

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource

from k8s_audit_otlp import __version__
from k8s_audit_otlp.evidence.notices import GAP_REASONS
from k8s_audit_otlp.telemetry.prometheus import render
from k8s_audit_otlp.telemetry.views import ExporterView, ReceiverView

PREFIX = "k8s_audit_otlp_"
RETRY_REASONS = ("connection", "retryable", "too_large", "rejected", "misconfigured")

Labels = Mapping[str, str]
Series = Iterator[tuple[Labels, float]]


class Instrument(NamedTuple):
    """One metric: its name after the prefix, what it tells, where it is read."""

    name: str
    help: str
    read: Callable[[ExporterView], Series]


def _per_receiver(
    value: Callable[[ReceiverView], float | None],
) -> Callable[[ExporterView], Series]:
    def read(view: ExporterView) -> Series:
        for receiver in view.receivers:
            found = value(receiver)
            if found is not None:
                yield {"exporter": view.exporter, "receiver": receiver.receiver}, found

    return read


def _dropped(view: ExporterView) -> Series:
    for receiver in view.receivers:
        for rule, count in receiver.dropped.items():
            labels = {"exporter": view.exporter, "receiver": receiver.receiver, "rule": rule}
            yield labels, count


def _by_reason(view: ExporterView, known: Iterable[str], counts: Mapping[str, int]) -> Series:
    """Tell of every known reason, at zero too: an alert must see the first one as an increase."""
    for reason in dict.fromkeys((*known, *counts)):
        yield {"exporter": view.exporter, "reason": reason}, counts.get(reason, 0)


def _acknowledged(view: ExporterView) -> Series:
    if view.acknowledged_at:
        yield {"exporter": view.exporter}, view.acknowledged_at


COUNTERS = (
    Instrument("events_read", "Events read from the log.", _per_receiver(lambda r: r.read)),
    Instrument(
        "events_delivered",
        "Events that the back end acknowledged.",
        _per_receiver(lambda r: r.delivered),
    ),
    Instrument("events_dropped", "Events that the exporter's policy took away.", _dropped),
    Instrument(
        "events_refused",
        "Events refused in part of a request that was accepted.",
        _per_receiver(lambda r: r.refused),
    ),
    Instrument(
        "events_dead_lettered",
        "Events written to the dead letter.",
        _per_receiver(lambda r: r.dead_lettered),
    ),
    Instrument(
        "gaps",
        "Stretches of the log that the exporter can never get.",
        lambda view: _by_reason(view, GAP_REASONS, view.gaps),
    ),
    Instrument(
        "retries",
        "Requests that failed and are repeated.",
        lambda view: _by_reason(view, RETRY_REASONS, view.retries),
    ),
)

GAUGES = (
    Instrument(
        "backlog_bytes",
        "Bytes of the log that are not delivered.",
        _per_receiver(lambda r: r.backlog_bytes),
    ),
    Instrument(
        "backlog_seconds",
        "Age of the oldest byte that is not delivered.",
        _per_receiver(lambda r: r.backlog_s),
    ),
    Instrument(
        "runway_seconds",
        "Time until the oldest undelivered byte is deleted.",
        _per_receiver(lambda r: r.runway_s),
    ),
    Instrument(
        "in_flight_requests",
        "Requests on their way, in back-off or set aside.",
        lambda view: iter([({"exporter": view.exporter}, view.in_flight)]),
    ),
    Instrument(
        "stalled",
        "1 while nothing is sent at all.",
        lambda view: iter([({"exporter": view.exporter}, int(bool(view.stalled)))]),
    ),
    Instrument(
        "last_acknowledgement_timestamp_seconds",
        "When the back end last accepted a request.",
        _acknowledged,
    ),
)


class Metrics:
    """Reads the views once for each `text`, so that all numbers of an answer are of one moment."""

    def __init__(
        self,
        observe: Callable[[], Iterable[ExporterView]],
        base: Iterable[ExporterView] | None = None,
    ) -> None:
        """Count from *base*, the views of when the process began; from now by default."""
        self._observe = observe
        self._lock = Lock()  # one reading at a time
        self._views: list[ExporterView] = []
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider(
            [self._reader], resource=Resource.get_empty(), shutdown_on_exit=False
        )
        meter = self._provider.get_meter("k8s_audit_otlp", __version__)
        base = list(observe() if base is None else base)
        for one in COUNTERS:
            read = _Rising(one, base)
            meter.create_observable_counter(PREFIX + one.name, [self._callback(read)], "", one.help)
        for one in GAUGES:
            meter.create_observable_gauge(
                PREFIX + one.name, [self._callback(one.read)], "", one.help
            )

    def _callback(
        self, read: Callable[[ExporterView], Series]
    ) -> Callable[[CallbackOptions], Iterator[Observation]]:
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for view in self._views:
                for labels, value in read(view):
                    yield Observation(value, dict(labels))

        return observe

    def text(self) -> str:
        """Return everything as of now."""
        with self._lock:
            self._views = list(self._observe())
            return render(self._reader.get_metrics_data())

    def close(self) -> None:
        self._provider.shutdown()


class _Rising:
    """One counter's values less those at the start, and never below what was told before."""

    def __init__(self, instrument: Instrument, base: Iterable[ExporterView]) -> None:
        self._read = instrument.read
        self._base = {_key(labels): v for view in base for labels, v in instrument.read(view)}
        self._told: dict[tuple[tuple[str, str], ...], float] = {}

    def __call__(self, view: ExporterView) -> Series:
        for labels, value in self._read(view):
            key = _key(labels)
            risen = max(value - self._base.get(key, 0), self._told.get(key, 0))
            self._told[key] = risen
            yield labels, risen


def _key(labels: Labels) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(labels.items()))
