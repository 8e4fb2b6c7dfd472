"""What `--once` promises: names and sizes at the start in, delivered or not out."""

from collections.abc import Iterable
from dataclasses import dataclass

from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.source import PlainSource
from k8s_audit_otlp.state.ledger import Ledger

_STEP = 64 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """A segment must be settled up to `size`, or to its end where the size is not known yet."""

    log: AuditLog
    segment: Segment
    size: int | None

    def reached(self, ledger: Ledger) -> bool:
        state = self.segment.state
        if self.size is None:
            return state.complete and ledger.settled_offset(state.seq) >= state.size
        return ledger.settled_offset(state.seq) >= self.size

    def left(self, ledger: Ledger) -> int:
        """Bytes that are not settled, as far as the size is known."""
        size = self.segment.state.size if self.size is None else self.size
        return max(0, size - ledger.settled_offset(self.segment.seq))


def targets(logs: Iterable[AuditLog]) -> list[Target]:
    """Take down what is on disk now. An unterminated line of a live file is not asked for."""
    return [
        Target(log, segment, _size(segment))
        for log in logs
        for segment in log.segments()
        if not segment.state.gone
    ]


def _size(segment: Segment) -> int | None:
    if segment.live and isinstance(segment.source, PlainSource):
        return _last_line_end(segment.source, segment.source.stat().st_size)
    return segment.state.size if segment.state.complete else None


def _last_line_end(source: PlainSource, size: int) -> int:
    end = size
    while end > 0:
        start = max(0, end - _STEP)
        found = source.read_at(start, end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
