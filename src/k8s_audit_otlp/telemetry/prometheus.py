"""Metric data of the OpenTelemetry SDK in, Prometheus' text format 0.0.4 out. Pure.

Sums and gauges only: nothing here measures a distribution. The SDK's own Prometheus exporter is a
beta that brings a client library with a registry per process and a label for the scope on every
series; this is the part of it that is needed.
"""

import math
from collections.abc import Iterator, Mapping

from opentelemetry.sdk.metrics.export import Gauge, Metric, MetricsData, NumberDataPoint, Sum

# prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LABEL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


def render(data: MetricsData | None) -> str:
    """Write every sum and gauge of *data*, a metric after the other."""
    if data is None:
        return ""
    metrics = [
        metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    return "".join(line + "\n" for metric in metrics for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    match metric.data:
        case Sum(data_points=points, is_monotonic=True):
            name, kind = f"{metric.name}_total", "counter"
        case Sum(data_points=points) | Gauge(data_points=points):
            name, kind = metric.name, "gauge"
        case _:
            return
    if not points:
        return
    yield f"# HELP {name} {(metric.description or '').translate(_HELP)}"
    yield f"# TYPE {name} {kind}"
    for point in sorted(points, key=_labels_of):
        yield f"{name}{_labels_of(point)} {_number(point.value)}"


def _labels_of(point: NumberDataPoint) -> str:
    attributes: Mapping[str, object] = point.attributes or {}
    pairs = (f'{k}="{str(v).translate(_LABEL)}"' for k, v in sorted(attributes.items()))
    joined = ",".join(pairs)
    return f"{{{joined}}}" if joined else ""


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
