"""Ledgers and manifests in, one checkpoint out; and back at the next start."""

from dataclasses import dataclass, field

from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.state.checkpoint import Checkpoint, Position
from k8s_audit_otlp.state.ledger import Ledger, Tally
from k8s_audit_otlp.state.outbox import Outbox


@dataclass(slots=True, eq=False)
class Subscription:
    """How one exporter consumes one log.

    `total` counts what the manifest has forgotten; `receipted` says for a segment which size its
    receipt speaks of.
    """

    log: AuditLog
    exporter: str
    ledger: Ledger
    outbox: Outbox = field(default_factory=Outbox)
    total: Tally = field(default_factory=Tally)
    receipts: int = 0
    receipted: dict[int, int] = field(default_factory=dict)
    first_start: bool = True

    @classmethod
    def resume(cls, log: AuditLog, exporter: str, position: Position | None) -> "Subscription":
        """Take up where the checkpoint says."""
        if position is None:
            return cls(log, exporter, Ledger())
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
        )

    def position(self) -> Position:
        """Return what is to be stored. A gap's notice is in the outbox before its span settles."""
        settled, tallies = self.ledger.snapshot()
        return Position(
            settled,
            tallies,
            self.total.copy(),
            self.outbox.snapshot(),
            self.receipts,
            dict(self.receipted),
        )

    def tally(self) -> Tally:
        """Everything that ever settled."""
        tally = self.total.copy()
        for part in self.ledger.snapshot()[1].values():
            tally.add(part)
        return tally


def forget_finished(logs: list[AuditLog], subscriptions: list[Subscription]) -> None:
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
    base: Checkpoint, logs: list[AuditLog], subscriptions: list[Subscription], written: str
) -> Checkpoint:
    """Return the checkpoint of now. What *base* holds of others (parked exporters) is kept.

    Positions are read before manifests: an offset may then be behind a size, never ahead of it.
    """
    positions = {log: dict(of) for log, of in base.positions.items()}
    for subscription in subscriptions:
        positions.setdefault(subscription.log.key, {})[subscription.exporter] = (
            subscription.position()
        )
    manifests = dict(base.manifests)
    for log in logs:
        manifests[log.key] = log.state()
    return Checkpoint(
        written=written,
        manifests=manifests,
        positions=positions,
        config=base.config,
        starts=base.starts,
    )
