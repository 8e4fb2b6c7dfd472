"""Reads every metric at one moment: from the views of the running agent, and from the process.

Counters begin at zero with the process and never fall: a stored count that is a second behind after
a crash would look like a reset and count twice. A reload is no new process: they go on.
"""

import os
import platform
import resource
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock

from k8s_audit_otlp import __version__
from k8s_audit_otlp.telemetry.metrics.measured import Histogram
from k8s_audit_otlp.telemetry.metrics.prometheus import label_text, text_of
from k8s_audit_otlp.telemetry.metrics.table import (
    EXPORTER_METRICS,
    PREFIX,
    PROCESS_METRICS,
    Family,
    Labels,
    Series,
)
from k8s_audit_otlp.telemetry.views import ExporterView

Sample = tuple[str, Labels, float]  # of a metric in PROCESS_METRICS


class Metrics:
    """Reads the views once for each answer, so that all numbers of it are of one moment."""

    def __init__(
        self,
        observe: Callable[[], Iterable[ExporterView]],
        base: Iterable[ExporterView] | None = None,
        beside: Callable[[], Iterable[Sample]] = tuple,
    ) -> None:
        """Count from *base*, the views of when the process began; from now by default.

        *beside* gives samples that are about no exporter.
        """
        self._observe = observe
        self._beside = beside
        self._lock = Lock()  # one reading at a time
        base = list(observe() if base is None else base)
        self._rows = [
            (m, _MonotonicCounter(m.read, base) if m.kind == "counter" else m.read)
            for m in EXPORTER_METRICS
        ]

    def families(self) -> list[Family]:
        """Return everything as of now; what has no series is left out."""
        with self._lock:
            views = list(self._observe())
            found = [
                Family(m.name, m.kind, m.unit, m.help, [s for v in views for s in read(v)])
                for m, read in self._rows
            ]
            found += _of_process([*_process_samples(), *self._beside()])
        return [family for family in found if family.series]

    def text(self) -> str:
        """Return everything as of now in Prometheus' format."""
        return text_of(self.families())


class _MonotonicCounter:
    """One counter's values less those at the start, and never below what was told before."""

    def __init__(
        self, read: Callable[[ExporterView], Series], base: Iterable[ExporterView]
    ) -> None:
        self._read = read
        self._base = {label_text(labels): v for view in base for labels, v in read(view)}
        self._reported: dict[str, float] = {}

    def __call__(self, view: ExporterView) -> Series:
        for labels, value in self._read(view):
            key = label_text(labels)
            begin = self._base.get(key, 0)
            assert not isinstance(value, Histogram)  # noqa: S101 - counters are numbers
            assert not isinstance(begin, Histogram)  # noqa: S101 - so are their beginnings
            self._reported[key] = risen = max(value - begin, self._reported.get(key, 0))
            yield labels, risen


def _process_samples() -> Iterator[Sample]:
    build = {"version": __version__, "python": platform.python_version()}
    yield f"{PREFIX}build_info", build, 1
    for name, value in process_values():
        yield name, {}, value


def _of_process(samples: Iterable[Sample]) -> list[Family]:
    families = {
        name: Family(name, kind, unit, help_, [])
        for name, (kind, unit, _, help_) in PROCESS_METRICS.items()
    }
    for name, labels, value in samples:
        families[name].series.append((labels, value))
    return list(families.values())


_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def process_values() -> Iterator[tuple[str, float]]:
    """Yield (name, value); what this system does not tell is left out."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        stat = Path("/proc/stat").read_text(encoding="ascii")
        booted = next(int(line.split()[1]) for line in stat.splitlines() if line[:6] == "btime ")
        descriptors = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names only
    except (OSError, ValueError, IndexError, StopIteration):
        return
    yield "process_cpu_seconds_total", (int(fields[11]) + int(fields[12])) / _TICKS
    yield "process_virtual_memory_bytes", int(fields[20])
    yield "process_resident_memory_bytes", int(fields[21]) * _PAGE
    yield "process_start_time_seconds", booted + int(fields[19]) / _TICKS
    yield "process_open_fds", descriptors
    yield "process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield "process_threads", int(fields[17])
