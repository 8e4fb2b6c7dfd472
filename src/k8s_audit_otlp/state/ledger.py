"""How far one exporter is in one log: a safe offset and a tally for each segment. Pure.

One ledger per (receiver, exporter). Spans of one segment are opened in file order and settled in
any order; an offset moves only over spans that are settled, so what a checkpoint holds is never
ahead of what a back end has acknowledged. Counts travel with the span: a tally always describes
exactly the bytes before the offset that is stored with it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Self

import msgspec

from k8s_audit_otlp.model import Span


class Tally(msgspec.Struct, omit_defaults=True):
    """What became of the records of a stretch of log. Unit: records; notices are not counted.

    read = delivered + dropped + dead_lettered + refused, once everything in it is settled.
    """

    read: int = 0
    delivered: int = 0
    dropped: dict[str, int] = {}
    dead_lettered: int = 0
    refused: int = 0
    lines: int = 0
    gaps: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, other: "Tally") -> None:
        self.read += other.read
        self.delivered += other.delivered
        self.dead_lettered += other.dead_lettered
        self.refused += other.refused
        self.lines += other.lines
        self.gaps += other.gaps
        if other.dropped:
            self.dropped = dict(self.dropped)
            for rule, n in other.dropped.items():
                self.dropped[rule] = self.dropped.get(rule, 0) + n
        if other.first_ns and (not self.first_ns or other.first_ns < self.first_ns):
            self.first_ns = other.first_ns
        self.last_ns = max(self.last_ns, other.last_ns)

    def copy(self) -> "Tally":
        twin = Tally()
        twin.add(self)
        return twin

    @property
    def balance(self) -> int:
        """Records that were read and are in no other column: 0 when nothing is missing."""
        settled = self.delivered + sum(self.dropped.values()) + self.dead_lettered + self.refused
        return self.read - settled


@dataclass(slots=True, eq=False)
class Ticket:
    """One open span. Settled when it carries a tally."""

    span: Span
    tally: Tally | None = None


@dataclass(slots=True)
class _SegmentLedger:
    offset: int = 0
    opened: int = 0  # how far spans were opened: what comes next starts here
    tickets: deque[Ticket] = field(default_factory=deque)
    tally: Tally = field(default_factory=Tally)


class Ledger:
    """The position of one exporter in one log: a safe offset for every segment.

    Guarded by one lock: the consumer opens, senders settle, the committer takes snapshots.
    """

    def __init__(self, settled: Mapping[int, int] | None = None) -> None:
        self._lock = Lock()
        self._segments: dict[int, _SegmentLedger] = {}
        for segment, offset in (settled or {}).items():
            self._segments[segment] = _SegmentLedger(offset, offset)
        self.settlements = 0

    def restore(self, segment: int, tally: Tally) -> Self:
        """Take up the tally that was stored with the segment's offset."""
        self._of(segment).tally = tally
        return self

    def _of(self, segment: int) -> _SegmentLedger:
        return self._segments.setdefault(segment, _SegmentLedger())

    def begin(self, segment: int, offset: int) -> None:
        """Start a segment at *offset*: what lies before was settled or is not wanted."""
        with self._lock:
            here = self._of(segment)
            if not here.tickets and offset > here.opened:
                here.offset = here.opened = offset

    def open(self, span: Span) -> Ticket:
        """Note that *span* is on its way.

        Raises:
            ValueError: it does not start where the last one ended: bytes would be skipped.

        """
        with self._lock:
            here = self._of(span.segment)
            if span.start != here.opened or span.end < span.start:
                raise ValueError(f"span {span} opened, but segment is at {here.opened}")
            ticket = Ticket(span)
            here.opened = span.end
            here.tickets.append(ticket)
            return ticket

    def settle(self, ticket: Ticket, tally: Tally) -> int:
        """Mark *ticket* as done and return the segment's safe offset. Twice changes nothing."""
        with self._lock:
            here = self._of(ticket.span.segment)
            if ticket.tally is None:
                ticket.tally = tally
                self.settlements += 1
            while here.tickets and (done := here.tickets[0].tally) is not None:
                here.offset = here.tickets.popleft().span.end
                here.tally.add(done)
            return here.offset

    def next_offset(self, segment: int) -> int:
        """Where the next span of the segment starts."""
        with self._lock:
            here = self._segments.get(segment)
            return here.opened if here else 0

    def settled_offset(self, segment: int) -> int:
        with self._lock:
            here = self._segments.get(segment)
            return here.offset if here else 0

    def tally(self, segment: int) -> Tally:
        """Return what became of the bytes before the segment's safe offset."""
        with self._lock:
            here = self._segments.get(segment)
            return here.tally.copy() if here else Tally()

    def in_flight(self) -> int:
        """Spans that are open and not settled."""
        with self._lock:
            return sum(len(s.tickets) for s in self._segments.values())

    def snapshot(self) -> tuple[dict[int, int], dict[int, Tally]]:
        """Return the safe offsets and the tallies that describe exactly the bytes before them."""
        with self._lock:
            offsets = {n: s.offset for n, s in self._segments.items()}
            return offsets, {n: s.tally.copy() for n, s in self._segments.items()}

    def forget(self, segment: int) -> Tally:
        """Drop a segment that is gone for good; its tally goes to whoever keeps the totals."""
        with self._lock:
            return self._segments.pop(segment, _SegmentLedger()).tally

    def __repr__(self) -> str:
        with self._lock:
            parts = [
                f"{n}:{s.offset}" + (f"+{len(s.tickets)}" if s.tickets else "")
                for n, s in sorted(self._segments.items())
            ]
        return f"<Ledger {' '.join(parts) or 'empty'}>"
