"""A batch that is being sent. It settles once each of its records is decided."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from threading import Lock

from k8s_audit_otlp.model import Batch
from k8s_audit_otlp.otlp.record import entry_of_record
from k8s_audit_otlp.state.content_hash import entries
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.transport.sender import ExportRequest


@dataclass(slots=True, eq=False)
class InFlight:
    """A batch with the records that must be decided before it settles.

    Threads that deliver parts of it decide concurrently; `on_settled` is called once, outside the
    lock, with what became of the records. `size` is what it holds of the budget in bytes; `notices`
    says that the records are the agent's own.
    """

    batch: Batch
    on_settled: Callable[["InFlight", Tally], None]
    size: int
    on_freed: Callable[[int], None] | None = None  # told how many bytes `size` fell by
    notices: bool = False
    request: ExportRequest | None = None  # of all its records, where that was made ahead
    too_old: Sequence[bytes] = ()  # records that it came with and that are not sent
    _abandoned: bool = False
    _undecided: int = 0
    _set_aside_count: int = 0
    _set_aside_bytes: int = 0
    _tally: Tally = field(default_factory=Tally)
    _digests: bytes | None = b""  # None where nobody knows which were delivered
    _other: dict[int, bytes] = field(default_factory=dict)  # entries, by index: none or another
    _index_by_id: dict[int, int] = field(default_factory=dict)  # in the batch, by a record's `id`
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        batch = self.batch
        self._undecided = len(batch.records)
        self._digests = batch.digests
        self._tally = Tally(
            dropped=batch.dropped,
            lines=batch.lines,
            first_ns=batch.first_ns,
            last_ns=batch.last_ns,
        )

    def settle_if_empty(self) -> bool:
        """Settle a batch in which the policy left nothing; say whether it was one."""
        if self.batch.records:
            return False
        self._settle()
        return True

    def leave_out(self, batch: Batch, too_old: Sequence[bytes]) -> None:
        """Send *batch*, which is without the records that are *too_old*."""
        if too_old:
            self._index_of(too_old[0])  # while the batch has them all
        self.batch, self.too_old = batch, too_old

    def decided(self, *, delivered: int = 0, refused: int = 0, dead_lettered: int = 0) -> None:
        """Count records; *refused* are those that the back end refused without saying which."""
        count = delivered + refused + dead_lettered
        with self._lock:
            self._tally.delivered += delivered
            self._tally.refused += refused
            self._tally.dead_lettered += dead_lettered
            self._undecided -= count
            done = count > 0 and self._undecided == 0
        if done:
            self._settle()
        else:
            self._free()

    def set_aside(self, record: bytes) -> None:
        """Note that *record* is in quarantine; when all that is left is, the batch is freed.

        A record can stay there for minutes: its neighbours must not hold memory meanwhile.
        """
        with self._lock:
            self._index_of(record)
            self._set_aside_count += 1
            self._set_aside_bytes += len(record)
        self._free()

    # -- what receipts say of the records ------------------------------------------------------

    def not_delivered(self, records: Sequence[bytes], count: int) -> None:
        """Note that *count* of *records* are not delivered; nobody knows which of them."""
        with self._lock:
            if count < len(records):
                self._digests = None
            elif self._digests:
                self._other.update((self._index_of(record), b"") for record in records)

    def replaced(self, record: bytes, smaller: bytes) -> None:
        """Note that *record* is sent as *smaller* from now on."""
        with self._lock:
            at = self._index_by_id[id(smaller)] = self._index_of(record)
            if self._digests:
                self._other[at] = entry_of_record(smaller)

    def digests(self) -> bytes | None:
        """Return those of the records that were delivered, None where nobody knows which were."""
        if self._digests is None or not self._other:
            return self._digests
        every = enumerate(entries(self._digests))
        return b"".join(self._other.get(at, entry) for at, entry in every)

    def _index_of(self, record: bytes) -> int:
        """Return the index of *record* in the batch; first called while the batch has them all."""
        if not self._index_by_id:
            self._index_by_id = {id(one): at for at, one in enumerate(self.batch.records)}
        return self._index_by_id[id(record)]

    # ------------------------------------------------------------------------------------------

    def abandon(self) -> int:
        """Never settle it; return the bytes that it still held."""
        with self._lock:
            if self._abandoned or not self._undecided:
                return 0  # who has decided the last record gives the bytes back
            self._abandoned = True
            return self.size

    def _free(self) -> None:
        with self._lock:
            alone = 0 < self._undecided <= self._set_aside_count  # only what is set aside is left
            if self._abandoned or not alone or not self.batch.records:
                return
            self.batch = replace(self.batch, records=())
            freed = max(0, self.size - self._set_aside_bytes) if self.on_freed else 0
            self.size -= freed
        if self.on_freed:
            self.on_freed(freed)

    def _settle(self) -> None:
        if self._abandoned:
            return
        self.on_settled(self, self._tally)
