"""Compares the segments on disk with an export: what is missing, repeated or foreign.

Memory: eight bytes for each record of the export, nine for each event of the segment that is being
compared; segments are compared one after the other.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from itertools import islice, pairwise
from types import MappingProxyType

from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.disk import NOTHING, DiskSegment
from k8s_audit_otlp.tools.verify.exports.record import (
    CHAIN_ID,
    ExportRecord,
    Receipt,
    field_of,
    is_event,
)
from k8s_audit_otlp.tools.verify.exports.uids import (
    ToldGap,
    is_notice,
    offset_of,
    read_gap,
    read_uid,
    uid_of,
)
from k8s_audit_otlp.tools.verify.report import SegmentReport, VerifyReport

EXAMPLES = 5  # uids that are named for each segment


class Comparison:
    """Takes in an export, then the segments; `report` says how they differ."""

    def __init__(self) -> None:
        self._arrived: dict[str, array[int]] = {}
        self._receipts: dict[str, Receipt] = {}
        self._delivered: dict[str, dict[str, int]] = {}  # by identity and chain
        self._numbers: dict[tuple[str, str, str], set[int]] = {}  # of each log and exporter
        self._gaps: dict[str, list[ToldGap]] = {}
        # Told to all, of an exporter whose chain is in another back end; older versions link none.
        self._unlinked: list[ToldGap] = []
        self._linked = False
        self._replayed: set[str] = set()  # segments of which a replay may have sent more
        self._report = VerifyReport()

    def take(self, items: Iterable[ExportRecord]) -> None:
        """Take in the records of an export."""
        for uid, receipt, own, *_ in items:
            self._report.records += 1
            place = read_uid(uid)
            if place is not None:
                arrived = self._arrived.get(place.identity)
                if arrived is None:
                    arrived = self._arrived[place.identity] = array("Q")
                arrived.append(place.place)
            elif own is not None and is_event(own):
                self._report.strays += 1
                if self._report.strays <= EXAMPLES:
                    self._report.stray_uids.append(uid or "one without a uid")
            else:
                self._take_other(uid, receipt, own)

    def _take_other(
        self, uid: str, receipt: Receipt | None, own: Mapping[str, object] | None
    ) -> None:
        report = self._report
        is_link = own is not None and bool(field_of(own, CHAIN_ID))
        self._linked |= is_link
        if (gap := read_gap(uid)) is not None:
            if is_link or own is None:
                self._gaps.setdefault(gap.identity, []).append(gap)
            else:
                self._unlinked.append(gap)
        elif receipt is not None and not receipt.replayed:
            known = self._receipts.get(receipt.identity)
            if known is None or known.weight <= receipt.weight:
                self._receipts[receipt.identity] = receipt
            if receipt.chain:
                of_chain = self._delivered.setdefault(receipt.identity, {})
                of_chain[receipt.chain] = receipt.delivered
            if receipt.number > 0:
                of = (receipt.source, receipt.exporter, receipt.chain)
                self._numbers.setdefault(of, set()).add(receipt.number)
        elif receipt is not None:
            self._replayed.add(receipt.identity)
        elif not is_notice(uid):
            report.unknown += 1
            return
        report.notices += 1

    def _settle_gaps(self) -> None:
        """Count gaps that are no links where nothing is: an older version told of them."""
        if not self._linked:
            for gap in self._unlinked:
                self._gaps.setdefault(gap.identity, []).append(gap)
        self._unlinked.clear()

    def compare(self, segment: DiskSegment) -> None:
        """Hold one segment against what arrived of it."""
        self._settle_gaps()
        identity, places = segment.identity, segment.places
        arrived = self._arrived.pop(identity, array("Q"))
        cut = self._join_parts(identity, places, arrived)
        if not segment.wanted:
            self._receipts.pop(identity, None)
            self._gaps.pop(identity, None)
            return
        found = SegmentReport(identity, segment.name, segment.size, len(places))
        seen, lowest = bytearray(len(places)), NOTHING
        for place in arrived:
            if place < segment.begin:
                continue
            index = bisect_left(places, place)
            if index == len(places) or places[index] != place:
                found.foreign += 1
                lowest = min(lowest, place)
                if found.foreign <= EXAMPLES:
                    found.foreign_uids.append(uid_of(identity, place))
            elif seen[index]:
                found.repeated += 1
            else:
                seen[index] = 1
                found.arrived += 1
        found.missing = len(places) - found.arrived
        told_of = bool(self._gaps.get(identity))
        self._explain(found, segment, seen)
        if segment.begin == 0:
            self._hold_against_receipt(found)
        if found.foreign:
            told_of |= lowest >= cut
            self._excuse_foreign(found, segment, offset_of(lowest), told_of=told_of)
        self._receipts.pop(identity, None)  # it says nothing about a part, as --since asks for
        if segment.damage and not (told_of or found.receipt):
            self._report.unjudged.append(f"{segment.name} {segment.damage}")
        self._report.segments.append(found)

    def _excuse_foreign(
        self, found: SegmentReport, segment: DiskSegment, lowest: int, *, told_of: bool
    ) -> None:
        """Leave open what became of records of which the file may have lost the events since.

        *lowest*: the first byte that one of them names.
        """
        receipt, count, why = found.receipt, found.foreign, ""
        if segment.damage:
            pass  # which is told of by itself
        elif told_of or (receipt is not None and receipt.gaps):
            why = "a part of it was lost after it was sent"
        elif receipt is None and segment.live and lowest >= segment.size:
            why = "they lie behind its end: it was cut since they were sent, or they were put in"
        elif (
            receipt is not None
            and receipt.bytes > segment.size
            and (found.arrived + count <= found.most + receipt.given_up)
        ):
            why = "it is shorter than what was sent"
        elif not segment.begins_with_event:
            why = "its first line is no event, so another node's log may begin alike"
        else:
            return
        if why:
            line = f"{segment.name}: {counted(count, 'record')} that are not in it: {why}"
            self._report.unjudged.append(line)
        found.foreign, found.foreign_uids = 0, []

    def _join_parts(self, identity: str, places: "array[int]", arrived: "array[int]") -> int:
        """Add what arrived as `<identity>.2` and so on, where that is a part of this file.

        Return where the first of them begins: what lay there before the cut is gone.

        A log that was cut and written on is one file here and several segments to the agent. Their
        records lie behind the beginning of the file; those of another segment that happens to
        begin with the same event do not.
        """
        cut = NOTHING
        for name in [n for n in self._arrived if n.rpartition(".")[0] == identity]:
            part = self._arrived[name]
            if places and min(part) > places[0] and all(_holds(places, p) for p in part):
                cut = min(cut, *part)
                arrived.extend(self._arrived.pop(name))
                self._gaps.setdefault(identity, []).extend(self._gaps.pop(name, []))
                own, other = self._receipts.get(identity), self._receipts.pop(name, None)
                if own is not None and other is not None:
                    self._receipts[identity] = own.with_part(other)
        return cut

    def _explain(self, found: SegmentReport, segment: DiskSegment, seen: bytearray) -> None:
        gaps = self._gaps.pop(found.identity, [])
        at = seen.find(0)
        while at >= 0:
            place = segment.places[at]
            found.told += any(g.start <= offset_of(place) < g.end for g in gaps)
            if len(found.missing_uids) < EXAMPLES:
                found.missing_uids.append(uid_of(found.identity, place))
            at = seen.find(0, at + 1)
        if segment.live and not found.told and seen.find(1, len(seen) - found.missing) < 0:
            found.pending, found.missing, found.missing_uids = found.missing, 0, []
        if segment.damage:
            found.remarks.append(f"the file {segment.damage}")

    def _hold_against_receipt(self, found: SegmentReport) -> None:
        receipt = found.receipt = self._receipts.pop(found.identity, None)
        if receipt is None:
            return
        # Exporters with policies, or that began in the middle, send some of it each.
        delivered = self._delivered.pop(found.identity, {}).values()
        found.most = max(receipt.delivered, sum(delivered))
        if not receipt.delivered <= found.arrived <= found.most + receipt.given_up:
            found.remarks.append(
                f"the receipt says {receipt.delivered} delivered, {found.arrived} arrived"
            )
        if -1 not in (receipt.bytes, found.size) and receipt.bytes != found.size:
            found.remarks.append(f"the receipt says {receipt.bytes} bytes, the file {found.size}")
        for count, what in ((receipt.dead_lettered, "dead-lettered"), (receipt.refused, "refused")):
            if count:
                found.remarks.append(f"{count} {what}, by the receipt")

    def leave_out(self, identities: Iterable[str]) -> None:
        """Forget what was taken in of some segments; their receipts still count as there."""
        self._settle_gaps()
        for identity in identities:
            for of in (self._arrived, self._receipts, self._gaps):
                of.pop(identity, None)

    def report(
        self, damage: Mapping[str, str] = MappingProxyType({}), parts: Collection[str] = ()
    ) -> VerifyReport:
        """Judge what is left: segments that are not on disk any more are held by their receipts.

        *damage*: by name, why a file on disk was not compared. *parts*: identities of segments of
        which a part is asked for.
        """
        self._settle_gaps()
        report = self._report
        report.unjudged += [f"{name}: {why}" for name, why in damage.items()]
        for identity in dict.fromkeys([*self._receipts, *self._gaps]):
            found = self._unseen(identity)
            if found.missing and identity in parts:
                report.unjudged.append(f"{identity}: only its end is asked for, and it is gone")
            else:
                report.segments.append(found)
        report.elsewhere_segments = len(self._arrived)
        report.elsewhere = sum(map(len, self._arrived.values()))
        report.missing_receipts = [
            f"{exporter or 'an exporter'}{' at ' + source if source else ''}: receipt {hole}"
            for (source, exporter, _), numbers in sorted(self._numbers.items())
            for hole in _holes(numbers)
        ]
        return report

    def _unseen(self, identity: str) -> SegmentReport:
        """Judge a segment of which only the records and what the agent said are left.

        After a gap more may have arrived than the receipt says: a killed agent had no time to note
        what was delivered, and the next one found no file.
        """
        found = SegmentReport(identity)
        arrived = self._arrived.pop(identity, array("Q"))
        found.arrived = len(arrived) if _ascends(arrived) else len(set(arrived))
        found.repeated = len(arrived) - found.arrived
        found.gaps = len(set(self._gaps.get(identity, [])))
        self._hold_against_receipt(found)
        if (receipt := found.receipt) is not None:
            found.gaps = max(found.gaps, receipt.gaps)
            more = max(0, found.arrived - found.most)
            found.missing = max(0, receipt.delivered - found.arrived)
            found.missing += max(0, receipt.given_up - more)
            is_open = found.gaps or identity in self._replayed
            found.foreign = 0 if is_open else max(0, more - receipt.given_up)
        if found.gaps:
            told = counted(found.gaps, "gap")
            found.remarks.append(f"{told} told by the agent: events of it are lost")
        return found


def _ascends(places: "array[int]") -> bool:
    """Say whether each is greater than the one before: none is there twice."""
    return all(map(int.__lt__, places, islice(places, 1, None)))


def _holds(places: "array[int]", place: int) -> bool:
    index = bisect_left(places, place)
    return index < len(places) and places[index] == place


def _holes(numbers: set[int]) -> list[str]:
    """Name the runs of numbers that lie between those that are there."""
    known = sorted(numbers)
    return [
        f"{one + 1}" if other - one == 2 else f"{one + 1} to {other - 1}"
        for one, other in pairwise(known)
        if other - one > 1
    ]
