"""How much of a log an exporter has not settled, and how old that is.

The one place that computes it, for a running agent and for a stored position alike.
"""

from collections.abc import Iterable, Mapping

from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.state.manifest import SegmentState


def unsettled(
    segments: Iterable[SegmentState], settled: Mapping[int, int]
) -> list[tuple[SegmentState, int]]:
    """Return the segments with bytes on disk that are not settled, oldest first, and how many.

    *settled* is an offset for each segment's number. Sizes are as far as they are known.
    """
    left = ((s, s.size - settled.get(s.seq, 0)) for s in segments if not s.gone)
    return [(segment, size) for segment, size in left if size > 0]


def _unsettled(subscription: Subscription) -> list[tuple[SegmentState, int]]:
    settled = subscription.ledger.settled_offset
    states = [segment.state for segment in subscription.log.segments()]
    return unsettled(states, {state.seq: settled(state.seq) for state in states})


def backlog_bytes(subscription: Subscription) -> int:
    """Bytes on disk that the exporter has not settled."""
    return sum(left for _, left in _unsettled(subscription))


def backlog_s(subscription: Subscription, now_ns: int) -> float:
    """Age of the oldest byte that is not settled: that of the last event before it, if known."""
    waiting = _unsettled(subscription)
    if not waiting:
        return 0.0
    oldest = waiting[0][0]
    since_ns = subscription.ledger.tally(oldest.seq).last_ns or oldest.seen_ns
    return max(0.0, (now_ns - since_ns) / 1e9)
