"""Pushes the agent's own metrics over OTLP/HTTP, through the exporter of the OpenTelemetry SDK.

The names are those that are scraped, so that one dashboard fits both ways. Everything is
cumulative since the process began.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from threading import Event, Thread
from typing import Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from k8s_audit_otlp import __version__
from k8s_audit_otlp.config.addresses import with_path
from k8s_audit_otlp.config.service import MetricsPush
from k8s_audit_otlp.otlp.resource import build_resource
from k8s_audit_otlp.telemetry.logs import logger
from k8s_audit_otlp.telemetry.metrics.measured import Histogram
from k8s_audit_otlp.telemetry.metrics.table import Family, Labels, Value

_TIMEOUT_S: Final = 10.0
_CUMULATIVE: Final = export.AggregationTemporality.CUMULATIVE
_UNITS: Final = {"seconds": "s", "bytes": "By", "1": "1", "boolean": "1"}  # ucum.org


class MetricsPusher:
    """Pushes in a thread of its own; a push that fails is said and made up for by the next."""

    def __init__(
        self,
        block: MetricsPush,
        read: Callable[[], list[Family]],
        env: Mapping[str, str],
    ) -> None:
        """*read* gives everything as of now."""
        assert block.endpoint is not None  # noqa: S101 - else nobody makes a pusher
        self._read = read
        self._resource = own_resource(env)
        self._interval_s = block.interval_s
        self._since_ns = time.time_ns()
        self._stop = Event()
        self._exporter = OTLPMetricExporter(
            endpoint=with_path(block.endpoint, "v1/metrics").resolve(),
            headers={name: value.resolve() for name, value in block.headers.items()},
            certificate_file=block.ca_file,
            timeout=_TIMEOUT_S,
        )
        # its own lines may hold what a back end answers
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._thread = Thread(target=self._run, name="push metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Push once more, and no more."""
        self._stop.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while True:
            last = self._stop.wait(self._interval_s)
            self.push()
            if last:
                return

    def push(self) -> bool:
        """Push once; say whether it was taken."""
        now_ns = time.time_ns()
        data = metrics_data(self._read(), self._resource, self._since_ns, now_ns)
        taken = self._exporter.export(data) is export.MetricExportResult.SUCCESS
        if not taken:
            text = "the agent's own metrics could not be pushed; events are not concerned"
            logger.warning("push_failed", text)
        return taken


def own_resource(env: Mapping[str, str]) -> Resource:
    """Return what names this process; OTEL_RESOURCE_ATTRIBUTES adds to it."""
    of_log = build_resource({}, env)
    own = {"service.name": "k8s-audit-otlp", "service.version": __version__}
    return of_log.merge(Resource(own))


def metrics_data(
    families: Iterable[Family], resource: Resource, since_ns: int, now_ns: int
) -> export.MetricsData:
    """Return the metrics in the SDK's form."""
    metrics = [
        export.Metric(
            family.name,
            family.help,
            _UNITS.get(family.unit, f"{{{family.unit}}}"),
            _data(family, since_ns, now_ns),
        )
        for family in families
    ]
    scope = InstrumentationScope("k8s-audit-otlp", __version__)
    return export.MetricsData(
        [export.ResourceMetrics(resource, [export.ScopeMetrics(scope, metrics, "")], "")]
    )


def _data(
    family: Family, since_ns: int, now_ns: int
) -> export.Sum | export.Gauge | export.Histogram:
    if family.kind == "histogram":
        points = [
            _histogram(labels, value, since_ns, now_ns)
            for labels, value in family.series
            if isinstance(value, Histogram)
        ]
        return export.Histogram(points, _CUMULATIVE)
    numbers = [_number(labels, value, since_ns, now_ns) for labels, value in family.series]
    if family.kind == "counter":
        return export.Sum(numbers, _CUMULATIVE, is_monotonic=True)
    return export.Gauge(numbers)


def _number(labels: Labels, value: Value, since_ns: int, now_ns: int) -> export.NumberDataPoint:
    assert not isinstance(value, Histogram)  # noqa: S101 - the family's kind says so
    return export.NumberDataPoint(dict(labels), since_ns, now_ns, value)


def _histogram(
    labels: Labels, value: Histogram, since_ns: int, now_ns: int
) -> export.HistogramDataPoint:
    counts = list(value.counts)
    return export.HistogramDataPoint(
        dict(labels),
        since_ns,
        now_ns,
        sum(counts),
        value.total,
        counts,
        list(value.bounds),
        min=-math.inf,  # not known
        max=math.inf,
    )
