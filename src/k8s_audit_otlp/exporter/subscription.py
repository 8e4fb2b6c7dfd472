"""A log as one exporter reads it: its ledger (position), outbox (pending notices) and counts.

Stored as a `Position` in the checkpoint, and restored from it at the next start.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal

from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.start_at import EVERYTHING
from k8s_audit_otlp.state.checkpoint import Checkpoint, Position
from k8s_audit_otlp.state.ledger import Ledger, Place, Tally, Ticket
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.state.outbox import Chain, Notice, Outbox
from k8s_audit_otlp.state.positions import PositionFile, key_of

_MOST_OPEN = 4  # segments without a receipt that a seal names: 1 KB, which every store takes


@dataclass(slots=True, eq=False)
class Subscription:
    """A log, an exporter, its ledger and its outbox.

    `total` counts what the manifest has forgotten; `receipted` says for a segment which size its
    receipt speaks of. Only the thread that writes checkpoints uses `position` and `stored`.
    """

    log: AuditLog
    exporter: str
    ledger: Ledger
    outbox: Outbox = field(default_factory=Outbox)
    total: Tally = field(default_factory=Tally)
    receipts: int = 0
    receipted: dict[int, int] = field(default_factory=dict)
    first_start: bool = True
    chain: Chain = field(default_factory=Chain)  # of what its outbox was given, guarded by `lock`
    stored_chain: Chain = field(default_factory=Chain)  # of that, what a kill leaves as it is
    sealed: set[str] = field(default_factory=set)  # what its last seal names: link and segments
    lock: Lock = field(default_factory=Lock)  # what is linked and what is pending change together
    wants: Literal["own", "all"] = "all"  # which notices; another exporter's are not its own
    unplaced: dict[str, Place] = field(default_factory=dict)  # positions, by segment identity
    _states: dict[int, SegmentState] = field(default_factory=dict)  # of the log's segments
    _file: PositionFile | None = None
    _key: bytes = b""  # of its records there
    _settled: dict[int, int] = field(default_factory=dict)  # that the checkpoint holds
    _turn: int = 0  # of the newest record of `_file` whose place it holds
    _unstored: deque[tuple[Ticket, Tally]] = field(default_factory=deque)
    _pending: list[Notice] = field(default_factory=list)  # that it holds
    _chain: Chain = field(default_factory=Chain)  # and how far that chain is
    _in_checkpoint: int = 0  # how many of them the checkpoint under way holds the notice of

    @classmethod
    def resume(
        cls,
        log: AuditLog,
        exporter: str,
        position: Position | None,
        wants: Literal["own", "all"] = "all",
    ) -> "Subscription":
        """Restore a subscription from the checkpoint."""
        if position is None:
            return cls(log, exporter, Ledger(), wants=wants)
        return cls(
            log,
            exporter,
            Ledger(position.places()),
            Outbox(position.notices),
            position.total,
            position.receipts,
            position.receipted,
            first_start=False,
            wants=wants,
            unplaced=dict(position.unplaced),
            chain=position.chain,
            stored_chain=position.chain,
        )

    def resume_new_segments(self) -> None:
        """Restore positions in segments that were found after the last process's last checkpoint.

        Where the bytes before a position have changed, its file was cut: the log finds what is in
        it now. Where nothing names these bytes, the segment is read from its start.
        """
        found = []
        for segment in self.log.segments() if self.unplaced else ():
            place = self.unplaced.pop(segment.state.identity, None)
            if place and place.offset >= self.ledger.next_offset(segment.seq):
                segment.state.read(place)
                found.append((segment, place))
        if found:
            self.log.scan()
        for segment, place in found:
            if place.mark and (segment.state.truncated or segment.holds(place)):
                self.ledger.restore(segment.seq, place)

    @property
    def name(self) -> str:
        return f"{self.exporter} of {self.log.key}"

    def write_to(self, file: PositionFile) -> None:
        """Write every place to *file* as soon as it has moved."""
        self._file, self._key = file, key_of(str(self.log.key), self.exporter)
        self.ledger.listen(lambda _, segment: self.write_place(segment))

    def write_place(self, segment: int) -> None:
        """Write where it is in *segment* now, and whether that is the end of it."""
        state = self._states.get(segment)
        if state is None:
            self._states = {s.seq: s.state for s in self.log.segments()}
            state = self._states.get(segment)
        if state is not None and self._file is not None:
            end = state.size if state.complete and not state.open_end else None
            self._file.write(self._key, state, self.ledger, end=end)

    def write_moved(self) -> None:
        """Write what has moved since `position` was called: the file was begun anew meanwhile."""
        for segment, place in self.ledger.places().items():
            if place.offset > self._settled.get(segment, -1):
                self.write_place(segment)

    def settle_when_stored(self, ticket: Ticket, tally: Tally) -> None:
        """Settle *ticket* once a checkpoint holds what is in the outbox now.

        So no position, wherever it is written, passes a gap whose notice could be lost.
        """
        self._unstored.append((ticket, tally))

    def position(self) -> Position:
        """Return what is to be stored."""
        # First the tickets: the notice of each is in the outbox by now.
        self._in_checkpoint = len(self._unstored)
        self._turn = self._file.turn if self._file is not None else 0
        with self.lock:
            self._pending, self._chain = self.outbox.snapshot(), self.chain
        places = self.ledger.places()
        self._settled = {n: place.offset for n, place in places.items()}
        return Position(
            self._settled,
            {n: place.tally for n, place in places.items()},
            self.total.copy(),
            self._pending,
            self.receipts,
            dict(self.receipted),
            {n: place.mark for n, place in places.items() if place.mark},
            self._chain,
            {n: place.content for n, place in places.items() if place.content.last >= 0},
            self.unplaced,
        )

    def stored(self) -> None:
        """Note that what `position` returned last has reached the disk."""
        self.outbox.stored(self._pending)
        self.stored_chain = self._chain
        if self._file is not None:
            self._file.stored(self._key, self._turn)
        for _ in range(self._in_checkpoint):
            self.ledger.settle(*self._unstored.popleft())
        self._in_checkpoint = 0

    def needs_receipt(self, segment: SegmentState) -> bool:
        """Say whether the segment is settled to its end and has no receipt for its size.

        What start_at leaves out was not promised; a stretch that nobody saw has nothing to count.
        """
        if segment.lost or not segment.complete or self.receipted.get(segment.seq) == segment.size:
            return False
        return segment.size <= self.ledger.settled_offset(segment.seq) < EVERYTHING

    def open_segments(self) -> list[SegmentState]:
        """Return the newest segments without a receipt that are read, and the next to be read."""
        states = (segment.state for segment in self.log.segments())
        opened = [
            state
            for state in states
            if state.identity
            and not state.lost
            and self.receipted.get(state.seq) != state.size
            and self.ledger.settled_offset(state.seq) < EVERYTHING
        ]
        read = [at for at, state in enumerate(opened, 1) if self.ledger.next_offset(state.seq)]
        return opened[: max(read, default=0) + 1][-_MOST_OPEN:]

    def tally(self) -> Tally:
        """Return what became of everything that was ever read, what is in flight included."""
        tally = self.ledger.tally()
        tally.add(self.total)
        return tally

    def __repr__(self) -> str:
        return f"<Subscription {self.name} {self.ledger!r} {len(self.outbox)} notices>"


def forget_finished(logs: Sequence[AuditLog], subscriptions: Sequence[Subscription]) -> None:
    """Drop segments that are gone and settled everywhere; their counts go to the totals.

    Only the thread that writes checkpoints does this: a checkpoint must not hold a segment's counts
    twice, or its manifest entry without its position.
    """
    for log in logs:
        of_log = [s for s in subscriptions if s.log is log]
        done = [
            state.seq
            for state in log.finished()
            if not any(subscription.needs_receipt(state) for subscription in of_log)
        ]
        for subscription in of_log:
            for seq in done:
                subscription.total.add(subscription.ledger.forget(seq))
                subscription.receipted.pop(seq, None)
        log.forget(done)


def collect(
    base: Checkpoint, logs: Sequence[AuditLog], subscriptions: Sequence[Subscription], written: str
) -> Checkpoint:
    """Return the checkpoint of now. What *base* holds of others (disabled exporters) is kept.

    Positions are read before manifests: an offset may then be behind a size, never ahead of it.
    """
    positions = {log: dict(of) for log, of in base.positions.items()}
    for subscription in subscriptions:
        positions.setdefault(str(subscription.log.key), {})[subscription.exporter] = (
            subscription.position()
        )
    manifests = dict(base.manifests)
    for log in logs:
        manifests[str(log.key)] = log.state()
    return Checkpoint(
        written=written,
        manifests=manifests,
        positions=positions,
        config=base.config,
        starts=base.starts,
        boot=base.boot,
    )
