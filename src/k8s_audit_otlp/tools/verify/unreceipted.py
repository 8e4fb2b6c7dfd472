"""Knows which segments of an export have no receipt, and which of these should have one.

The newest segment of a log has none until it is rotated. One that ended before a later segment of
its log began should have one by the time that the later one has its own, or some minutes later:
else somebody put it in, or what proved it is not there. So it is with one whose time lies within
that of another: a log is one file after the other.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt, source_of, text_of
from k8s_audit_otlp.tools.verify.exports.uids import UidPlace, uid_of
from k8s_audit_otlp.tools.verify.rebuilt_fields import PREFIX, derive

# Of a file's path: its folder, and what all files of its log are called alike.
_LOG: Final = re.compile(r"(.*/)?(.*?)(?=[-._]+\d{4}|\.log|\.\d+(\.gz)?$|$).*", re.DOTALL)
_LATE_NS: Final = 1_800_000_000_000  # a receipt waits for every record, quarantined ones too
_DISORDER_NS: Final = 900_000_000_000  # events are about in the order of their times


@dataclass(slots=True)
class _Written:
    """A segment: its log ("" where that cannot be told), and its first and last record."""

    log: str
    first: tuple[int, str]  # place and body
    last: tuple[int, str]
    records: int = 0


class _Newest(NamedTuple):
    """The newest receipt of a chain, and when the first and the last event of it happened."""

    number: int
    first_ns: int
    last_ns: int


class Unreceipted(NamedTuple):
    """A segment without a receipt; times are in ns since 1970, 0 unknown."""

    identity: str
    log: str
    first_ns: int
    last_ns: int
    records: int
    uid: str  # of the first one

    @property
    def until_ns(self) -> int:
        return max(self.first_ns, self.last_ns)

    def lies_within(self, first_ns: int, last_ns: int) -> bool:
        """Tell whether all of it happened well within that time."""
        return first_ns + _DISORDER_NS < self.first_ns <= self.until_ns < last_ns - _DISORDER_NS


class Segments:
    """Takes in events and receipts."""

    def __init__(self) -> None:
        self._of: dict[str, _Written] = {}  # by identity
        self._receipts: dict[str, _Newest] = {}  # by chain
        self._receipted: dict[str, set[str]] = {}  # by chain: identities

    def take_event(self, place: UidPlace, item: ExportRecord) -> None:
        here = self._of.get(place.identity)
        at = place.place, item.body or ""
        if here is None:
            self._of[place.identity] = _Written(log_of(item.beside or {}), at, at, 1)
            return
        here.records += 1
        if at[0] >= here.last[0]:
            here.last = at
        elif at[0] < here.first[0]:
            here.first = at

    def take_receipt(self, receipt: Receipt) -> None:
        self._receipted.setdefault(receipt.chain, set()).add(receipt.identity)
        if receipt.chain and receipt.first_event_ns and not receipt.replayed:
            said = _Newest(receipt.number, receipt.first_event_ns, receipt.last_event_ns)
            self._receipts[receipt.chain] = max(self._receipts.get(receipt.chain, said), said)

    def newest_ns(self) -> int:
        """Return the time of the newest event that ends a segment; 0 where none has one."""
        return max((_time_of(i, here.last) for i, here in self._of.items()), default=0)

    def without_receipt(self, left_out: set[str]) -> list[Unreceipted]:
        receipted = left_out.union(*self._receipted.values())
        return [
            Unreceipted(
                identity,
                here.log,
                _time_of(identity, here.first),
                _time_of(identity, here.last),
                here.records,
                uid_of(identity, here.first[0]),
            )
            for identity, here in self._of.items()
            if identity not in receipted
        ]

    def overdue(self, without: Sequence[Unreceipted], newest_ns: int) -> Iterator[str]:
        """Name those of *without* that should have a receipt."""
        newest, begun = self._newest(), dict[str, int]()
        for each in without:
            if 0 < each.first_ns < newest_ns - _LATE_NS:
                begun[each.log] = max(each.first_ns, begun.get(each.log, 0))
        for each in without:
            if each.until_ns <= 0:
                continue
            if self._is_overdue(each, newest.get(each.log, []), begun.get(each.log, 0)):
                why = "a later segment of its log is there"
            elif each.log and any(
                each.lies_within(other.first_ns, other.last_ns)
                for other in without
                if other.log == each.log
            ):
                why = "it is of the time of another segment of its log"
            else:
                continue
            yield (
                f"{each.identity}: {counted(each.records, 'record')}, from {each.uid} on, under "
                f"no receipt, and {why}: put in, or the receipt was taken out or waits for a "
                "record that the back end fails to take, or the node's clock was set back"
            )

    def _is_overdue(self, each: Unreceipted, newest: Sequence[_Newest], begun_ns: int) -> bool:
        """*newest*: of each chain of its log; an exporter may be days behind another."""
        if not each.log:
            return False
        if each.first_ns < max((said.first_ns for said in newest), default=0):
            begun_ns = min(said.first_ns for said in newest)
        ended_ns = min((said.last_ns for said in newest), default=0)
        return each.until_ns < max(begun_ns, ended_ns - _DISORDER_NS)

    def _newest(self) -> dict[str, list[_Newest]]:
        """Return by log the newest receipt of each chain."""
        newest: dict[str, list[_Newest]] = {}
        for chain, said in self._receipts.items():
            newest.setdefault(self.log_of(chain), []).append(said)
        return newest

    def log_of(self, chain: str) -> str:
        """Name the log of a chain's receipts; "" where no event of them tells it."""
        here = (self._of[i].log for i in self._receipted.get(chain, ()) if i in self._of)
        return next(here, "")


def log_of(beside: Mapping[str, Any]) -> str:
    """Name the log of a record by its node and its file's path; "" where the export has none."""
    found = _LOG.match(text_of(beside, "log.file.path"))
    return f"{source_of(beside)} {found[1]}{found[2]}" if found and found[1] else ""


def _time_of(identity: str, record: tuple[int, str]) -> int:
    (derived,) = derive([(UidPlace(identity, record[0]), record[1])], PREFIX)
    return derived.time_ns if derived else 0
