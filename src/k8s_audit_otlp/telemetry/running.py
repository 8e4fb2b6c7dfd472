"""What telemetry needs to know of a running agent: telemetry is below the agent and imports none.

`Agent` and its `ExporterRuntime` are what these protocols describe.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.exporters import Exporter
from k8s_audit_otlp.exporter.consumer import Consumer
from k8s_audit_otlp.exporter.gate import Gate
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.telemetry.journal import ExporterJournal


class RunningExporter(Protocol):
    """Everything that works for one exporter."""

    @property
    def name(self) -> str: ...
    @property
    def exporter(self) -> Exporter: ...
    @property
    def consumer(self) -> Consumer: ...
    @property
    def subscriptions(self) -> Sequence[Subscription]: ...
    @property
    def journal(self) -> ExporterJournal: ...
    @property
    def gate(self) -> Gate: ...


class RunningAgent(Protocol):
    """One process's work."""

    @property
    def config(self) -> Config: ...
    @property
    def logs(self) -> Sequence[AuditLog]: ...
    @property
    def exporters(self) -> Sequence[RunningExporter]: ...
    @property
    def commit_error(self) -> str:
        """Why positions cannot be written, '' where they can."""

    def listen(self, tick: Callable[[], None]) -> None:
        """Call *tick* whenever the commit loop comes round."""
