"""What a state directory says of every exporter, for people and programs. Reads only."""

from dataclasses import dataclass

from k8s_audit_otlp.event.formats import left_out
from k8s_audit_otlp.state.checkpoint import Checkpoint, Position
from k8s_audit_otlp.state.manifest import Manifest
from k8s_audit_otlp.telemetry.backlog import backlog_in


@dataclass(frozen=True, slots=True)
class StoredSubscription:
    """How far one exporter is in one log, as of the last checkpoint. Sizes are bytes."""

    log: str
    exporter: str
    segment: str
    offset: int
    backlog_bytes: int
    backlog_estimated: bool
    gone_bytes: int  # deleted before they were delivered
    oldest_unsent_ns: int
    read: int
    delivered: int
    dropped: int  # by a policy
    no_events: int  # lines of something else
    dead_lettered: int
    refused: int
    gaps: int
    balance: int  # read less all other columns: 0 when every record is accounted for


def inspect(checkpoint: Checkpoint) -> list[StoredSubscription]:
    """Return a line for every (log, exporter) that the checkpoint knows."""
    return [
        _stored(log, exporter, position, checkpoint.manifests.get(log, Manifest()))
        for log, exporters in checkpoint.positions.items()
        for exporter, position in exporters.items()
    ]


def _stored(log: str, exporter: str, position: Position, manifest: Manifest) -> StoredSubscription:
    last_ns = {seq: tally.last_ns for seq, tally in position.tallies.items()}
    backlog = backlog_in(manifest.segments, position.settled, lambda seq: last_ns.get(seq, 0))
    current = backlog.first or (manifest.segments[-1] if manifest.segments else None)
    tally = position.total.copy()
    for part in position.tallies.values():
        tally.add(part)
    return StoredSubscription(
        log,
        exporter,
        current.name if current else "",
        position.settled.get(current.seq, 0) if current else 0,
        backlog.bytes,
        backlog.estimated,
        backlog.gone_bytes,
        backlog.oldest_ns,
        tally.read,
        tally.delivered,
        *left_out(tally.dropped),
        tally.dead_lettered,
        tally.refused,
        tally.gaps,
        tally.balance,
    )
