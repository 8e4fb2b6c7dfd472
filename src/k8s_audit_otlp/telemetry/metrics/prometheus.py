"""Prometheus' text format of the metrics.

    k8s_audit_otlp_events_read_total{exporter="otlp_http/siem",receiver="k8s_audit"} 81920

Source: prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

import math
from collections.abc import Iterable, Iterator
from typing import Final

from k8s_audit_otlp.telemetry.metrics.measured import Histogram
from k8s_audit_otlp.telemetry.metrics.table import Family, Labels

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_LABEL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def text_of(families: Iterable[Family]) -> str:
    """Write the metrics, each with its help and type."""
    return "".join(line + "\n" for family in families for line in _lines(family))


def label_text(labels: Labels) -> str:
    return ",".join(f'{k}="{v.translate(_LABEL)}"' for k, v in sorted(labels.items()))


def _lines(family: Family) -> Iterator[str]:
    name = family.name
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    points = ((label_text(labels), value) for labels, value in family.series)
    for labels, value in sorted(points, key=lambda point: point[0]):
        if isinstance(value, Histogram):
            yield from _buckets(name, labels, value)
        else:
            yield f"{name}{_braces(labels)} {_number(value)}"


def _buckets(name: str, labels: str, histogram: Histogram) -> Iterator[str]:
    comma, count = "," if labels else "", 0
    for bound, more in zip((*histogram.bounds, math.inf), list(histogram.counts), strict=True):
        count += more
        yield f'{name}_bucket{{{labels}{comma}le="{_number(bound)}"}} {count}'
    yield f"{name}_sum{_braces(labels)} {_number(histogram.total)}"
    yield f"{name}_count{_braces(labels)} {count}"


def _braces(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
