"""Knows which segments of an export have no receipt, and which of these should have one.

The newest segment of a log has none until it is rotated. One that ended before a later segment of
its log began should have one by the time that the later one has its own, or some minutes later:
else somebody put it in, or what proved it is not there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.exports.record import (
    ExportRecord,
    Receipt,
    source_of,
    text_of,
)
from k8s_audit_otlp.tools.verify.exports.uids import UidPlace
from k8s_audit_otlp.tools.verify.rebuilt_fields import PREFIX, derive

# Of a file's path: its folder, and what all files of its log are called alike.
_LOG: Final = re.compile(r"(.*/)?(.*?)(?=[-._]*\d|\.log|$).*", re.DOTALL)
_LATE_NS: Final = 1_800_000_000_000  # a receipt waits for every record, quarantined ones too


@dataclass(slots=True)
class _Written:
    """A segment: its log ("" where that cannot be told), and its first and last record."""

    log: str
    first: tuple[int, str]  # place and body
    last: tuple[int, str]
    records: int = 0


class Unreceipted(NamedTuple):
    """A segment without a receipt; times are in ns since 1970, 0 unknown."""

    identity: str
    log: str
    first_ns: int
    last_ns: int
    records: int


class Segments:
    """Takes in events and receipts."""

    def __init__(self) -> None:
        self._of: dict[str, _Written] = {}  # by identity
        self._receipts: dict[str, tuple[int, int]] = {}  # by chain: newest number, its first event
        self._receipted: dict[str, set[str]] = {}  # by chain: identities

    def take_event(self, place: UidPlace, item: ExportRecord) -> None:
        here = self._of.get(place.identity)
        at = place.place, item.body or ""
        if here is None:
            self._of[place.identity] = _Written(_log_of(item.beside or {}), at, at, 1)
            return
        here.records += 1
        if at[0] >= here.last[0]:
            here.last = at
        elif at[0] < here.first[0]:
            here.first = at

    def take_receipt(self, receipt: Receipt) -> None:
        self._receipted.setdefault(receipt.chain, set()).add(receipt.identity)
        if receipt.chain and receipt.first_event_ns and not receipt.replayed:
            begin = receipt.number, receipt.first_event_ns
            self._receipts[receipt.chain] = max(self._receipts.get(receipt.chain, (0, 0)), begin)

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
            )
            for identity, here in self._of.items()
            if identity not in receipted
        ]

    def overdue(self, without: Sequence[Unreceipted], newest_ns: int) -> Iterator[str]:
        """Name those of *without* that should have a receipt."""
        receipted, begun = self._begins(), dict[str, int]()
        for each in without:
            if 0 < each.first_ns < newest_ns - _LATE_NS:
                begun[each.log] = max(each.first_ns, begun.get(each.log, 0))
        for each in without:
            begins = receipted.get(each.log, [0])  # an exporter may be days behind another
            later_ns = begun.get(each.log, 0) if each.first_ns >= max(begins) else min(begins)
            if each.log and 0 < max(each.first_ns, each.last_ns) < later_ns:
                yield (
                    f"{counted(each.records, 'record')} of {each.identity} are under no receipt, "
                    "and a later segment of their log is there: they were put in, their receipt "
                    "was taken out or waits for a record that the back end fails to take, or the "
                    "node's clock was set back"
                )

    def _begins(self) -> dict[str, list[int]]:
        """Return by log when the newest segment began that has a receipt, for each chain."""
        begins: dict[str, list[int]] = {}
        for chain, (_, first_ns) in self._receipts.items():
            begins.setdefault(self.log_of(chain), []).append(first_ns)
        return begins

    def log_of(self, chain: str) -> str:
        """Name the log of a chain's receipts; "" where no event of them tells it."""
        here = (self._of[i].log for i in self._receipted.get(chain, ()) if i in self._of)
        return next(here, "")


def _log_of(beside: Mapping[str, Any]) -> str:
    """Name the log of a record by its node and its file's path; "" where the export has none."""
    found = _LOG.match(text_of(beside, "log.file.path"))
    return f"{source_of(beside)} {found[1]}{found[2]}" if found and found[1] else ""


def _time_of(identity: str, record: tuple[int, str]) -> int:
    (derived,) = derive([(UidPlace(identity, record[0]), record[1])], PREFIX)
    return derived.time_ns if derived else 0
