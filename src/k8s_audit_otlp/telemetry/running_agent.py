"""What telemetry needs to know of a running agent: telemetry is below the agent and imports none.

`Agent` and its sources are what these protocols describe.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.exporter.backpressure import Gate
from k8s_audit_otlp.exporter.consumer import Consumer
from k8s_audit_otlp.exporter.dead_letter import DeadLetterFile
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.sources.fetching import Lag, Lost
from k8s_audit_otlp.receiver.spool.spool import Spool
from k8s_audit_otlp.telemetry.journal import ExporterJournal
from k8s_audit_otlp.telemetry.views import SourceView
from k8s_audit_otlp.transport.sender import Sender


@dataclass(slots=True, eq=False)
class ExporterRuntime:
    """Everything that works for one exporter."""

    name: str
    exporter: Exporter
    consumer: Consumer
    subscriptions: list[Subscription]
    journal: ExporterJournal
    gate: Gate
    sender: Sender
    dead_letters: DeadLetterFile


class RunningSource(Protocol):
    """What takes events that are in no file."""

    @property
    def alive(self) -> bool: ...
    @property
    def trouble(self) -> str:
        """Why nothing may come, '' as a rule."""

    @property
    def left_out(self) -> int:
        """Count what came and held no audit event."""

    @property
    def lag(self) -> Lag | None:
        """How far it is behind, None where it takes what it is given."""

    @property
    def lost(self) -> Sequence[Lost]:
        """Say what a service deleted before it was read."""

    @property
    def answers(self) -> Mapping[str, int]:
        """Count its answers by status, where it is asked; `tls`: handshakes that failed."""

    @property
    def risks(self) -> Mapping[str, str]:
        """Say for which cluster the apiserver's own buffer is at risk, and why."""

    on_record: int  # how many of `lost` are on disk, as notices for everyone

    def start(self) -> str:
        """Begin, and return where it listens or reads. Raise OSError where it cannot."""

    def look(self) -> None:
        """Take up what has changed; called about once a second."""

    def stop(self, within_s: float) -> None:
        """Take nothing more; return within so many seconds, though it may not be done."""


class RunningSources(Protocol):
    """All of them, and the spools that they write."""

    @property
    def running(self) -> Mapping[str, RunningSource]: ...
    @property
    def spools(self) -> Mapping[str, Spool]:
        """By the id of the receiver that reads it."""

    @property
    def addresses(self) -> Mapping[str, str]: ...
    @property
    def earlier(self) -> Mapping[str, SourceView]:
        """What each had counted before the last reload."""


class RunningAgent(Protocol):
    """One process's work."""

    @property
    def config(self) -> Config: ...
    @property
    def logs(self) -> Sequence[AuditLog]: ...
    @property
    def exporters(self) -> Sequence[ExporterRuntime]: ...
    @property
    def works(self) -> bool:
        """Whether its threads should run: it has begun, and not begun to end."""

    @property
    def sources(self) -> RunningSources: ...
    @property
    def commit_error(self) -> str:
        """Why positions cannot be written, '' where they can."""

    def listen(self, tick: Callable[[], None]) -> None:
        """Call *tick* whenever the commit loop comes round."""
