"""What of a segment is lost, as far as its state and those of its neighbours tell. Pure."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.state.manifest import SegmentState


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a segment that nobody can have any more. `reason` is one of a closed set.

    deleted, let_go, truncated, zeroed, corrupt_gzip: the bytes are lost. unseen: something may be
    missing between two segments; nobody knows how much, and one byte stands for it.
    """

    span: Span
    reason: str
    why: str = ""
    open_end: bool = False  # how much followed nobody has seen: the span is the least of it
    since_ns: int = 0  # time of an event that is not behind its start, 0 where none is known
    until_ns: int = 0  # and of the first one after it


class Losses:
    """Tells of what is lost of one segment of a log."""

    def __init__(self, segment: SegmentState, log: Sequence[SegmentState]) -> None:
        known = [state for state in log if not state.lost]
        self._segment = segment
        self._before = next((s for s in reversed(known) if s.seq < segment.seq), None)
        self._after = next((s for s in known if s.seq > segment.seq), None)

    def missing(self, offset: int) -> Gap | None:
        """Tell of what no file holds any more from *offset* on; None where nothing is known."""
        state = self._segment
        cut = "truncated" if state.truncated or state.cut else "deleted"
        reason = state.lost or ("let_go" if state.let_go else cut)
        return self.from_here(offset, reason) if state.size > offset else None

    def from_here(self, offset: int, reason: str, why: str = "") -> Gap:
        """Tell that everything from *offset* on is lost, as far as it is known and beyond."""
        state = self._segment
        span = Span(state.seq, offset, state.size)
        until_ns = state.last_ns if state.lost else self._first_after()
        open_end = state.open_end or bool(state.lost)
        return Gap(span, reason, why or state.detail, open_end, state.first_ns, until_ns)

    def zeroed(self, span: Span, after_ns: int) -> Gap:
        """Tell of NULs that stand where lines were, before an event of *after_ns*, 0 for none."""
        until_ns = after_ns or self._first_after()
        since_ns = self._segment.first_ns
        if self._segment.begins_at(span.start) or 0 < until_ns <= since_ns:  # none of it before
            since_ns = self._before.since_ns if self._before else 0
        since_ns = 0 if since_ns > until_ns > 0 else since_ns  # it was found behind newer ones
        return Gap(span, "zeroed", "", since_ns=since_ns, until_ns=until_ns)

    def never_was(self, offset: int) -> int:
        """Return up to where NULs at *offset* are no loss: where what was copied and cut ended.

        A writer that keeps its offset leaves them in front of its next line, as many at least. All
        others were lines that a power cut took; before the first file of all, nobody knows.
        """
        if not self._segment.begins_at(offset):
            return 0
        if self._before is None:
            return sys.maxsize
        size = self._before.likely_size
        return 0 if self._segment.head_start < size and not self._segment.begin else size

    def _first_after(self) -> int:
        """Return the time of the first event of what follows, 0 where none is known."""
        first_ns = self._after.first_ns if self._after else 0
        return first_ns if first_ns >= self._segment.first_ns else 0
