"""How far one exporter is in one log: a safe place and a tally for each segment. Pure.

One ledger per (log, exporter). Spans of one segment are opened in file order and settled in any
order; a place moves only over spans that are settled, so what is stored is never ahead of what a
back end has acknowledged. Counts travel with the span: a tally always describes exactly the bytes
before the offset that is stored with it, and a mark names the last of these bytes.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from threading import Lock

import msgspec

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.state.content_hash import Content


class Tally(msgspec.Struct, omit_defaults=True):
    """What became of the records of a stretch of log. Unit: records; notices are not counted.

    read = delivered + dropped + dead_lettered + refused, once everything in it is settled: what is
    read is counted when a span is opened, and the others when its records are decided.
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
        for rule, n in other.dropped.items():
            self.dropped[rule] = self.dropped.get(rule, 0) + n
        if other.first_ns and (not self.first_ns or other.first_ns < self.first_ns):
            self.first_ns = other.first_ns
        self.last_ns = max(self.last_ns, other.last_ns)

    def copy(self) -> "Tally":
        return msgspec.structs.replace(self, dropped=dict(self.dropped))

    @property
    def balance(self) -> int:
        """Records that were read and are in no other column: 0 when nothing is missing."""
        settled = self.delivered + sum(self.dropped.values()) + self.dead_lettered + self.refused
        return self.read - settled


class Place(msgspec.Struct, omit_defaults=True):
    """Somewhere in a segment: offset, what the bytes before it are, what became of them.

    `mark` is '' where they are not known: after a gap, or from an older version's state. `near` and
    `lines` are for when the place is cut off: the segment's own, as far as there is room.
    """

    offset: int = 0
    mark: str = ""
    tally: Tally = msgspec.field(default_factory=Tally)
    content: Content = msgspec.field(default_factory=Content)  # what was delivered before it
    near: list[tuple[int, str]] = []  # only where it is written by itself
    lines: bytes = b""

    def copy(self) -> "Place":
        return Place(self.offset, self.mark, self.tally.copy(), self.content.copy())


@dataclass(slots=True, eq=False)
class _SegmentLedger:
    place: Place = field(default_factory=Place)
    opened: int = 0  # how far spans were opened: what comes next starts here
    tickets: "deque[Ticket]" = field(default_factory=deque)


_UNKNOWN = _SegmentLedger()  # what is asked of a segment that nothing was read of


@dataclass(slots=True, eq=False)
class Ticket:
    """One open span. Settled when it carries a tally."""

    span: Span
    mark: str
    read: int  # records
    segment_ledger: _SegmentLedger
    tally: Tally | None = None
    digests: bytes | None = b""


class Ledger:
    """The position of one exporter in one log.

    Guarded by one lock: the consumer opens, senders settle, the committer takes snapshots.
    """

    def __init__(self, places: Mapping[int, Place] | None = None) -> None:
        """Go on from what `places` of an earlier one returned."""
        self._lock = Lock()
        self._segments: dict[int, _SegmentLedger] = {}
        for segment, place in (places or {}).items():
            self.restore(segment, place)
        self._on_moved: Callable[[Ledger, int], None] = lambda _ledger, _segment: None
        self.settlements = 0
        self.rewinds = 0  # a reader begins again when this changes

    def restore(self, segment: int, place: Place) -> None:
        with self._lock:
            self._segments[segment] = _SegmentLedger(place.copy(), place.offset)

    def listen(self, on_moved: Callable[["Ledger", int], None]) -> None:
        """Call *on_moved* with a segment whenever its place has moved."""
        self._on_moved = on_moved

    def _of(self, segment: int) -> _SegmentLedger:
        return self._segments.setdefault(segment, _SegmentLedger())

    def begin(self, segment: int, offset: int) -> None:
        """Start a segment at *offset*: what lies before was settled or is not wanted."""
        with self._lock:
            here = self._of(segment)
            if not here.tickets and offset > here.opened:
                here.opened = offset
                here.place = Place(offset, "", here.place.tally, content=here.place.content)

    def open(self, span: Span, mark: str = "", read: int = 0) -> Ticket:
        """Note that *span* is on its way; *mark* names the bytes before its end.

        *read*: how many records were made of it.

        Raise ValueError where it does not start where the last one ended: bytes would be skipped.
        """
        with self._lock:
            here = self._of(span.segment)
            if span.start != here.opened or span.end < span.start:
                raise ValueError(f"span {span} opened, but segment is at {here.opened}")
            ticket = Ticket(span, mark, read, here)
            here.opened = span.end
            here.tickets.append(ticket)
            return ticket

    def settle(self, ticket: Ticket, tally: Tally, digests: bytes | None = b"") -> int:
        """Mark *ticket* as done and return the segment's safe offset.

        *digests*: of the records that were delivered, None where nobody knows which were. Twice
        changes nothing, and neither does one from before the ledger was set back.
        """
        segment, moved = ticket.span.segment, False
        with self._lock:
            here = ticket.segment_ledger
            if here is not self._segments.get(segment):
                return self._of(segment).place.offset
            if ticket.tally is None:
                ticket.tally, ticket.digests = tally, digests
                self.settlements += 1
            # A span of no bytes holds records of a line that ends later: who begins again reads
            # them again, so they count when the line does.
            done = takewhile(lambda each: each.tally is not None, here.tickets)
            ends = [n for n, each in enumerate(done, 1) if each.span.end > each.span.start]
            for _ in range(ends[-1] if ends else 0):
                first = here.tickets.popleft()
                here.place.offset, here.place.mark, moved = first.span.end, first.mark, True
                here.place.tally.add(first.tally or Tally())
                here.place.tally.read += first.read
                here.place.content.add(first.digests)
            offset = here.place.offset
        if moved:
            self._on_moved(self, segment)
        return offset

    def rewind(self) -> None:
        """Go back to the settled offsets: what is open is read and sent again."""
        with self._lock:
            for segment, here in self._segments.items():
                self._segments[segment] = _SegmentLedger(here.place, here.place.offset)
            self.rewinds += 1

    # -- how it is -------------------------------------------------------------------------------

    def next_offset(self, segment: int) -> int:
        """Where the next span of the segment starts."""
        with self._lock:
            return self._segments.get(segment, _UNKNOWN).opened

    def next_offsets(self) -> dict[int, int]:
        """Return the next offset of every segment, under one lock."""
        with self._lock:
            return {n: s.opened for n, s in self._segments.items()}

    def place(self, segment: int) -> Place:
        """Return how far the segment is settled, and what became of that."""
        with self._lock:
            return self._segments.get(segment, _UNKNOWN).place.copy()

    def settled_offset(self, segment: int) -> int:
        with self._lock:
            return self._segments.get(segment, _UNKNOWN).place.offset

    def in_flight(self) -> int:
        with self._lock:
            return sum(len(s.tickets) for s in self._segments.values())

    def tally(self) -> Tally:
        """Return what became of everything that was read, what is in flight included."""
        total = Tally()
        with self._lock:
            for segment in self._segments.values():
                total.add(segment.place.tally)
                total.read += sum(ticket.read for ticket in segment.tickets)
        return total

    def places(self) -> dict[int, Place]:
        """Return the safe place of every segment."""
        with self._lock:
            return {n: s.place.copy() for n, s in self._segments.items()}

    def forget(self, segment: int) -> Tally:
        """Drop a segment that is gone for good; its tally goes to whoever keeps the totals."""
        with self._lock:
            return self._segments.pop(segment, _UNKNOWN).place.tally.copy()

    def __repr__(self) -> str:
        with self._lock:
            parts = [
                f"{n}:{s.place.offset}" + (f"+{len(s.tickets)}" if s.tickets else "")
                for n, s in sorted(self._segments.items())
            ]
        return f"<Ledger {' '.join(parts) or 'empty'}>"
