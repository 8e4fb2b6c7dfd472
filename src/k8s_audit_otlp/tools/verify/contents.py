"""Holds what the records of an export say against the hashes in the receipts of their segments.

A record that was changed, taken out or put in is found, and up to two of a segment are named by
their uids. Nothing but uid and body is judged: they are what every back end gives back as it got
it. A record is untouched if a receipt speaks of it, that of its exporter or of a replay.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8s_audit_otlp.evidence.chain import REPLAYED
from k8s_audit_otlp.state.content_hash import DIGEST_BYTES, PRIME, digest_of
from k8s_audit_otlp.state.outbox import EXPORTER
from k8s_audit_otlp.tools.verify.export_record import CHAIN_ID, SEGMENT, ExportRecord, field_of
from k8s_audit_otlp.tools.verify.receipt_records import (
    AGAIN,
    FormReader,
    MatchedForms,
    Receipt,
    Record,
    Records,
    Said,
    found_for,
)
from k8s_audit_otlp.tools.verify.uids import (
    offset_of,
    place_of,
    read_gap,
    read_uid,
    uid_of,
)
from k8s_audit_otlp.tools.verify.unreceipted import Segments

_OPEN_END = "k8s.audit.gap.open_end"
_ENDLESS = 1 << 62
_NO_BODY = bytes(DIGEST_BYTES)
_NONE = {
    "refused_unnamed": "the back end refused some of its records and did not say which",
    "disordered": "its records came in another order than that of the log",
    "not_hashed": "hashes were off, or an older version delivered a part of it",
    "repeated": "a part of it was counted twice",
    "unlinked": "its receipt is in no chain: an older version's, or anybody's",
}


@dataclass(slots=True)
class ContentReport:
    """`changed` are faults; `missing` is told beside what completeness says."""

    judged: int = 0  # segments
    records: int = 0  # in them
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)


class Contents:
    """Takes in the records and receipts of an export; `report` judges them."""

    def __init__(self) -> None:
        self._records: dict[str, Records] = {}
        self._receipts: dict[str, list[tuple[str, Receipt]]] = {}  # by identity: and who sends
        self._gaps: dict[str, list[tuple[int, int]]] = {}  # by identity: begin and end
        self.segments = Segments()
        self._forms = FormReader()

    def taking(self, items: Iterable[ExportRecord]) -> Iterable[ExportRecord]:
        """Take in what concerns contents, and pass everything on."""
        for item in items:
            place = read_uid(item.uid)
            if place is not None:
                here = self._records.get(place.identity)
                if here is None:
                    here = self._records[place.identity] = Records()
                self.segments.take_event(place, item)
                here.add(place.place, _digest(item), self._forms.form_of(item.beside or {}))
            elif item.own is not None and (gap := read_gap(item.uid)) is not None:
                is_open = str(field_of(item.own, _OPEN_END)).lower() == "true"
                end = _ENDLESS if is_open else gap.end
                self._gaps.setdefault(gap.identity, []).append((gap.start, end))
            elif item.own is not None and _is_receipt(item):
                self._take_receipt(item.own)
            yield item

    def _take_receipt(self, own: Mapping[str, Any]) -> None:
        identity = str(field_of(own, SEGMENT + "identity") or "")
        receipt = Receipt.read(own)
        self.segments.take_receipt(identity, own)
        replay = field_of(own, CHAIN_ID) if field_of(own, REPLAYED) is not None else ""
        who = f"{field_of(own, EXPORTER) or ''} {replay}"
        self._receipts.setdefault(identity, []).append((who, receipt))

    def leave_out(self, identities: Iterable[str]) -> None:
        """Forget what was taken in of some segments."""
        for identity in identities:
            self._records.pop(identity, None)
            self._receipts.pop(identity, None)

    def report(self) -> ContentReport:
        report = ContentReport()
        again: dict[str, list[Record]] = {}
        proven: set[str] = set()  # forms
        for identity, every in self._receipts.items():
            segment = _Segment(identity, _newest(every), self._gaps.get(identity, []), report)
            why = segment.judge(self._records.pop(identity, Records()))
            if why:
                report.not_judged.append(f"{segment.name} ({identity}): {why}")
            proven |= segment.forms
            again[identity] = segment.again
        self._judge_again(again, proven, report)
        return report

    def _judge_again(
        self, again: Mapping[str, list[Record]], proven: set[str], report: ContentReport
    ) -> None:
        """Judge what is there beside what a receipt proves, in another form than that."""
        for identity, records in again.items():
            name = self._receipts[identity][0][1].name
            known = [r for r in records if r.form in proven or r.form.endswith(AGAIN)]
            if known:
                report.not_judged.append(
                    f"{name} ({identity}): {len(known)} records are there a second time in another "
                    "form, under no receipt: a process that was killed before its configuration "
                    "changed, an exporter that was taken out, or a replay may have sent them"
                )
            report.changed += [
                _two_contents(name, identity, r.place) for r in records if r not in known
            ]


@dataclass(slots=True)
class _Segment:
    """Judges one segment; `forms` are those of its records that are proven."""

    identity: str
    receipts: Sequence[Receipt]
    gaps: Sequence[tuple[int, int]]
    report: ContentReport
    forms: set[str] = field(default_factory=set)
    again: list[Record] = field(default_factory=list)  # in other forms than what is proven

    @property
    def name(self) -> str:
        return self.receipts[0].name

    def judge(self, records: Records) -> str:
        """Judge it; say why it cannot be."""
        receipts = {r.said: r for r in self.receipts}  # exporters that are alike agree
        none = next((r.none for r in receipts.values() if r.none), "")
        if none:
            return _NONE.get(none, none)
        whole, count, form = records.whole()
        if count and {said.hash for said in receipts} == {whole}:
            self.forms.add(form)
            self._judged(count)
            return ""
        return self._judge_forms(receipts, records.each())

    def _judge_forms(self, receipts: Mapping[Said, Receipt], every: Sequence[Record]) -> str:
        """Judge records that are not simply what every receipt speaks of."""
        if any(record.digest == _NO_BODY for record in every):
            return "the export has no bodies"
        proven, unfit = set[Record](), list[tuple[Receipt, MatchedForms]]()
        for said, receipt in receipts.items():
            gaps = self.gaps if receipt.gaps else None
            found = found_for(said._replace(gaps=gaps), every)
            proven.update(found.same)
            if not found.fits:
                unfit.append((receipt, found))
        if unfit and len(receipts) > 1 and {record.form for record in every} == {""}:
            return "several exporters sent it in forms without a name: export them apart"
        self.forms.update(record.form for record in proven)
        places = {record.place: record.form for record in every}
        whys = [self._judge_unfit(*each, proven, places) for each in unfit]
        named = {r for _, found in unfit for r in found.other}
        self._judge_others([r for r in every if r not in named], proven, is_all=not unfit)
        why = next(filter(None, whys), "")
        if not why:
            self._judged(len(places))
        return why

    def _judged(self, count: int) -> None:
        self.report.judged += 1
        self.report.records += count

    def _judge_unfit(
        self, receipt: Receipt, found: MatchedForms, proven: set[Record], places: Mapping[int, str]
    ) -> str:
        delivered = receipt.said.delivered
        if receipt.gaps and len(places) > delivered:
            return "it has a gap, and a killed agent sent some of that and could not note which"
        known = {record.place for record in proven}
        lacking = {place_of(at) for at, _ in found.differences or ()}
        here = {record.place for record in found.chosen}
        if lacking and lacking <= known - here:
            uids = " and ".join(uid_of(self.identity, place) for place in sorted(lacking))
            return f"{uids} is there only as another receipt says"
        if found.differences is None and len(known) >= delivered and known == places.keys():
            return "what a receipt of it speaks of is there only as another one says"
        return self._name(receipt, found, places)

    def _judge_others(self, every: Sequence[Record], proven: set[Record], *, is_all: bool) -> None:
        """Judge what no receipt speaks of; *is_all*: all of them have what they speak of."""
        if len(proven) == len(every):
            return
        at: dict[int, list[Record]] = {}
        for record in proven or every:
            at.setdefault(record.place, []).append(record)
        for record in every:
            same = at.get(record.place, [])
            if any(other.digest == record.digest for other in same[: None if proven else 1]):
                continue
            if any(other.form == record.form for other in same):
                two = _two_contents(self.name, self.identity, record.place)
                if two not in self.report.changed[-1:]:
                    self.report.changed.append(two)
            elif same and proven:
                self.again.append(record)
            elif is_all and not any(receipt.gaps for receipt in self.receipts):
                uid = uid_of(self.identity, record.place)
                self.report.changed.append(f"{self.name} ({self.identity}): {uid} was put in")

    def _name(self, receipt: Receipt, found: MatchedForms, places: Mapping[int, str]) -> str:
        """Name what differs from the receipt; *places*: where anything is, and in which form."""
        report, where = self.report, f"{self.name} ({self.identity})"
        there: dict[int, list[Record]] = {}
        for record in found.chosen:
            there.setdefault(offset_of(record.place), []).append(record)
        different = found.differences
        if different is None:
            lacking = receipt.said.delivered - len(places)
            if lacking > 0:
                return f"{lacking} of its records are missing; of the others nobody can tell"
            if any(form.endswith(AGAIN) for form in places.values()):
                return "a part of it is there only as a replay sent it, under no receipt"
            report.changed.append(f"{where}: its records are not those that were sent")
            return ""
        for at, value in different:
            here = there.get(at, [])
            uid = uid_of(self.identity, here[0].place if len(here) == 1 else place_of(at))
            if not here and place_of(at) in places:
                if places[place_of(at)].endswith(AGAIN):
                    return f"{uid} is there only as a replay sent it, under no receipt"
                report.changed.append(f"{where}: {uid} was changed")
            elif not here:
                report.missing.append(f"{where}: {uid} is missing")
            elif any(PRIME - record.value == value for record in here):
                report.changed.append(f"{where}: {uid} was put in")
            else:
                report.changed.append(f"{where}: {uid} was changed")
        return ""


def _newest(receipts: Sequence[tuple[str, Receipt]]) -> list[Receipt]:
    """Return the receipts that speak of most bytes, of each who sends; those in a chain if any is.

    Who puts in another of as many bytes does not take the true one away.
    """
    linked = [each for each in receipts if each[1].none != "unlinked"] or receipts
    most: dict[str, int] = {}
    for who, receipt in linked:
        most[who] = max(most.get(who, 0), receipt.said.bytes)
    return [receipt for who, receipt in linked if receipt.said.bytes == most[who]]


def _two_contents(name: str, identity: str, place: int) -> str:
    return f"{name} ({identity}): {uid_of(identity, place)} is there with two contents"


def _is_receipt(item: ExportRecord) -> bool:
    """Tell whether it is one of an agent or of a replay."""
    if item.receipt is not None or item.own is None:
        return item.receipt is not None
    said = field_of(item.own, REPLAYED), field_of(item.own, SEGMENT + "delivered")
    return None not in said


def _digest(item: ExportRecord) -> bytes:
    if item.body is None:
        return _NO_BODY
    return digest_of(item.uid.encode(), item.body.encode())[:DIGEST_BYTES]
