"""What a comparison of the log with an export came to: counts, by segment and as a whole."""

from dataclasses import dataclass, field
from itertools import pairwise

from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.exports.record import Receipt


@dataclass(slots=True)
class SegmentReport:
    """What became of one segment. Counts are records."""

    identity: str
    name: str = ""  # of its file; "" when it is not on disk any more
    size: int = -1
    events: int = -1  # on disk
    arrived: int = 0  # different ones
    missing: int = 0
    repeated: int = 0
    pending: int = 0  # of the live file, behind the last that arrived: they may be on their way
    foreign: int = 0  # of this segment by their uid, but no event of it, and in no receipt
    told: int = 0  # of the missing, those in a gap that the agent told of
    most: int = 0  # that all receipts of it speak of
    gaps: int = 0  # told of a segment that is not on disk any more: nobody can count its events
    receipt: Receipt | None = None
    remarks: list[str] = field(default_factory=list)
    missing_uids: list[str] = field(default_factory=list)
    foreign_uids: list[str] = field(default_factory=list)

    @property
    def dropped(self) -> int:
        """Of the missing, those that the exporter's policy took away, by its receipt."""
        if self.receipt is None or self.events < 0:
            return 0
        return min(self.missing, self.receipt.dropped)

    @property
    def unaccounted(self) -> int:
        """Missing, and not by the will of a policy."""
        return self.missing - self.dropped

    @property
    def has_trouble(self) -> bool:
        counts = self.unaccounted, self.foreign, self.gaps, self.pending
        return bool(self.remarks) or any(counts)


@dataclass(slots=True)
class VerifyReport:
    """All segments, those on disk first, and what belongs to none of them."""

    segments: list[SegmentReport] = field(default_factory=list)
    records: int = 0  # of the export, notices and repeats included
    notices: int = 0
    unknown: int = 0  # of no event and of no agent: another program's
    strays: int = 0  # events under no uid that an agent gives
    stray_uids: list[str] = field(default_factory=list)  # of the first ones
    elsewhere: int = 0  # records of segments that are neither on disk nor receipted
    elsewhere_segments: int = 0
    missing_receipts: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)  # files and stretches, and why not

    def total(self, column: str) -> int:
        return sum(max(0, int(getattr(segment, column))) for segment in self.segments)

    def judged(self) -> "VerifyReport":
        """Call missing what is pending where nothing arrived: nobody delivers it."""
        if not self.total("arrived"):
            for found in self.segments:
                found.missing, found.pending = found.missing + found.pending, 0
        return self

    @property
    def foreign(self) -> int:
        return self.strays + self.total("foreign")

    @property
    def put_in(self) -> list[str]:
        """Name events that are of no log, as far as it is known."""
        lines = [
            f"{s.name or s.identity}: {counted(s.foreign, 'record')} put in, of no event of it: "
            f"{_first(s.foreign, s.foreign_uids)}"
            for s in self.segments
            if s.foreign
        ]
        if self.strays:
            lines.append(
                f"{counted(self.strays, 'audit event')} under no uid that an agent gives, put in "
                f"or sent by another program: {_first(self.strays, self.stray_uids)}"
            )
        return lines

    @property
    def lacks(self) -> bool:
        return bool(self.total("unaccounted") or self.total("gaps") or self.missing_receipts)

    @property
    def unproven(self) -> bool:
        """Something may be on its way, or could not be read."""
        return bool(self.unjudged or self.total("pending"))

    @property
    def complete(self) -> bool:
        """Everything that should be there is, and nothing on disk could not be read."""
        return not (self.lacks or self.unproven)


def _first(count: int, uids: list[str]) -> str:
    if not uids:
        return "which of them only hashes tell"
    return ", ".join(uids) + (", ..." if count > len(uids) else "")


def holes(numbers: set[int]) -> list[str]:
    """Name the runs of numbers that lie between those that are there."""
    known = sorted(numbers)
    return [
        f"{one + 1}" if other - one == 2 else f"{one + 1} to {other - 1}"
        for one, other in pairwise(known)
        if other - one > 1
    ]
