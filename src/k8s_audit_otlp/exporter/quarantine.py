"""Single records that a back end does not take, set aside while the stream goes on.

From the reasons of refusals and from what is accepted meanwhile it follows which record is asked
about again and which goes to the dead letter. That takes proof that the back end is up: a request
that began after the refusal was accepted. So a back end that refuses everything costs no record.
"""

import contextlib
from dataclasses import dataclass, field
from threading import Lock

from k8s_audit_otlp.exporter.decisions import MAX_QUARANTINED
from k8s_audit_otlp.exporter.in_flight import InFlight

PATIENCE_S = 900.0  # how long a record may keep failing with what could be a passing fault
_LAST_ASKED = 3  # times, where nothing else is sent that could prove anything


@dataclass(slots=True, eq=False)
class Quarantined:
    """A record that failed alone. `final` answers name the record's own fault (400, 413).

    `seen_up`: of the batch that it was found in, others were accepted.
    """

    in_flight: InFlight
    record: bytes = field(repr=False)  # it is what a secret may stand in
    why: str
    final: bool
    since_s: float
    due_s: float
    seen_up: bool = False
    asked: int = 1
    finals: int = 0  # final answers to it: one alone may be the back end's bad moment
    refused_up: int = 0  # refusals between which others were accepted: an outage gives one at most
    proven: bool = False  # something was accepted since it last failed
    ever_proven: bool = False
    after: int = 0  # the last request that had begun when it failed
    busy: bool = False  # it is being asked about

    def __post_init__(self) -> None:
        self.finals = int(self.final)

    def refused(self, why: str, *, final: bool) -> None:
        """Note that it was refused once more."""
        self.asked += 1
        self.why, self.final = why, final
        self.finals += final
        self.refused_up += self.proven


@dataclass(slots=True, repr=False)
class Quarantine:
    """The quarantined records of one exporter. Threads share it."""

    _quarantined: list[Quarantined] = field(default_factory=list)
    _requests: int = 0
    _lock: Lock = field(default_factory=Lock)

    def begin(self) -> int:
        """Give a number to a request that is about to be sent."""
        with self._lock:
            self._requests += 1
            return self._requests

    def accepted(self, request: int) -> None:
        """Note that the back end took *request*; what names its own fault is due at once."""
        with self._lock:
            for quarantined in self._quarantined:
                if request > quarantined.after and not quarantined.proven:
                    quarantined.proven = quarantined.ever_proven = True
                    if quarantined.final:
                        quarantined.due_s = 0.0

    def add(self, quarantined: Quarantined) -> None:
        with self._lock:
            quarantined.after = self._requests
            self._quarantined.append(quarantined)

    def due(self, now_s: float) -> Quarantined | None:
        """Return a record that should be asked about; it must be `released` or come `again`."""
        with self._lock:
            for quarantined in self._quarantined:
                if quarantined.due_s <= now_s and not quarantined.busy:
                    quarantined.busy = True
                    return quarantined
            return None

    def release(self, quarantined: Quarantined) -> None:
        """Let go of a record that is decided."""
        with self._lock, contextlib.suppress(ValueError):  # it may have been cleared meanwhile
            self._quarantined.remove(quarantined)

    def clear(self) -> list[InFlight]:
        """Let go of all records, which are read and sent again; return whose they were."""
        with self._lock:
            every = {id(q.in_flight): q.in_flight for q in self._quarantined}
            self._quarantined.clear()
        return list(every.values())

    def again(self, quarantined: Quarantined, now_s: float, delay_s: float) -> None:
        """Keep a record that failed once more, and ask again at its last moment at the latest."""
        last_s = quarantined.since_s + PATIENCE_S
        with self._lock:
            due_s = now_s + delay_s
            quarantined.due_s = min(due_s, last_s) if now_s < last_s else due_s
            quarantined.busy = quarantined.proven = False
            quarantined.after = self._requests

    def should_dead_letter(self, quarantined: Quarantined, now_s: float, *, idle: bool) -> bool:
        """Say whether a record that has just failed again will never be taken.

        *idle*: nothing else of this exporter is in trouble.
        """
        with self._lock:
            old = now_s - quarantined.since_s >= PATIENCE_S
            full = len(self._quarantined) >= MAX_QUARANTINED
            alone = idle and all(p is quarantined or p.proven for p in self._quarantined)
        twice_final = quarantined.final and quarantined.finals > 1
        if quarantined.proven and (twice_final or (old and quarantined.refused_up > 1)):
            return True
        if full and quarantined.ever_proven:  # others must not wait for its 15 minutes
            return True
        # The end of a log has nothing behind it that could be accepted.
        last = alone and quarantined.seen_up and quarantined.asked >= _LAST_ASKED
        return last and (quarantined.final or old)

    @property
    def unproven(self) -> int:
        """Records refused with nothing accepted since."""
        with self._lock:
            return sum(not p.proven for p in self._quarantined)

    def __len__(self) -> int:
        with self._lock:
            return len(self._quarantined)

    @property
    def full(self) -> bool:
        return len(self) >= MAX_QUARANTINED

    def __repr__(self) -> str:
        return f"<Quarantine {len(self)} records, {self.unproven} unproven>"
