"""Plain values about a running agent: for metrics, health, page and status.

Nothing is stopped for it: each number is right, and all of them are of about the same moment.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from itertools import groupby

from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.telemetry.backlog import backlog_of
from k8s_audit_otlp.telemetry.log_access import LogAccess
from k8s_audit_otlp.telemetry.running_agent import ExporterRuntime, RunningAgent
from k8s_audit_otlp.telemetry.runway import Runways
from k8s_audit_otlp.telemetry.source_views import source_views
from k8s_audit_otlp.telemetry.views import ExporterView, HealthView, LogView, ReceiverView


def exporter_views(agent: RunningAgent, runways: Runways | None = None) -> list[ExporterView]:
    return [_exporter(runtime, runways) for runtime in agent.exporters]


def events_read(views: Sequence[ExporterView]) -> int:
    """Return how many events were read, however many exporters they were read for."""
    most: dict[str, int] = {}
    for view in views:
        for receiver in view.receivers:
            most[receiver.receiver] = max(receiver.read, most.get(receiver.receiver, 0))
    return sum(most.values())


def health_view(
    agent: RunningAgent, runways: Runways | None = None, access: LogAccess | None = None
) -> HealthView:
    """Return how what it reads and delivers is; whether it works at all says `process_view`."""
    troubles = (access or LogAccess())(agent.logs)
    read = {log.key.receiver for log in agent.logs}
    return HealthView(
        [
            LogView(str(log.path), trouble, log.watched)
            for log, trouble in zip(agent.logs, troubles, strict=True)
        ]
        + [
            LogView(", ".join(receiver.include), "nothing is read of it yet")
            for name, receiver in agent.config.receivers.items()
            if name not in read
        ],
        exporter_views(agent, runways),
        commit_error=agent.commit_error,
        sources=source_views(agent),
    )


def process_view(agent: RunningAgent, beat_age_s: float = 0.0) -> HealthView:
    """Return what says whether the process works at all. Touches no file.

    *beat_age_s*: since its commit loop last came round.
    """
    dead = list(_dead_threads(agent)) if agent.works else ()
    return HealthView(dead_threads=dead, beat_age_s=beat_age_s)


def _exporter(runtime: ExporterRuntime, runways: Runways | None) -> ExporterView:
    window_s = runtime.exporter.limits.max_age_s or None
    by_receiver = groupby(runtime.subscriptions, lambda s: s.log.key.receiver)
    counts, gate = runtime.journal.counts, runtime.gate
    return ExporterView(
        runtime.name,
        [_receiver(name, list(of), runways, window_s) for name, of in by_receiver],
        runtime.consumer.in_flight,
        gate.waiting,
        gate.stalled,
        dict(counts.gaps),
        dict(counts.retries),
        gate.last_acknowledged_at,
        counts.delivered_bytes,
        counts.lag_s,
        counts.sent,
        dict(counts.redactions),
        tuple(counts.recent),
        counts.last_retry,
        counts.last_retry_at,
        gate.retry_at,
        gate.unanswered_s,
        gate.stalled or gate.last_error,
        gate.last_error_at,
        endpoint=runtime.journal.endpoint,
    )


def _receiver(
    name: str,
    subscriptions: Sequence[Subscription],
    runways: Runways | None,
    window_s: float | None,
) -> ReceiverView:
    tally, now_ns = Tally(), time.time_ns()
    for subscription in subscriptions:
        tally.add(subscription.tally())
    backlogs = [backlog_of(subscription) for subscription in subscriptions]
    left = [runways.seconds(c, window_s) for c in subscriptions] if runways else []
    read_ns = (s.state.last_ns for c in subscriptions for s in c.log.segments())
    last_ns = max((tally.last_ns, *read_ns))  # a segment knows it of lines of an apiserver's form
    return ReceiverView(
        name,
        tally.read,
        tally.delivered,
        dict(tally.dropped),
        tally.refused,
        tally.dead_lettered,
        backlog_bytes=sum(backlog.bytes for backlog in backlogs),
        backlog_estimated=any(backlog.estimated for backlog in backlogs),
        backlog_s=max(backlog.age_s(now_ns) for backlog in backlogs),
        runway_s=min((seconds for seconds in left if seconds is not None), default=None),
        gone_bytes=sum(backlog.gone_bytes for backlog in backlogs),
        only_here_bytes=sum(backlog.only_here_bytes for backlog in backlogs),
        held_bytes=sum(s.state.size for c in subscriptions for s in c.log.segments() if s.unlinked),
        last_event_at=last_ns / 1e9 if last_ns else None,
    )


def _dead_threads(agent: RunningAgent) -> Iterator[str]:
    """Name the readers, senders and watchers that should run and do not."""
    alive = {thread.name for thread in threading.enumerate()}
    wanted = [f"watch {log.key}" for log in agent.logs]
    for runtime in agent.exporters:
        senders = runtime.exporter.sending_queue.num_consumers
        wanted.append(f"read {runtime.name}")
        wanted += [f"send {runtime.name} {i}" for i in range(senders)]
    return (name for name in wanted if name not in alive)
