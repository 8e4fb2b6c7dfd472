"""Holds what the records of an export say against the hashes in the receipts of their segments.

A record that was changed, taken out or put in is found, and up to two of a segment are named by
their uids. Nothing but uid and body is judged: they are what every back end gives back as it got
it. A record is untouched if a receipt speaks of it, that of its exporter or of a replay.
"""

from collections.abc import Iterable, Mapping, Sequence

from k8s_audit_otlp.state.content_hash import DIGEST_BYTES, digest_of
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt, field_of
from k8s_audit_otlp.tools.verify.exports.uids import read_gap, read_uid, uid_of
from k8s_audit_otlp.tools.verify.receipt_records import AGAIN, NO_BODY, FormReader, Record, Records
from k8s_audit_otlp.tools.verify.segment_contents import (
    MOST_NAMED,
    ContentReport,
    SegmentContents,
    two_contents,
)
from k8s_audit_otlp.tools.verify.unreceipted import Segments

_OPEN_END = "k8s.audit.gap.open_end"
_ENDLESS = 1 << 62


class Contents:
    """Takes in the records and receipts of an export; `report` judges them."""

    def __init__(self) -> None:
        self._records: dict[str, Records] = {}
        self._receipts: dict[str, list[Receipt]] = {}  # by identity
        self._gaps: dict[str, list[tuple[int, int]]] = {}  # by identity: begin and end
        self.segments = Segments()
        self.hashed: set[str] = set()  # segments whose records `report` compared with hashes
        self._forms = FormReader()

    def take(self, item: ExportRecord) -> None:
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
        elif item.receipt is not None:
            self.segments.take_receipt(item.receipt)
            self._receipts.setdefault(item.receipt.identity, []).append(item.receipt)

    def leave_out(self, identities: Iterable[str]) -> None:
        for identity in identities:
            self._records.pop(identity, None)
            self._receipts.pop(identity, None)

    def report(self) -> ContentReport:
        report = ContentReport()
        again: dict[str, list[Record]] = {}
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
            again[identity] = segment.again
        self._judge_again(again, proven, report)
        return report

    def _judge_again(
        self, again: Mapping[str, list[Record]], proven: set[str], report: ContentReport
    ) -> None:
        """Judge what is there beside what a receipt proves, in another form than that."""
        for identity, records in again.items():
            where = f"{self._receipts[identity][0].name} ({identity})"
            known = [r for r in records if r.form in proven or r.form.endswith(AGAIN)]
            if known:
                uids = ", ".join(uid_of(identity, record.place) for record in known[:MOST_NAMED])
                report.not_judged.append(
                    f"{where}: {len(known)} records are there a second time in another "
                    f"form, under no receipt ({uids}): a process that was killed before its "
                    "configuration changed, an exporter that was taken out, or a replay may have "
                    "sent them, or one of two copies was changed"
                )
            report.changed += [
                two_contents(where, uid_of(identity, r.place)) for r in records if r not in known
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
