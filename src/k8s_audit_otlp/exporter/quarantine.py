"""Single records that a back end refuses, kept apart and retried while the stream goes on.

A record goes to the dead letter only when the back end is known to work: it has accepted a request
that began after the refusal. So a back end that refuses everything costs no record.
"""

import contextlib
from dataclasses import dataclass, field
from threading import Lock

from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.retry_decisions import MAX_QUARANTINED

MAX_WAIT_S = 900.0  # how long a record is retried after answers that may pass
_ENOUGH_RETRIES = 3  # where nothing else is sent that could be accepted


@dataclass(slots=True, eq=False)
class Quarantined:
    """A record that failed alone. `final` answers name the record's own fault (400, 413).

    `seen_up`: of the batch that it was found in, others were accepted.
    """

    in_flight: InFlight
    record: bytes = field(repr=False)  # it is what a secret may stand in
    sent: bytes = field(repr=False)  # the same, or a smaller form of it
    why: str
    final: bool
    since_s: float
    due_s: float
    batch_accepted: bool = False
    attempts: int = 1
    finals: int = 0  # how many answers were final: a single one may be a passing fault
    refused_between_accepts: int = 0  # an outage gives one at most
    others_accepted: bool = False  # something was accepted since it last failed
    others_ever_accepted: bool = False
    after: int = 0  # the last request that had begun when it failed
    in_retry: bool = False  # a thread is sending it

    def __post_init__(self) -> None:
        self.finals = int(self.final)

    def refused(self, why: str, *, final: bool) -> None:
        """Count another refusal."""
        self.attempts += 1
        self.why, self.final = why, final
        self.finals += final
        self.refused_between_accepts += self.others_accepted


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
        """Note that *request* was accepted; records with a final answer are due at once."""
        with self._lock:
            for quarantined in self._quarantined:
                if request > quarantined.after and not quarantined.others_accepted:
                    quarantined.others_accepted = quarantined.others_ever_accepted = True
                    if quarantined.final:
                        quarantined.due_s = 0.0

    def add(self, quarantined: Quarantined) -> None:
        with self._lock:
            quarantined.after = self._requests
            self._quarantined.append(quarantined)

    def due(self, now_s: float) -> Quarantined | None:
        """Return a record to retry; the caller must `release` or `keep` it."""
        with self._lock:
            for quarantined in self._quarantined:
                if quarantined.due_s <= now_s and not quarantined.in_retry:
                    quarantined.in_retry = True
                    return quarantined
            return None

    def release(self, quarantined: Quarantined) -> None:
        """Remove a record that is decided."""
        with self._lock, contextlib.suppress(ValueError):  # it may have been cleared meanwhile
            self._quarantined.remove(quarantined)

    def clear(self) -> list[InFlight]:
        """Remove all records, as they are read again; return the batches they came in."""
        with self._lock:
            every = {id(q.in_flight): q.in_flight for q in self._quarantined}
            self._quarantined.clear()
        return list(every.values())

    def keep(self, quarantined: Quarantined, now_s: float, delay_s: float) -> None:
        """Keep a record that failed again; due after *delay_s*, at MAX_WAIT_S at the latest."""
        last_s = quarantined.since_s + MAX_WAIT_S
        with self._lock:
            due_s = now_s + delay_s
            quarantined.due_s = min(due_s, last_s) if now_s < last_s else due_s
            quarantined.in_retry = quarantined.others_accepted = False
            quarantined.after = self._requests

    def should_dead_letter(self, quarantined: Quarantined, now_s: float, *, idle: bool) -> bool:
        """Say whether a record that has just failed again will never be taken.

        *idle*: nothing else of this exporter is in trouble.
        """
        with self._lock:
            old = now_s - quarantined.since_s >= MAX_WAIT_S
            full = len(self._quarantined) >= MAX_QUARANTINED
            alone = idle and all(p is quarantined or p.others_accepted for p in self._quarantined)
        twice_final = quarantined.final and quarantined.finals > 1
        if quarantined.others_accepted and (
            twice_final or (old and quarantined.refused_between_accepts > 1)
        ):
            return True
        if full and quarantined.others_ever_accepted:  # others must not wait for its 15 minutes
            return True
        # The end of a log has nothing behind it that could be accepted.
        last = alone and quarantined.batch_accepted and quarantined.attempts >= _ENOUGH_RETRIES
        return last and (quarantined.final or old)

    @property
    def refused_in_a_row(self) -> int:
        """Records refused with nothing accepted since."""
        with self._lock:
            return sum(not p.others_accepted for p in self._quarantined)

    def __len__(self) -> int:
        with self._lock:
            return len(self._quarantined)

    @property
    def full(self) -> bool:
        return len(self) >= MAX_QUARANTINED

    def __repr__(self) -> str:
        return f"<Quarantine {len(self)} records, {self.refused_in_a_row} refused in a row>"
