"""`state_dir/status.json`: what `status` shows of a running agent beside the positions.

Written about once a second and never synced: it says how things are now, and nothing depends on it.
A full disk has no room for another file, so there it is written over in its place.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from k8s_audit_otlp.state.files import open_private, read_file, replace_file
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.telemetry.alerts import Alerts
from k8s_audit_otlp.telemetry.health import CONFIG_REFUSED_TEXT, LATE_S, readiness
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, ReloadAnswer, SourceView

FILE_NAME = "status.json"
FRESH_S = 5.0  # an older report is of an agent that has stopped, hangs or cannot write it
_ROOM_BYTES = 2048  # a report has blanks behind it, so that a longer one fits into its place


class StatusReport(msgspec.Struct):
    """The agent as it was at a moment, in seconds since the epoch."""

    pid: int
    at: float
    not_ready: Sequence[str] = ()  # what /readyz has against it
    verdict: str = ""  # what the page says first: whether anything is being lost
    kind: str = ""  # good, warn or bad
    alerts: Sequence[str] = ()  # what the rules for Prometheus would say by now
    config_refused: bool = False
    exporters: Sequence[ExporterView] = ()
    sources: Sequence[SourceView] = ()
    reload: ReloadAnswer = msgspec.field(default_factory=ReloadAnswer)

    @property
    def troubles(self) -> list[str]:
        """What is wrong with the agent as a whole, a line each."""
        lines = [f"not ready: {reason}" for reason in self.not_ready]
        says = self.config_refused and CONFIG_REFUSED_TEXT not in self.verdict
        return [*lines, f"the {CONFIG_REFUSED_TEXT}"] if says else lines


class Reporter:
    """Writes how the agent of a state directory is."""

    def __init__(
        self,
        state_dir: Path,
        health: Callable[[], HealthView],
        verdict: Callable[[HealthView], tuple[str, str]],
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._health = health
        self._verdict = verdict
        self._clock = clock
        self._path = state_dir / FILE_NAME
        self._alerts = Alerts(monotonic)

    def write(self) -> None:
        view, now = self._health(), self._clock()
        exporters = [replace(e, rates=e.rates[-1:], requests=None) for e in view.exporters]
        reasons = readiness(view).reasons
        report = StatusReport(
            os.getpid(),
            now,
            reasons,
            *self._verdict(view),
            self._alerts.look(view, now),
            view.config_refused,
            exporters,
            view.sources,
            view.reload,
        )
        data = msgspec.json.format(msgspec.json.encode(report), indent=1)
        data = data.ljust((len(data) // _ROOM_BYTES + 2) * _ROOM_BYTES)
        try:
            replace_file(self._path, lambda file: file.write(data), durable=False)
        except OSError:
            self._write_over(data)

    def _write_over(self, data: bytes) -> None:
        """Write where a report is: what it takes on the disk is its own already."""
        with suppress(OSError):  # the checkpoint meets the same trouble, and says so
            fd = open_private(self._path, os.O_WRONLY)
            try:
                room = max(os.fstat(fd).st_size, len(data.rstrip()))
                os.pwrite(fd, data.ljust(room)[:room], 0)
            finally:
                os.close(fd)


class AgentState(NamedTuple):
    """The agent that uses a state directory, as far as it can be known without asking it."""

    report: StatusReport | None  # None where none is fresh
    holder: str | None  # the process that holds the lock, None where nobody does
    alerts: Sequence[str] = ()  # what should wake somebody
    last: StatusReport | None = None  # what the one before said, where none runs

    @property
    def pid(self) -> int | None:
        if self.report is not None:
            return self.report.pid
        return int(self.holder) if self.holder and self.holder.isdecimal() else None

    @property
    def line(self) -> str:
        if self.report is not None:
            return f"agent {self.report.pid} is running. {self.report.verdict}".rstrip()
        if self.holder is None:
            said = f"; the last one said: {self.last.verdict}" if self.last else ""
            return f"no agent is running; start one with run{said}"
        return (
            f"process {self.holder} uses it, and has not told how it is in the last "
            f"{FRESH_S:.0f} s: it begins, it hangs, or nothing can be written here "
            "(see `df` and its log)"
        )


def agent_now(state_dir: Path, now: float) -> AgentState:
    """Return what is known of the agent that runs with *state_dir*. A report outlives its agent."""
    last = last_report(state_dir)
    try:
        holder = StateLock(state_dir).holder()
        told_at = (state_dir / "lock").stat().st_mtime if holder else 0.0
    except OSError:  # the lock is another user's: the report's age must do
        holder, told_at = (str(last.pid) if last and _fresh(last, now) else None), 0.0
    if holder is None:
        return AgentState(None, None, ["no agent is running"], last)
    if last and holder != str(last.pid) and holder.isdecimal():
        last = None  # of its predecessor
    if now - max(told_at, last.at if last else 0.0) > LATE_S:
        return AgentState(None, holder, [f"it has not told how it is for {LATE_S:.0f} s"])
    alerts = last.alerts if last else ()
    return AgentState(last if last and _fresh(last, now) else None, holder, alerts)


def _fresh(report: StatusReport, now: float) -> bool:
    return abs(now - report.at) <= FRESH_S


def last_report(state_dir: Path) -> StatusReport | None:
    """Return what the last agent of a state directory has told, however long ago."""
    try:
        return msgspec.json.decode(read_file(state_dir / FILE_NAME), type=StatusReport)
    except (OSError, msgspec.MsgspecError):
        return None
