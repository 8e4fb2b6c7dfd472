"""How much of a log an exporter has not settled, and how old that is; what became of the rest.

The one place that computes it, for a running agent and for a stored position alike: bytes as they
are when unpacked, an estimate where nobody has unpacked them; the age is that of the oldest event
that is not settled.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from k8s_audit_otlp.event.formats import left_out
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.state.checkpoint import Checkpoint, Position
from k8s_audit_otlp.state.manifest import Manifest, SegmentState


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one exporter has before it in one or more logs."""

    bytes: int = 0
    estimated: bool = False  # some of it is packed, and nobody has unpacked it yet
    oldest_ns: int = 0  # time of the oldest event in it, 0 where there is none
    first: SegmentState | None = None  # the segment that it begins in
    gone_bytes: int = 0  # deleted before they were read: the gaps that are still to come
    only_here_bytes: int = 0  # of `bytes`: their files are deleted, a restart loses them

    def age_s(self, now_ns: int) -> float:
        """Return how old its oldest event is, 0 where there is none."""
        return max(0.0, (now_ns - self.oldest_ns) / 1e9) if self.oldest_ns else 0.0


def backlog_in(
    segments: Iterable[SegmentState],
    settled: Mapping[int, int],
    last_ns: Callable[[int], int],
    opened: Mapping[int, int] | None = None,
    unlinked: Collection[int] = (),
) -> Backlog:
    """Return what of *segments*, oldest first, can still be delivered and is not settled.

    *settled* is an offset by a segment's number, *last_ns* the time of the last event before it, 0
    where none settled. *opened*: up to where it is on its way already, whatever becomes of the
    file. *unlinked*: segments whose deleted file is held open.
    """
    waiting, gone, only_here = [], 0, 0
    for segment in (s for s in segments if not s.lost):
        start, size = max(segment.begin, settled.get(segment.seq, 0)), segment.likely_size
        end = size
        if segment.gone:
            end = min(size, max(start, (opened or {}).get(segment.seq, 0)))
            gone += max(0, size - max(start, end))
        if end > start:
            waiting.append((segment, start, end - start))
            only_here += end - start if segment.gone or segment.seq in unlinked else 0
    if not waiting:
        return Backlog(gone_bytes=gone)
    first, start, _ = waiting[0]
    # the event after the last one that settled is hardly younger than that
    oldest_ns = last_ns(first.seq) or _time_at(first, start / first.likely_size)
    return Backlog(
        sum(size for *_, size in waiting),
        any(segment.is_estimated for segment, *_ in waiting),
        oldest_ns,
        first,
        gone,
        only_here,
    )


def _time_at(segment: SegmentState, part: float) -> int:
    """Return the time of the event at a *part* of the segment, 0 to 1: exactly that of its first.

    An exporter begins elsewhere where its start_at says so.
    """
    first_ns = segment.first_ns or segment.seen_ns
    last_ns = max(first_ns, segment.last_ns or segment.closed_ns or segment.seen_ns)
    return first_ns + round((last_ns - first_ns) * part) if part else first_ns


def backlog_of(subscription: Subscription) -> Backlog:
    """Return what one exporter of a running agent has before it in one log."""
    ledger = subscription.ledger
    segments = subscription.log.segments()
    opened = {one.seq: ledger.next_offset(one.seq) for one in segments}  # first: it is the larger
    return backlog_in(
        [one.state for one in segments],
        {one.seq: ledger.settled_offset(one.seq) for one in segments},
        lambda seq: ledger.place(seq).tally.last_ns,
        opened,
        {one.seq for one in segments if one.unlinked},
    )


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
    tally = position.tally()
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
