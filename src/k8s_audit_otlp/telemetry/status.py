"""What one can ask a running agent: its listener, metrics, status file and runway warnings.

`start` is called when an agent has taken up its positions and sends nothing yet, so that counters
begin there; `tick` whenever the commit loop comes round, `follow` before another agent starts.
"""

import os
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k8s_audit_otlp.apiserver.settings import MANIFEST
from k8s_audit_otlp.telemetry.agent_views import (
    events_read,
    exporter_views,
    health_view,
    process_view,
)
from k8s_audit_otlp.telemetry.health import KEPT_OUT_TEXT, Cached
from k8s_audit_otlp.telemetry.log_access import LogAccess
from k8s_audit_otlp.telemetry.metrics.measured import History
from k8s_audit_otlp.telemetry.page import headline, status_of, verdict
from k8s_audit_otlp.telemetry.running_agent import RunningAgent
from k8s_audit_otlp.telemetry.runway import Runways
from k8s_audit_otlp.telemetry.source_views import spool_rooms
from k8s_audit_otlp.telemetry.status_file import Reporter
from k8s_audit_otlp.telemetry.views import HealthView, LogView, ReloadAnswer

if TYPE_CHECKING:
    from k8s_audit_otlp.config.service import ApiserverMetrics, MetricsPush
    from k8s_audit_otlp.telemetry.listener.get_server import GetServer
    from k8s_audit_otlp.telemetry.metrics.apiserver import ApiserverReader
    from k8s_audit_otlp.telemetry.metrics.push import MetricsPusher
    from k8s_audit_otlp.telemetry.metrics.registry import Metrics

_STOP_S = 2.0  # how long the end of the listener is waited for
LOOK_S = 1.0  # how often growth is measured


class AgentStatus:
    """Everything that one can ask the running agent, also while a reload puts another in its place.

    The listener, the counters and the rates are the process's: they outlive an agent.
    """

    def __init__(self, agent: RunningAgent, manifest: Path = MANIFEST) -> None:
        self.runways = Runways(manifest)
        self.config_refused = False  # by the last reload
        self.reload = ReloadAnswer()  # to the last who asked
        self.kept_out: Collection[Path] = ()  # logs that are not read as the configuration is wrong
        self._beaten = time.monotonic()  # when the commit loop last came round
        self._looked = time.monotonic() - LOOK_S
        self._metrics: Metrics | None = None
        self._server: GetServer | None = None
        self._apiserver: ApiserverReader | None = None
        self._beside: dict[str, tuple[Any, ApiserverReader | MetricsPusher]] = {}
        self._served = ""  # the address as it is configured
        self._address: str | None = None  # as it is bound
        self._history = History()
        self._access = LogAccess()
        self._health = Cached(self._look)  # what page, /readyz and /metrics say is of one look
        self._agent = self._next = agent
        state_dir = Path(agent.config.service.state_dir)
        self._reporter = Reporter(state_dir, self._health, verdict)
        agent.listen(self.tick)

    def follow(self, agent: RunningAgent) -> None:
        """Take *agent* for the next one: what is told is the old one's until `start`."""
        self._next = agent
        agent.listen(self.tick)

    def start(self) -> str | None:
        """Tell of the agent that is about to work, and listen where its configuration says.

        Return the address, None where it says nowhere. What is listened at already goes on.

        Raise OSError where the address is taken or not of this host.
        """
        agent, wanted = self._next, _address_of(self._next)
        if wanted != self._served:
            old, self._server = self._server, self._listen(wanted, agent) if wanted else None
            self._served = wanted
            if old is not None:
                old.stop(_STOP_S)
            if self._server is None:
                self._address = None
        self._agent = agent
        self._start_beside(agent)
        return self._address

    def _start_beside(self, agent: RunningAgent) -> None:
        """Begin to push, and to ask the apiserver, where the configuration says so."""
        telemetry = agent.config.service.telemetry
        wanted: dict[str, Any] = {}
        if telemetry.apiserver.url is not None:
            wanted["apiserver"] = telemetry.apiserver
        if telemetry.metrics.otlp.endpoint is not None:
            wanted["push"] = telemetry.metrics.otlp
        for name, (block, running) in list(self._beside.items()):
            if wanted.get(name) != block:
                del self._beside[name]
                running.stop()
                self._apiserver = None if running is self._apiserver else self._apiserver
        for name, block in wanted.items():
            if name not in self._beside:
                running = self._reader(block) if name == "apiserver" else self._pusher(block, agent)
                self._beside[name] = block, running
                running.start()

    def _reader(self, block: "ApiserverMetrics") -> "ApiserverReader":
        from k8s_audit_otlp.telemetry.metrics.apiserver import ApiserverReader  # noqa: PLC0415

        self._apiserver = ApiserverReader(block, lambda: events_read(exporter_views(self._agent)))
        return self._apiserver

    def _pusher(self, block: "MetricsPush", agent: RunningAgent) -> "MetricsPusher":
        from k8s_audit_otlp.telemetry.metrics.push import MetricsPusher  # noqa: PLC0415 - the SDK

        return MetricsPusher(block, self._metrics_of(agent).families, os.environ)

    def _metrics_of(self, agent: RunningAgent) -> "Metrics":
        from k8s_audit_otlp.telemetry.metrics.health_samples import (  # noqa: PLC0415 - slow
            health_samples,
        )
        from k8s_audit_otlp.telemetry.metrics.registry import Metrics  # noqa: PLC0415

        if self._metrics is None:
            self._metrics = Metrics(
                lambda: self._health().exporters,
                exporter_views(agent),
                lambda: health_samples(self._health()),
            )
        return self._metrics

    def _listen(self, address: str, agent: RunningAgent) -> "GetServer":
        from k8s_audit_otlp.telemetry.listener.endpoints import status_server  # noqa: PLC0415

        server = status_server(
            address,
            metrics=self._metrics_of(agent).text,
            health=self._health,
            process=lambda: process_view(self._agent, time.monotonic() - self._beaten),
            status=lambda: status_of(self._agent, self._health(), time.time()),
        )
        self._address = server.start()
        return server

    def _look(self) -> HealthView:
        view = health_view(self._agent, self.runways, self._access)
        kept_out = [LogView(str(path), KEPT_OUT_TEXT) for path in sorted(self.kept_out)]
        refused, answer = self.config_refused, self.reload
        exporters = [replace(e, rates=self._history.rates(e.exporter)) for e in view.exporters]
        view = replace(view, logs=[*view.logs, *kept_out], exporters=exporters)
        asked = self._apiserver.view() if self._apiserver else None
        return replace(view, config_refused=refused, reload=answer, apiserver=asked)

    def headline(self) -> str:
        """Return in a line what the page says first."""
        return headline(self._health())

    def tick(self) -> None:
        """Show that the loop comes round; about once a second, see how fast the logs grow."""
        self._beaten = now = time.monotonic()
        if now - self._looked < LOOK_S:
            return
        self._looked = now
        self._history.look(now, {r.name: r.journal.counts.delivered for r in self._agent.exporters})
        self.runways.look(self._agent.logs, spool_rooms(self._agent))
        for runtime in self._agent.exporters:
            window_s = runtime.exporter.limits.max_age_s or None
            for subscription in runtime.subscriptions:
                self.runways.warn(subscription, window_s)
        self._reporter.write()

    def stop(self) -> None:
        for _, running in self._beside.values():
            running.stop()
        if self._server is not None:
            self._server.stop(_STOP_S)


def _address_of(agent: RunningAgent) -> str:
    return agent.config.service.telemetry.metrics.address or ""
