"""`state_dir/status.json`: what `status` shows of a running agent beside the positions.

Written about once a second and never synced: it says how things are now, and nothing depends on it.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from k8s_audit_otlp.state.files import replace_file
from k8s_audit_otlp.telemetry.running import RunningExporter
from k8s_audit_otlp.telemetry.views import SourceView

FILE_NAME = "status.json"
FRESH_S = 5.0  # an older report is of an agent that has stopped or hangs


class ExporterReport(msgspec.Struct, omit_defaults=True):
    """One exporter now. Times are seconds since the epoch, rates records a second."""

    exporter: str
    state: str  # delivering | idle | in back-off | stalled
    in_flight: int = 0
    last_error: str = ""
    last_error_at: float = 0.0
    retry_at: float = 0.0
    last_acknowledged_at: float = 0.0
    rate: float = 0.0
    runway_s: float | None = None


class StatusReport(msgspec.Struct):
    pid: int
    at: float
    commit_error: str = ""
    exporters: list[ExporterReport] = []
    sources: list[SourceView] = []


class Reporter:
    """Writes the report of one agent."""

    def __init__(
        self,
        state_dir: Path,
        exporters: Sequence[RunningExporter],
        *,
        commit_error: Callable[[], str],
        sources: Callable[[], list[SourceView]],
        runway_s: Callable[[str], float | None],
        clock: Callable[[], float],
    ) -> None:
        """*runway_s*: of an exporter, by its id."""
        self._exporters = exporters
        self._commit_error = commit_error
        self._sources = sources
        self._runway_s = runway_s
        self._clock = clock
        self._path = state_dir / FILE_NAME
        self._delivered: dict[str, tuple[float, int]] = {}

    def write(self) -> None:
        report = StatusReport(
            os.getpid(),
            self._clock(),
            self._commit_error(),
            [self._exporter(runtime) for runtime in self._exporters],
            self._sources(),
        )
        data = msgspec.json.format(msgspec.json.encode(report), indent=1)
        try:
            replace_file(self._path, lambda file: file.write(data), durable=False)
        except OSError:
            return  # the checkpoint meets the same trouble, and says so

    def _exporter(self, runtime: RunningExporter) -> ExporterReport:
        gate, now = runtime.gate, self._clock()
        delivered = runtime.journal.counts.delivered
        before_at, before = self._delivered.get(runtime.name, (now - 1.0, delivered))
        self._delivered[runtime.name] = (now, delivered)
        sending = runtime.consumer.sending
        if gate.stalled:
            state = "stalled"
        elif gate.waiting:
            state = "in back-off"
        else:
            state = "delivering" if sending else "idle"
        return ExporterReport(
            runtime.name,
            state,
            runtime.consumer.in_flight,
            gate.stalled or gate.last_error,
            gate.last_error_at,
            gate.retry_at if gate.waiting else 0.0,
            gate.last_acknowledged_at,
            (delivered - before) / max(0.1, now - before_at),
            self._runway_s(runtime.name),
        )


def read_report(state_dir: Path, now: float) -> StatusReport | None:
    """Return what a running agent says of itself; None where none runs."""
    try:
        report = msgspec.json.decode((state_dir / FILE_NAME).read_bytes(), type=StatusReport)
    except (OSError, msgspec.MsgspecError):
        return None
    return report if now - report.at <= FRESH_S else None
