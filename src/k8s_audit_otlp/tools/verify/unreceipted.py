"""Knows which segments of an export have no receipt, and which of these should have one.

The newest segment of a log has none until it is rotated. Until then seals name it: from a second
after it was found on, and every ten minutes. What no seal names, and is not newer than the newest
of its log, somebody put in, or what proved it is not there.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from k8s_audit_otlp.evidence.seal import INTERVAL_S
from k8s_audit_otlp.tools.text import counted, time_of
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt, source_of, text_of
from k8s_audit_otlp.tools.verify.exports.uids import UidPlace, uid_of
from k8s_audit_otlp.tools.verify.rebuilt_fields import PREFIX, derive

# Of a file's path: its folder, and what all files of its log are called alike.
_LOG: Final = re.compile(r"(.*/)?(.*?)(?=[-._]+\d{4}|\.log|\.\d+(\.gz)?$|$).*", re.DOTALL)
LATE_NS: Final = int((INTERVAL_S + 60) * 1e9)  # after a seal; a minute later than one is due
_DISORDER_NS: Final = 60_000_000_000  # events are about in the order of their times


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
    uid: str  # of the first one

    @property
    def until_ns(self) -> int:
        return max(self.first_ns, self.last_ns)


class Segments:
    """Takes in events and receipts."""

    def __init__(self) -> None:
        self._of: dict[str, _Written] = {}  # by identity
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

    def unnamed(
        self, without: Iterable[Unreceipted], named: Container[str], sealed_ns: Mapping[str, int]
    ) -> Iterator[str]:
        """Name those of *without* that no seal names, and that should be named.

        *sealed_ns*: by chain the time of its newest seal. What came after that may be unnamed,
        as long as no other seal is due.
        """
        newest: dict[str, int] = {}
        for chain, ns in sealed_ns.items():
            for log in (self.log_of(chain), ""):
                newest[log] = max(ns, newest.get(log, 0))
        for each in without:
            sealed = newest.get(each.log, newest.get("", 0))
            if each.last_ns >= sealed + LATE_NS:
                why = f"the newest seal of its log is of {time_of(sealed)}"
            elif each.identity not in named and each.first_ns <= sealed - _DISORDER_NS:
                why = "no seal names their segment"
            else:
                continue
            yield (
                f"{each.identity}: {counted(each.records, 'record')}, from {each.uid} on, under no "
                f"receipt, and {why}: put in, or the agent was killed before it could seal them, "
                "or what proved them was taken out or is not in the export"
            )

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
