"""Holds what the records of an export say against the hashes in the receipts of their segments.

A record that was changed, taken out or put in is found, and up to two of a segment are named by
their uids. Nothing but uid and body is judged: they are what every back end gives back as it got
it. A record is untouched if a receipt speaks of it, that of its exporter or of a replay.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence

from k8s_audit_otlp.state.content_hash import DIGEST_BYTES, digest_of
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt, field_of
from k8s_audit_otlp.tools.verify.exports.uids import MOST_NAMED, read_gap, read_uid, uid_of
from k8s_audit_otlp.tools.verify.receipt_records import AGAIN, NO_BODY, FormReader, Records
from k8s_audit_otlp.tools.verify.segment_contents import (
    ContentReport,
    SegmentContents,
    two_contents,
)
from k8s_audit_otlp.tools.verify.unreceipted import Segments

_OPEN_END = "k8s.audit.gap.open_end"
_ENDLESS = 1 << 62


class Contents:
    """Takes in the records and receipts of an export; `report` judges them."""

    def __init__(self, arrived: "Mapping[str, array[int]]") -> None:
        """*arrived*: by identity the places of records, each before `take` gets its record."""
        self._arrived = arrived
        self._records: dict[str, Records] = {}
        self._receipts: dict[str, list[Receipt]] = {}  # by identity
        self._open: dict[str, dict[str, Receipt]] = {}  # by identity and chain: as seals say
        self._linked: Mapping[str, str] = {}  # chains that have links here: of which exporter
        self._gaps: dict[str, list[tuple[int, int]]] = {}  # by identity: begin and end
        self.segments = Segments()
        self.hashed: set[str] = set()  # segments whose records `report` compared with hashes
        self._forms = FormReader()
        self._replayed = 0

    def take(self, item: ExportRecord) -> None:
        place = read_uid(item.uid)
        if place is not None:
            if (here := self._records.get(place.identity)) is None:
                here = self._records[place.identity] = Records(self._arrived[place.identity])
            self.segments.take_event(place, item)
            form = self._forms.form_of(item.beside or {})
            here.add(_digest(item), form)
            self._replayed += form.endswith(AGAIN)
        elif item.own is not None and (gap := read_gap(item.uid)) is not None:
            is_open = str(field_of(item.own, _OPEN_END)).lower() == "true"
            end = _ENDLESS if is_open else gap.end
            self._gaps.setdefault(gap.identity, []).append((gap.start, end))
        elif item.receipt is not None:
            self.segments.take_receipt(item.receipt)
            receipt = item.receipt._replace(form=self._forms.form_of(item.own or {}))
            self._receipts.setdefault(receipt.identity, []).append(receipt)

    def take_open(self, said: Iterable[Receipt], linked: Mapping[str, str]) -> None:
        """Take in what seals say of segments without a receipt.

        *linked*: the chains that have links here, and their exporters.
        """
        self._linked = linked
        for each in filter(lambda each: not each.none, said):
            of = self._open.setdefault(each.identity, {})
            of[each.chain] = max(each, of.get(each.chain, each), key=lambda part: part.bytes)

    def leave_out(self, identities: Iterable[str]) -> None:
        for identity in identities:
            self._records.pop(identity, None)
            self._receipts.pop(identity, None)
            self._open.pop(identity, None)

    def report(self) -> ContentReport:
        report = ContentReport(replayed=self._replayed)
        again: list[SegmentContents] = []  # what was judged
        proven: set[str] = set()  # forms
        for identity, every in self._receipts.items():
            segment = SegmentContents(
                identity, _newest(every), self._gaps.get(identity, []), report
            )
            why = segment.judge(self._records.pop(identity, Records()))
            if not segment.none:
                self.hashed.add(identity)
            if why:
                report.not_judged.append(f"{segment.where}: {why}")
            proven |= segment.forms
            again.append(segment)
        for identity in self._open.keys() - self._receipts.keys():
            if opened := self._judge_open(identity, [*self._open[identity].values()], report):
                proven |= opened.forms
                again.append(opened)
        self._judge_again(again, proven, report)
        return report

    def _judge_open(
        self, identity: str, said: Sequence[Receipt], report: ContentReport
    ) -> SegmentContents | None:
        """Judge a segment without a receipt as far as seals say what became of it.

        Of a chain without a link nobody knows whether its records are here: one of several is
        enough.
        """
        records = self._records.pop(identity, Records())
        gaps = self._gaps.get(identity, [])

        def judged(parts: Sequence[Receipt], into: ContentReport) -> SegmentContents:
            segment = SegmentContents(identity, parts, gaps, into, is_open=True)
            if why := segment.judge(records):
                into.not_judged.append(f"{segment.where}: {why}")
            return segment

        def fits(part: Receipt) -> bool:
            judged([part], trial := ContentReport())
            return trial.is_clean

        if parts := [x for x in said if x.chain in self._linked or fits(x)]:
            return judged(parts, report)
        here = self._linked.values()
        if len(records) or any(x.delivered and x.exporter in here for x in said):
            report.not_judged.append(
                f"{said[0].name} ({identity}): its records are not what a seal says of it: "
                "some were changed, put in or taken out, or are of another back end's exporter"
            )
        return None

    def _judge_again(
        self, segments: Iterable[SegmentContents], proven: set[str], report: ContentReport
    ) -> None:
        """Judge what is there beside what a receipt proves, in another form than that."""
        for segment in segments:
            where, identity = segment.where, segment.identity
            known = [r for r in segment.again if r.form in proven or r.form.endswith(AGAIN)]
            if known:
                uids = ", ".join(uid_of(identity, record.place) for record in known[:MOST_NAMED])
                report.not_judged.append(
                    f"{where}: {len(known)} records are there a second time in another "
                    f"form, under no receipt ({uids}): a process that was killed before its "
                    "configuration changed, an exporter that was taken out, or a replay may have "
                    "sent them, or one of two copies was changed"
                )
            report.changed += [
                two_contents(where, uid_of(identity, r.place))
                for r in segment.again
                if r not in known
            ]


def _newest(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Return the receipts that speak of most bytes, of each chain; those in a chain if any is.

    Who puts in another does not take the true one away.
    """
    linked = [receipt for receipt in receipts if receipt.chain] or receipts
    most: dict[str, int] = {}
    for receipt in linked:
        most[receipt.chain] = max(most.get(receipt.chain, -1), receipt.bytes)
    return [receipt for receipt in linked if receipt.bytes == most[receipt.chain]]


def _digest(item: ExportRecord) -> bytes:
    if item.body is None:
        return NO_BODY
    return digest_of(item.uid.encode(), item.body.encode())[:DIGEST_BYTES]
