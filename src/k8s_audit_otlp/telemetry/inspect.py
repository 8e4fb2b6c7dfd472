"""A state directory in, what it says for people and programs out. Reads, never writes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from k8s_audit_otlp.state.checkpoint import Checkpoint, Position
from k8s_audit_otlp.state.manifest import ManifestState, SegmentState


@dataclass(frozen=True, slots=True)
class Consumed:
    """How far one exporter is in one log, as of the last checkpoint. Sizes are bytes."""

    log: str
    exporter: str
    segment: str
    offset: int
    backlog_bytes: int
    oldest_unsent_ns: int
    read: int
    delivered: int
    dropped: int
    dead_lettered: int
    refused: int
    gaps: int
    balance: int  # read less all other columns: 0 when every record is accounted for
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        plain = asdict(self)
        return {**plain.pop("extra"), **plain}


def inspect(checkpoint: Checkpoint) -> list[Consumed]:
    """Return a line for every (log, exporter) that the checkpoint knows."""
    return [
        _consumed(log, exporter, position, checkpoint.manifests.get(log, ManifestState()))
        for log, exporters in checkpoint.positions.items()
        for exporter, position in exporters.items()
    ]


def _consumed(log: str, exporter: str, position: Position, manifest: ManifestState) -> Consumed:
    unsent = [s for s in manifest.segments if _left(s, position) > 0 and not s.gone]
    current = unsent[0] if unsent else (manifest.segments[-1] if manifest.segments else None)
    tally = position.total.copy()
    for part in position.tallies.values():
        tally.add(part)
    return Consumed(
        log,
        exporter,
        current.name if current else "",
        position.settled.get(current.seq, 0) if current else 0,
        sum(_left(s, position) for s in unsent),
        unsent[0].seen_ns if unsent else 0,
        tally.read,
        tally.delivered,
        sum(tally.dropped.values()),
        tally.dead_lettered,
        tally.refused,
        tally.gaps,
        tally.balance,
    )


def _left(segment: SegmentState, position: Position) -> int:
    return max(0, segment.size - position.settled.get(segment.seq, 0))
