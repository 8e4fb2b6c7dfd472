"""One exporter's reading of one log: how far it is, what it still has to tell, what it counted.

A subscription is what is stored as a `Position`, and what comes back from one at the next start.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.state.checkpoint import Checkpoint, Position
from k8s_audit_otlp.state.ledger import Ledger, Tally, Ticket
from k8s_audit_otlp.state.outbox import Outbox


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
    wants: Literal["own", "all"] = "all"  # which notices; another exporter's are not its own
    _unstored: deque[tuple[Ticket, Tally]] = field(default_factory=deque)
    _in_checkpoint: int = 0  # how many of them the checkpoint under way holds the notice of

    @classmethod
    def resume(
        cls,
        log: AuditLog,
        exporter: str,
        position: Position | None,
        wants: Literal["own", "all"] = "all",
    ) -> "Subscription":
        """Take up where the checkpoint says."""
        if position is None:
            return cls(log, exporter, Ledger(), wants=wants)
        ledger = Ledger(position.settled)
        for segment, tally in position.tallies.items():
            ledger.restore(segment, tally)
        return cls(
            log,
            exporter,
            ledger,
            Outbox(position.notices),
            position.total,
            position.receipts,
            position.receipted,
            first_start=False,
            wants=wants,
        )

    @property
    def name(self) -> str:
        return f"{self.exporter} of {self.log.key}"

    def settle_when_stored(self, ticket: Ticket, tally: Tally) -> None:
        """Settle *ticket* once a checkpoint holds what is in the outbox now.

        So no position, wherever it is written, passes a gap whose notice could be lost.
        """
        self._unstored.append((ticket, tally))

    def position(self) -> Position:
        """Return what is to be stored."""
        # First the tickets: the notice of each is in the outbox by now.
        self._in_checkpoint = len(self._unstored)
        settled, tallies = self.ledger.snapshot()
        return Position(
            settled,
            tallies,
            self.total.copy(),
            self.outbox.snapshot(),
            self.receipts,
            dict(self.receipted),
        )

    def stored(self) -> None:
        """Note that what `position` returned last is on disk."""
        for _ in range(self._in_checkpoint):
            self.ledger.settle(*self._unstored.popleft())
        self._in_checkpoint = 0

    def tally(self) -> Tally:
        """Everything that ever settled."""
        tally = self.total.copy()
        for part in self.ledger.snapshot()[1].values():
            tally.add(part)
        return tally

    def __repr__(self) -> str:
        return f"<Subscription {self.name} {self.ledger!r} {len(self.outbox)} notices>"


def forget_finished(logs: Sequence[AuditLog], subscriptions: Sequence[Subscription]) -> None:
    """Drop segments that are gone and settled everywhere; their counts go to the totals.

    Only the thread that writes checkpoints does this: a checkpoint must not hold a segment's counts
    twice, or its manifest entry without its position.
    """
    for log in logs:
        done = [state.seq for state in log.finished()]
        for subscription in subscriptions:
            if subscription.log is log:
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
    )
