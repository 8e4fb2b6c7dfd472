"""Plain values about the sources of a running agent and the spools that they write."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from k8s_audit_otlp.config.sources import log_id
from k8s_audit_otlp.telemetry.running_agent import RunningAgent, RunningSource
from k8s_audit_otlp.telemetry.views import SourceView, SpoolView


def source_views(agent: RunningAgent) -> list[SourceView]:
    """Return how every source is, with what it counted before a reload."""
    sources = agent.sources
    return [
        _added(
            SourceView(
                name,
                sources.addresses.get(name, ""),
                running.alive,
                running.trouble,
                running.left_out,
                dict(running.answers),
                [*_spools(agent, name, running)],
                running.lag.behind_s if running.lag else None,
                running.lag.waiting if running.lag else {},
            ),
            sources.earlier,
        )
        for name, running in list(sources.running.items())
    ]


def _added(view: SourceView, earlier: Mapping[str, SourceView]) -> SourceView:
    before = earlier.get(view.source, SourceView(view.source, ""))
    spools = {spool.receiver: spool for spool in before.spools}
    more = ((spool, spools.get(spool.receiver, SpoolView(spool.receiver))) for spool in view.spools)
    counts = "taken", "repeated", "refused"
    return replace(
        view,
        left_out=view.left_out + before.left_out,
        answers=dict(Counter(view.answers) + Counter(before.answers)),
        spools=[replace(a, **{n: getattr(a, n) + getattr(b, n) for n in counts}) for a, b in more],
    )


def _spools(agent: RunningAgent, source: str, running: RunningSource) -> Iterator[SpoolView]:
    config, risks = agent.config.sources[source], running.risks
    for cluster in config.clusters_served():
        receiver = log_id(source, cluster)
        if (spool := agent.sources.spools.get(receiver)) is not None:
            yield SpoolView(
                receiver,
                spool.written,
                spool.repeated,
                spool.refused,
                spool.used_bytes,
                config.spool.max_bytes,
                spool.trouble,
                risks.get(cluster, ""),
            )


def spool_rooms(agent: RunningAgent) -> dict[str, int]:
    """Return how many undelivered bytes fit into each spool, by the receiver that reads it.

    The newest backup stays, and of the live segment what is delivered stays too.
    """
    config = agent.config
    bounds = {log: config.sources[source].spool for source, _, log in config.spools()}
    return {log: max(0, b.max_bytes - 2 * b.segment_bytes) for log, b in bounds.items()}
