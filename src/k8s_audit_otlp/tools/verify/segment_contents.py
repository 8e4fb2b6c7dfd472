"""Judges the records of one segment by its receipts: each exporter's, and those of replays."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from k8s_audit_otlp.state.content_hash import PRIME
from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.exports.record import Receipt
from k8s_audit_otlp.tools.verify.exports.uids import MOST_NAMED, offset_of, place_of, uid_of
from k8s_audit_otlp.tools.verify.receipt_records import (
    AGAIN,
    NO_BODY,
    Gaps,
    MatchedForms,
    Record,
    Records,
    found_for,
    node_of,
)

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
    open: int = 0  # records that a seal speaks of, in segments without a receipt
    lacking: int = 0  # and that are not there
    replayed: int = 0  # records of the export that were sent again on purpose
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not (self.changed or self.missing or self.not_judged)


@dataclass(slots=True)
class SegmentContents:
    """Judges one segment; `forms` are those of its records that are proven.

    `is_open`: it has no receipt yet, and seals say what became of it so far.
    """

    identity: str
    receipts: Sequence[Receipt]
    gaps: Gaps
    report: ContentReport
    forms: set[str] = field(default_factory=set)
    again: list[Record] = field(default_factory=list)  # in other forms than what is proven
    is_open: bool = False

    @property
    def where(self) -> str:
        return f"{self.receipts[0].name} ({self.identity})"

    @property
    def none(self) -> str:
        """Why a receipt of it has no hash; "" where all have one."""
        return next((receipt.none for receipt in self.receipts if receipt.none), "")

    def judge(self, records: Records) -> str:
        """Judge it; say why it cannot be."""
        if self.none:
            return _NONE.get(self.none, self.none)
        # Exporters that are alike agree.
        receipts = {(r.form, r.bytes, r.hash): r for r in self.receipts}.values()
        if self.is_open:
            records = records.before(max(receipt.bytes for receipt in receipts))
        whole, count, form = records.whole()
        if count and {receipt.hash for receipt in receipts} == {whole}:
            self.forms.add(form)
            self._judged(count)
            return ""
        return self._judge_forms(receipts, self._within(records.each()))

    def _within(self, every: Sequence[Record]) -> list[Record]:
        """Return what lies in the segment, and name what somebody put behind its end."""
        end = max(receipt.bytes for receipt in self.receipts)
        nodes, within, behind = self._nodes(every), list[Record](), dict[int, None]()
        for record in every:
            if 0 < end <= offset_of(record.place) and node_of(record.form) in nodes:
                behind[record.place] = None
            else:
                within.append(record)
        self.report.changed += [
            f"{self.where}: {uid_of(self.identity, place)} was put in behind its end"
            for place in [*behind][:MOST_NAMED]
        ]
        return within

    def _nodes(self, every: Sequence[Record]) -> set[str]:
        """Return the nodes that receipts are of; where one names none, all that there are."""
        nodes = {receipt.source for receipt in self.receipts}
        others = {node_of(record.form) for record in every} if "" in nodes else set[str]()
        return {"", *nodes, *others}

    def _judge_forms(self, receipts: Collection[Receipt], every: Sequence[Record]) -> str:
        """Judge records that are not simply what every receipt speaks of."""
        if any(record.digest == NO_BODY for record in every):
            return "the export has no bodies"
        proven, unfit = set[Record](), list[tuple[Receipt, MatchedForms]]()
        own = {receipt.form for receipt in receipts}
        for receipt in receipts:
            there = [r for r in every if not 0 < receipt.bytes <= offset_of(r.place)]
            found = found_for(receipt, self.gaps, there, own)
            proven.update(found.same)
            if not found.fits:
                unfit.append((receipt, found))
        if unfit and len(receipts) > 1 and {record.form for record in every} == {""}:
            return "several exporters sent it in forms without a name: export them apart"
        self.forms.update(record.form for record in proven)
        every = self._without_other_nodes(every, proven)
        if self.is_open:  # of exporters some are farther than others
            least = min(receipt.bytes for receipt in receipts)
            every = [r for r in every if r in proven or offset_of(r.place) < least]
            delivered = max(receipt.delivered for receipt in receipts)
            self.report.lacking += max(0, delivered - len({r.place for r in every}))
        places = {record.place: record.form for record in every}
        whys = [self._judge_unfit(*each, proven, places) for each in unfit]
        named = {r for _, found in unfit for r in found.other}
        self._judge_others([r for r in every if r not in named], proven, is_all=not unfit)
        why = next(filter(None, whys), "")
        if not why:
            self._judged(len(places))
        return why

    def _judged(self, count: int) -> None:
        if self.is_open:
            self.report.open += count
            return
        self.report.judged += 1
        self.report.records += count

    def _judge_unfit(
        self, receipt: Receipt, found: MatchedForms, proven: set[Record], places: Mapping[int, str]
    ) -> str:
        delivered = receipt.delivered
        if receipt.gaps and len(places) > delivered:
            return "it has a gap, and a killed agent sent some of that and could not note which"
        known = {record.place for record in proven}
        lacking = {place_of(at) for at, _ in found.differences or ()}
        here = {record.place for record in found.chosen}
        if lacking and lacking <= known - here:
            uids = " and ".join(uid_of(self.identity, place) for place in sorted(lacking))
            return f"{uids} is there only as another receipt says"
        if found.differences is None and len(known) >= delivered and known == places.keys():
            return (
                "what a receipt of it speaks of is there only as another one says: judge them apart"
            )
        more = len(places) - delivered
        if (
            found.differences is None
            and {*places.values()} == {""}
            and 0 < more <= receipt.given_up
        ):
            return _sent_again(more)
        return self._name(receipt, found, places)

    def _judge_others(self, every: Sequence[Record], proven: set[Record], *, is_all: bool) -> None:
        """Judge what no receipt speaks of; *is_all*: all of them have what they speak of."""
        if len(proven) == len(every):
            return
        is_known, alone = bool(proven) or is_all, list[Record]()
        at: dict[int, list[Record]] = {}
        for record in proven if is_known else every:
            at.setdefault(record.place, []).append(record)
        for record in every:
            same = at.get(record.place, [])
            if any(other.digest == record.digest for other in same[: None if is_known else 1]):
                continue
            if any(x.form == record.form and x.digest != record.digest for x in same):
                two = two_contents(self.where, uid_of(self.identity, record.place))
                if two not in self.report.changed[-1:]:
                    self.report.changed.append(two)
            elif same and proven:
                self.again.append(record)
            else:
                alone.append(record)
        if is_all:
            self._judge_alone(alone)

    def _without_other_nodes(self, every: Sequence[Record], proven: set[Record]) -> list[Record]:
        """Leave out, and name, what a node sent of which no receipt is.

        Logs that begin with the same line, which is no event, have the same identity.
        """
        nodes = self._nodes(every)
        kept = [r for r in every if r in proven or node_of(r.form) in nodes]
        if count := len(every) - len(kept):
            left = set(every).difference(kept)
            uids = sorted(uid_of(self.identity, record.place) for record in left)
            self.report.not_judged.append(
                f"{self.where}: {counted(count, 'record')} of another node "
                f"under no receipt ({', '.join(uids[:MOST_NAMED])}): its log begins with the "
                "same line and waits for its receipt, or they were put in"
            )
        return kept

    def _judge_alone(self, alone: Sequence[Record]) -> None:
        """Judge records at places of which no receipt speaks."""
        where, report = self.where, self.report
        given_up = sum(receipt.given_up for receipt in self.receipts)
        again = sum(record.form.endswith(AGAIN) for record in alone)
        if 0 < len(alone) <= given_up:
            report.not_judged.append(f"{where}: {_sent_again(len(alone))}")
            return
        if again:
            report.not_judged.append(
                f"{where}: {again} records are there only as a replay sent them, under no receipt: "
                "it ended in a file that was still written; start it again with the same times"
            )
        if not any(receipt.gaps for receipt in self.receipts):
            report.changed += [
                f"{where}: {uid_of(self.identity, record.place)} was put in"
                for record in alone
                if not record.form.endswith(AGAIN)
            ]

    def _name(self, receipt: Receipt, found: MatchedForms, places: Mapping[int, str]) -> str:
        """Name what differs from the receipt; *places*: where anything is, and in which form."""
        report, where = self.report, self.where
        there: dict[int, list[Record]] = {}
        for record in found.chosen:
            there.setdefault(offset_of(record.place), []).append(record)
        different = found.differences
        if different is None:
            return self._name_many(receipt.delivered - len(places), places)
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

    def _name_many(self, lacking: int, places: Mapping[int, str]) -> str:
        """Say what differs where too many do to be named."""
        if lacking > 0:
            if self.is_open:  # nobody else counts what it has
                self.report.missing.append(f"{self.where}: {lacking} of its records are missing")
            return f"{lacking} of its records are missing; of the others nobody can tell"
        if any(form.endswith(AGAIN) for form in places.values()):
            return "a part of it is there only as a replay sent it, under no receipt"
        self.report.changed.append(f"{self.where}: its records are not those that were sent")
        return ""


def _sent_again(count: int) -> str:
    return (
        f"{counted(count, 'record')} that its receipt counts as refused or dead-lettered: sent "
        "again since, under no receipt; `replay` of its time gives one, while the file is there"
    )


def two_contents(where: str, uid: str) -> str:
    return f"{where}: {uid} is there with two contents"
