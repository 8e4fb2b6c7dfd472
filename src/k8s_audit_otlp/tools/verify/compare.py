"""Compares the segments on disk with an export: what is missing, repeated or foreign.

Memory: eight bytes for each record of the export, nine for each event of the segment that is being
compared; segments are compared one after the other.
"""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.disk import NOTHING, DiskSegment
from k8s_audit_otlp.tools.verify.exports.record import (
    CHAIN_ID,
    SEGMENT,
    ExportRecord,
    Receipt,
    body_of,
    field_of,
    gap_text,
    is_event,
    text_of,
)
from k8s_audit_otlp.tools.verify.exports.uids import (
    MOST_NAMED,
    NotedGap,
    is_notice,
    offset_of,
    read_gap,
    read_uid,
    uid_of,
)
from k8s_audit_otlp.tools.verify.report import SegmentReport, VerifyReport, holes
from k8s_audit_otlp.tools.verify.unreceipted import log_of


class Comparison:
    """Takes in an export, then the segments; `report` says how they differ."""

    def __init__(self) -> None:
        self.arrived: dict[str, array[int]] = {}  # by identity: places, in the order of the export
        self._log_of: dict[str, str] = {}  # by identity; "" where records do not tell it
        self._logs_on_disk: set[str] = set()
        self._receipts: dict[str, dict[str, Receipt]] = {}  # by identity and chain
        self._numbers: dict[tuple[str, str, str], set[int]] = {}  # of each log and exporter
        self._gaps: dict[str, list[NotedGap]] = {}
        self._told: dict[tuple[str, bool], set[str]] = {}  # by identity, and whether it is a link
        # Told to all, of an exporter whose chain is in another back end; older versions link none.
        self._unlinked: list[NotedGap] = []
        self._linked = False
        self._doubts: dict[str, set[str]] = {}  # by identity: stretches of which nothing is proven
        self._replayed: set[str] = set()  # segments of which a replay may have sent more
        self._report = VerifyReport()

    def take(self, item: ExportRecord) -> None:
        self._report.records += 1
        place = read_uid(item.uid)
        if place is not None:
            if (arrived := self.arrived.get(place.identity)) is None:
                arrived = self.arrived[place.identity] = array("Q")
                self._log_of[place.identity] = log_of(item.beside or {})
            arrived.append(place.place)
        elif item.own is not None and is_event(item.own):
            self._report.strays += 1
            if self._report.strays <= MOST_NAMED:
                self._report.stray_uids.append(item.uid or "one without a uid")
        else:
            self._take_other(item)

    def _take_other(self, item: ExportRecord) -> None:
        uid, receipt, own, *_ = item
        if own is not None and text_of(own, "k8s.audit.gap.reason") == "unseen":
            told = body_of(own) or "events may be missing"
            self._doubts.setdefault(text_of(own, SEGMENT + "identity"), set()).add(told)
        is_link = own is not None and bool(field_of(own, CHAIN_ID))
        self._linked |= is_link
        if (gap := read_gap(uid)) is not None:
            self._told.setdefault((gap.identity, is_link), set()).add(gap_text(own or {}))
            if is_link or own is None:
                self._gaps.setdefault(gap.identity, []).append(gap)
            else:
                self._unlinked.append(gap)
        elif receipt is not None and not receipt.replayed:
            of = self._receipts.setdefault(receipt.identity, {})
            known = of.get(receipt.chain, receipt)
            of[receipt.chain] = max(receipt, known, key=lambda each: each.weight)
            if receipt.number > 0:
                log = (receipt.source, receipt.exporter, receipt.chain)
                self._numbers.setdefault(log, set()).add(receipt.number)
        elif receipt is not None:
            self._replayed.add(receipt.identity)
        elif not is_notice(uid):
            self._report.unknown += 1
            return
        self._report.notices += 1

    def _settle_gaps(self) -> None:
        """Count gaps that are no links where nothing is: an older version told of them."""
        if not self._linked:
            for gap in self._unlinked:
                self._gaps.setdefault(gap.identity, []).append(gap)
        self._unlinked.clear()

    def compare(self, segment: DiskSegment) -> None:
        """Hold one segment against what arrived of it."""
        self._settle_gaps()
        identity = segment.identity
        self._logs_on_disk.add(self._log_of.get(identity, ""))
        arrived = self.arrived.pop(identity, array("Q"))
        cut = self._join_parts(segment, arrived)
        receipts, gaps = self._receipts.pop(identity, {}), self._gaps.pop(identity, [])
        if not segment.wanted:
            return
        found, seen, lowest = _matched(segment, arrived)
        self._explain(found, segment, seen, gaps)
        if segment.begin == 0:  # a receipt says nothing about a part, as --since asks for
            self._hold_against_receipts(found, receipts)
        told_of = bool(gaps) or cut <= lowest < NOTHING
        why = _why_open(found, segment, offset_of(lowest), told_of=told_of)
        if found.foreign and (why or segment.damage):
            if not segment.damage:  # which is told of by itself
                what = counted(found.foreign, "record")
                self._report.unjudged.append(f"{segment.name}: {what} that are not in it: {why}")
            found.foreign, found.foreign_uids = 0, []
        if segment.damage and not (told_of or found.receipt):
            self._report.unjudged.append(f"{segment.name} {segment.damage}")
        self._report.segments.append(found)

    def _join_parts(self, segment: DiskSegment, arrived: "array[int]") -> int:
        """Add what arrived as `<identity>.2` and so on, where that is a part of this file.

        Return where the first of them begins: what lay there before the cut is gone.

        A log that was cut and written on is one file here and several segments to the agent. Their
        records lie behind the beginning of the file; those of another segment that happens to
        begin with the same event do not.
        """
        identity, places, cut = segment.identity, segment.places, NOTHING
        for name in [n for n in self.arrived if n.rpartition(".")[0] == identity]:
            part = self.arrived[name]
            if places and min(part) > places[0] and all(segment.index_of(p) >= 0 for p in part):
                cut = min(cut, *part)
                arrived.extend(self.arrived.pop(name))
                self._gaps.setdefault(identity, []).extend(self._gaps.pop(name, []))
                own = self._receipts.get(identity, {})
                for chain, receipt in self._receipts.pop(name, {}).items():
                    if chain in own:
                        own[chain] = own[chain].with_part(receipt)
        return cut

    def _explain(
        self, found: SegmentReport, segment: DiskSegment, seen: bytearray, gaps: Sequence[NotedGap]
    ) -> None:
        last = seen.rfind(1) if segment.live else len(seen)
        at = seen.find(0)
        while at >= 0:
            place = segment.places[at]
            told = any(g.start <= offset_of(place) < g.end for g in gaps)
            found.told += told
            if at > last and not told:
                found.pending += 1
            elif len(found.missing_uids) < MOST_NAMED:
                found.missing_uids.append(uid_of(found.identity, place))
            at = seen.find(0, at + 1)
        found.missing -= found.pending
        if segment.damage:
            found.remarks.append(f"the file {segment.damage}")

    def _hold_against_receipts(self, found: SegmentReport, receipts: Mapping[str, Receipt]) -> None:
        if not receipts:
            return
        receipt = found.receipt = max(receipts.values(), key=lambda each: each.weight)
        # Exporters with policies, or that began in the middle, send some of it each.
        delivered = sum(each.delivered for each in receipts.values() if each.chain)
        found.most = max(receipt.delivered, delivered)
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
            for of in (self.arrived, self._receipts, self._gaps):
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
            if identity in self._doubts and identity not in self._receipts:
                report.unjudged += (f"{identity}: {x}" for x in sorted(self._doubts[identity]))
            elif found.missing and identity in parts:
                report.unjudged.append(f"{identity}: only its end is asked for, and it is gone")
            else:
                report.segments.append(found)
        report.unjudged += [
            f"{identity}: {counted(len(places), 'record')} of this log, in no file of it and under "
            "no receipt: put in, or the file is gone and its receipt is not in the export"
            for identity, places in self.arrived.items()
            if (log := self._log_of[identity]) and log in self._logs_on_disk
        ]
        report.elsewhere_segments = len(self.arrived)
        report.elsewhere = sum(map(len, self.arrived.values()))
        report.missing_receipts = [
            f"{exporter or 'an exporter'}{' at ' + source if source else ''}: receipt {hole}"
            for (source, exporter, _), numbers in sorted(self._numbers.items())
            for hole in holes(numbers)
        ]
        return report.judged()

    def _unseen(self, identity: str) -> SegmentReport:
        """Judge a segment of which only the records and what the agent said are left.

        After a gap more may have arrived than the receipt says: a killed agent had no time to note
        what was delivered, and the next one found no file.
        """
        found = SegmentReport(identity)
        arrived = self.arrived.pop(identity, array("Q"))
        found.arrived = len(arrived) if _ascends(arrived) else len(set(arrived))
        found.repeated = len(arrived) - found.arrived
        found.gaps = len(set(self._gaps.get(identity, [])))
        self._hold_against_receipts(found, self._receipts.get(identity, {}))
        if (receipt := found.receipt) is not None:
            found.gaps = max(found.gaps, receipt.gaps)
            more = max(0, found.arrived - found.most)
            found.missing = max(0, receipt.delivered - found.arrived)
            found.missing += max(0, receipt.given_up - more)
            is_open = found.gaps or identity in self._replayed
            found.foreign = 0 if is_open else max(0, more - receipt.given_up)
        if found.gaps:
            told = counted(found.gaps, "gap")
            texts = self._told.get((identity, True)) or self._told.get((identity, False)) or {""}
            found.remarks.append(f"{told} told by the agent: {min(texts) or 'nobody saw its end'}")
        return found


def _matched(segment: DiskSegment, arrived: "array[int]") -> tuple[SegmentReport, bytearray, int]:
    """Return what of a segment arrived, a byte for each of its events, the lowest foreign place."""
    seen, lowest = bytearray(len(segment.places)), NOTHING
    found = SegmentReport(segment.identity, segment.name, segment.size, len(seen))
    for place in arrived:
        if place < segment.begin:
            continue
        index = segment.index_of(place)
        if index < 0:
            found.foreign += 1
            lowest = min(lowest, place)
            if found.foreign <= MOST_NAMED:
                found.foreign_uids.append(uid_of(segment.identity, place))
        else:
            found.repeated += seen[index]
            seen[index] = 1
    found.arrived = sum(seen)
    found.missing = len(seen) - found.arrived
    return found, seen, lowest


def _why_open(found: SegmentReport, segment: DiskSegment, lowest: int, *, told_of: bool) -> str:
    """Say why the file may have lost what records name that it does not hold; "" where it cannot.

    *lowest*: the first byte that one of them names.
    """
    receipt, count = found.receipt, found.arrived + found.foreign
    if told_of or (receipt is not None and receipt.gaps):
        return "a part of it was lost after it was sent"
    if receipt is None and segment.live and lowest >= segment.size:
        return "they lie behind its end: it was cut since they were sent, or they were put in"
    if (
        receipt is not None
        and receipt.bytes > segment.size
        and count <= receipt.given_up + found.most
    ):
        return "it is shorter than what was sent"
    is_own = segment.begins_with_event
    return "" if is_own else "its first line is no event, so another node's log may begin alike"


def _ascends(places: "array[int]") -> bool:
    """Say whether each is greater than the one before: none is there twice."""
    return all(map(int.__lt__, places, islice(places, 1, None)))
