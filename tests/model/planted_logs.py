"""Logs and ledgers with a fault each, of the kinds that lose events elsewhere.

Each is an override: where the method it replaces has another name now, mypy says so.
"""

import os
from collections.abc import Mapping

from msgspec.structs import replace
from typing_extensions import override

from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.discovery.unreadable_files import ScanResult
from k8s_audit_otlp.receiver.listing import Entry, list_log
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.log_file import LogFile, open_log_file
from k8s_audit_otlp.receiver.marks import Farthest
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.ledger import Ledger, Place, Tally, Ticket


class EarlyLedger(Ledger):
    """Moves the position when a batch is made, not when it is acknowledged."""

    @override
    def open(self, span: Span, mark: str = "", read: int = 0) -> Ticket:
        ticket = super().open(span, mark, read)
        super().settle(ticket, Tally())
        return ticket


class ForgetfulLedger(Ledger):
    """Counts what was delivered since the last start."""

    def __init__(self, places: Mapping[int, Place]) -> None:
        forgotten = {n: replace(place, tally=Tally()) for n, place in places.items()}
        super().__init__(forgotten)


class HastyLog(AuditLog):
    """Looks at the live file and the newest backup: who rotates twice in between loses one."""

    @override
    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        return super()._bind(entries[-2:], final=final)


class PackedLog(AuditLog):
    """Takes the `.gz` of a backup as soon as it is there, half-written or not."""

    @override
    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        listed = list_log(self.path)
        packed = {e.name.base for e in listed if e.name.compressed}
        plain = [e for e in listed if e.name.compressed or e.name.base not in packed]
        return super()._bind(plain, final=final)


class NameOrderedLog(AuditLog):
    """Reads backups in the order of the times in their names, whatever the clock did."""

    @override
    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        bound = super()._bind(entries, final=final)
        self._known._segments = {s.seq: s for s in sorted(self._known, key=_age)}
        return bound


def _age(segment: Segment) -> tuple[int, str]:
    return segment.name.age if segment.name else (-1, "")


class InodeLog(AuditLog):
    """Goes on at the old offset when the log was cut, because the inode is the same."""

    @override
    def _unchanged(self, segment: Segment) -> bool:
        return True


class AssumingLog(AuditLog):
    """Takes it that what it finds follows what it knew."""

    @override
    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        found = super()._bind(entries, final=final)
        for segment in self._known:
            if segment.state.lost:
                segment.state.size = 0
        return found


class NumberedLog(AuditLog):
    """Keeps positions as numbers, without a mark of the bytes before them."""

    @override
    def was_read(self, segment: Segment, source: LogFile, farthest: Farthest | None) -> None:
        super().was_read(segment, source, farthest and farthest._replace(marks=[], lines=b""))


class DeafLog(AuditLog):
    """Takes a file that may not be read for one that is not there."""

    @override
    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        there = [e for e in entries if os.access(e.path, os.R_OK, effective_ids=True)]
        return super()._bind(there, final=final)


class BrokenLog(AuditLog):
    """Takes a file whose disk gives an error, or whose head is damaged, for one without a line."""

    @override
    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        return super()._bind([e for e in entries if _can_be_read(e)], final=final)


def _can_be_read(entry: Entry) -> bool:
    try:
        return open_log_file(entry.path, compressed=entry.name.compressed).readable
    except PermissionError:
        return True
    except OSError:
        return False


class FirstLog(AuditLog):
    """Takes the first line that it finds for the first one that was written."""

    @override
    def _bind(self, entries: list[Entry], *, final: bool) -> ScanResult:
        found = super()._bind(entries, final=final)
        for segment in self._known:
            if segment.state.lost and segment.seq == 1:
                segment.state.size = 0
        return found


class TwinLog(AuditLog):
    """Takes it that a packed file holds what was known of the plain one, and no more."""

    @override
    def scan(self) -> None:
        plain = {s.seq: s.state.size for s in self.segments() if not s.compressed and s.source}
        super().scan()
        for segment in self.segments():
            if segment.seq in plain and segment.name and segment.name.compressed:
                segment.state.size, segment.state.complete = plain[segment.seq], True
                segment.release()


class ClosedLog(AuditLog):
    """Takes the first end of a rotated file for its last one."""

    @override
    def scan(self) -> None:
        ends = {s.seq: s.state.size for s in self.segments() if s.state.closed_ns}
        super().scan()
        for segment in self.segments():
            segment.state.size = min(segment.state.size, ends.get(segment.seq, 1 << 60))
