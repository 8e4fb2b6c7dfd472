"""What one can ask a running agent: its listener, metrics, status file and runway warnings.

Made before the agent starts, so that counters begin there; `tick` is called whenever the commit
loop comes round, `start` after the agent has started.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from k8s_audit_otlp.apiserver.settings import MANIFEST
from k8s_audit_otlp.state.checkpoint import CheckpointFile, StateError
from k8s_audit_otlp.telemetry.agent_views import exporter_views, health, life, stored_views
from k8s_audit_otlp.telemetry.health import Beat
from k8s_audit_otlp.telemetry.measured import History
from k8s_audit_otlp.telemetry.report import Reporter
from k8s_audit_otlp.telemetry.running import RunningAgent
from k8s_audit_otlp.telemetry.runways import Runways
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView

if TYPE_CHECKING:
    from k8s_audit_otlp.telemetry.metrics import Metrics
    from k8s_audit_otlp.telemetry.server import StatusServer

LOOK_S = 1.0  # how often growth is measured


class Status:
    """Everything that one can ask a running agent."""

    def __init__(
        self,
        agent: RunningAgent,
        manifest: Path = MANIFEST,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.runways = Runways(manifest, monotonic=monotonic)
        self._agent = agent
        self._monotonic = monotonic
        self._beat = Beat(monotonic)
        self._looked = monotonic() - LOOK_S
        self._metrics: Metrics | None = None
        self._server: StatusServer | None = None
        self._clock = clock
        self._history = History()
        self._reporter = Reporter(
            Path(agent.config.service.state_dir),
            agent.exporters,
            commit_error=lambda: agent.commit_error,
            runway_s=self.runway_s,
            clock=clock,
        )
        agent.listen(self.tick)
        self._base = _stored(Path(agent.config.service.state_dir)) if self._address else []

    @property
    def _address(self) -> str:
        return self._agent.config.service.telemetry.metrics.address or ""

    def start(self) -> str | None:
        """Listen where the configuration says; return the address, None where it says nowhere.

        Raises:
            OSError: the address is taken or not of this host.
            ValueError: it is no address.

        """
        agent = self._agent
        if not self._address:
            return None
        from k8s_audit_otlp.telemetry.metrics import Metrics  # noqa: PLC0415 - slow to import
        from k8s_audit_otlp.telemetry.page import status_of  # noqa: PLC0415
        from k8s_audit_otlp.telemetry.server import Answers, StatusServer  # noqa: PLC0415

        self._metrics = Metrics(lambda: exporter_views(agent, self.runways), self._base)

        def look() -> HealthView:
            return health(agent, self._beat.age_s, self.runways)

        self._server = StatusServer(
            self._address,
            Answers(
                self._metrics.text,
                look,
                lambda: life(agent, self._beat.age_s),
                lambda: status_of(agent, look(), self._history, self._clock()),
            ),
        )
        return self._server.start()

    def tick(self) -> None:
        """Show that the loop comes round; about once a second, see how fast the logs grow."""
        self._beat()
        now = self._monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        self._history.look(now, {r.name: r.journal.counts.delivered for r in self._agent.exporters})
        self.runways.look(self._agent.logs)
        for runtime in self._agent.exporters:
            window_s = runtime.exporter.limits.max_age_s or None
            for subscription in runtime.subscriptions:
                self.runways.warn(subscription, window_s)
        self._reporter.write()

    def runway_s(self, exporter: str) -> float | None:
        """Return the shortest runway that an exporter has in any log."""
        left = [
            self.runways.seconds(subscription, runtime.exporter.limits.max_age_s or None)
            for runtime in self._agent.exporters
            if runtime.name == exporter
            for subscription in runtime.subscriptions
        ]
        return min((seconds for seconds in left if seconds is not None), default=None)

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


def _stored(state_dir: Path) -> list[ExporterView]:
    try:
        return stored_views(CheckpointFile(state_dir).load().checkpoint)
    except StateError:
        return []  # the agent will say so, and not start
