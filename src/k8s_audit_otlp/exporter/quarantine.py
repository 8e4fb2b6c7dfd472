"""Single records that a back end does not take, set aside while the stream goes on.

In: records with the reason of their refusal, and news of accepted requests. Out: what goes to the
dead letter, and whether so much is refused that the fault must lie elsewhere.
"""

from dataclasses import dataclass, field
from threading import Lock

from k8s_audit_otlp.exporter.flight import Flight

SYSTEMIC = 8  # single records refused in a row with nothing accepted between: not their fault
MAX_PARKED = 64
PATIENCE_S = 900.0  # how long a record may keep failing with what could be a passing fault


@dataclass(slots=True, eq=False)
class Parked:
    """A record that failed alone. `final` answers name the record's own fault (400, 413)."""

    flight: Flight
    record: bytes
    why: str
    final: bool
    since_s: float
    due_s: float
    attempts: int = 0
    proven: bool = False  # since it last failed something else was accepted

    def failed(self, why: str, *, final: bool, reached: bool, now_s: float) -> bool:
        """Note that it failed again; say whether it will never be taken.

        That takes proof that the back end is up, from before and after: others were accepted
        between this failure and the one before.
        """
        hopeless = self.proven and reached and (final or now_s - self.since_s >= PATIENCE_S)
        self.why, self.final, self.proven = why, final, False
        self.attempts += 1
        return hopeless


@dataclass(slots=True)
class Quarantine:
    """The parked records of one exporter."""

    _parked: list[Parked] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def park(self, parked: Parked) -> None:
        with self._lock:
            self._parked.append(parked)

    def accepted(self) -> None:
        """Note that the back end takes records; what names its own fault is asked about at once."""
        with self._lock:
            for parked in self._parked:
                if not parked.proven:
                    parked.proven = True
                    if parked.final:
                        parked.due_s = 0.0

    def due(self, now_s: float) -> Parked | None:
        """Remove and return a record that should be tried again."""
        with self._lock:
            for parked in self._parked:
                if parked.due_s <= now_s:
                    self._parked.remove(parked)
                    return parked
            return None

    @property
    def unproven(self) -> int:
        """Records refused with nothing accepted since."""
        with self._lock:
            return sum(not p.proven for p in self._parked)

    def __len__(self) -> int:
        with self._lock:
            return len(self._parked)

    @property
    def stalls(self) -> str:
        """Why nothing new should be sent, '' when it may."""
        if self.unproven >= SYSTEMIC:
            return "the back end refuses every record: a setting is wrong, not the records"
        if len(self) >= MAX_PARKED:
            return f"{MAX_PARKED} records are refused and wait for their end"
        return ""
