"""Finds the records that a receipt speaks of, where some are there in several forms. Pure.

Exporters with different mappings, a process that was killed before its configuration changed, and a
replay send one event under one uid with several bodies; logs of two nodes that begin with one line
that is no event give one uid to two events. Each record names its mapping and its node in the
resource; what a receipt counts was sent in one of these forms, or in one after another.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, permutations
from typing import Final, NamedTuple

from k8s_audit_otlp.evidence.chain import REPLAYED, words
from k8s_audit_otlp.otlp.resource import INSTANCE, MAPPING
from k8s_audit_otlp.state.content_hash import DIGEST_BYTES, PRIME, added, located, whole_hash
from k8s_audit_otlp.tools.verify.exports.record import Receipt
from k8s_audit_otlp.tools.verify.exports.uids import offset_of

AGAIN: Final = "+"  # behind the form of what a replay sent
NO_BODY: Final = bytes(DIGEST_BYTES)  # in place of a digest
_AT: Final = "@"  # in a form, before the node
_INSTANCE: Final = words(INSTANCE)
_MAPPING: Final = words(MAPPING)
_REPLAYED: Final = words(REPLAYED)
_MOST_ORDERS: Final = 200  # orders of forms that are tried: all of four forms, and more than enough


class FormReader:
    """Reads in which form a record was sent, wherever an export has what its resource says."""

    def __init__(self) -> None:
        self._names = _MAPPING, _REPLAYED, _INSTANCE

    def form_of(self, beside: Mapping[str, object]) -> str:
        """Return what names the mapping and the node, and whether a replay sent it.

        "" where no mapping is named.
        """
        mapping, replayed, instance = self._names
        if mapping not in beside:
            mapping = next((n for n in beside if n.endswith("." + _MAPPING)), _MAPPING)
            prefix = mapping.removesuffix(_MAPPING)
            replayed, instance = prefix + _REPLAYED, prefix + _INSTANCE
            self._names = mapping, replayed, instance
        again = AGAIN if beside.get(replayed) else ""
        if mapping not in beside:
            return again
        return f"{beside[mapping]}{_AT}{beside.get(instance, '')}{again}"


def node_of(form: str) -> str:
    """Return the node that a form names; "" where it names none."""
    return form.removesuffix(AGAIN).partition(_AT)[2]


class Record(NamedTuple):
    """One record of a segment; `form` is what names its mapping."""

    place: int
    digest: bytes
    form: str

    @property
    def value(self) -> int:
        return int.from_bytes(self.digest[:4], "big")


Chosen = Sequence[Record]  # in the order of their places, one for each
# Where a segment has gaps: begin and end. There more may be than its receipt counts.
Gaps = Sequence[tuple[int, int]]


@dataclass(slots=True, eq=False)
class Records:
    """The records of one segment in any order: 21 bytes for each beside its place."""

    _places: "array[int]" = field(default_factory=lambda: array("Q"))
    _digests: bytearray = field(default_factory=bytearray)
    _form_of: bytearray = field(default_factory=bytearray)
    _forms: list[str] = field(default_factory=list)

    def add(self, digest: bytes, form: str) -> None:
        """Take in the record whose place came last."""
        if form not in self._forms:
            if len(self._forms) == 256:
                form = self._forms[-1]
            else:
                self._forms.append(form)
        self._digests += digest[:DIGEST_BYTES]
        self._form_of.append(self._forms.index(form))

    def __len__(self) -> int:
        return len(self._places)

    def whole(self) -> tuple[str, int, str]:
        """Return the hash of all records, how many different they are, and their form.

        ("", 0, "") where there are none, or in several forms. It makes no object of a record, of
        which a segment may have millions.
        """
        if len(self._forms) != 1:
            return "", 0, ""
        size, places, joined = DIGEST_BYTES, self._places, bytearray()
        order: Sequence[int] = range(len(places))
        if any(map(int.__gt__, places, islice(places, 1, None))):
            order = sorted(order, key=places.__getitem__)
        last = -1
        for at in order:
            digest = self._digests[at * size : at * size + size]
            if places[at] != last or joined[-size:] != digest:
                joined += digest
                last = places[at]
        return whole_hash(joined).hex(), len(joined) // size, self._forms[0]

    def before(self, end: int) -> "Records":
        """Return those of lines that begin before an offset."""
        if not self._places or offset_of(max(self._places)) < end:
            return self
        kept = Records(_forms=self._forms)
        for at, place in enumerate(self._places):
            if offset_of(place) < end:
                kept._places.append(place)
                kept._digests += self._digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
                kept._form_of.append(self._form_of[at])
        return kept

    def each(self) -> list[Record]:
        """Return every record once, in the order of places."""
        size, forms = DIGEST_BYTES, self._forms
        every = [
            Record(place, bytes(self._digests[at * size : at * size + size]), forms[form])
            for at, (place, form) in enumerate(zip(self._places, self._form_of, strict=True))
        ]
        every.sort()
        return [r for at, r in enumerate(every) if not at or r != every[at - 1]]


class MatchedForms(NamedTuple):
    """What fits a receipt best: it is what was sent but for `differences`.

    Those are (offset, value that is lacking modulo PRIME); None where there are more than two.
    """

    chosen: Chosen
    differences: list[tuple[int, int]] | None

    @property
    def fits(self) -> bool:
        return self.differences == []

    @property
    def same(self) -> Chosen:
        """The records that are what was sent, where that can be told."""
        return () if self.differences is None else self._where(is_other=False)

    @property
    def other(self) -> Chosen:
        """Those that are not, where that can be told."""
        return self._where(is_other=True)

    def _where(self, *, is_other: bool) -> Chosen:
        offsets = {at for at, _ in self.differences or ()}
        return [r for r in self.chosen if (offset_of(r.place) in offsets) == is_other]


def found_for(
    said: Receipt, gaps: Gaps, every: Sequence[Record], own: Collection[str] = ()
) -> MatchedForms:
    """Return the records that *said* speaks of, or what comes nearest to it.

    *own*: the forms that receipts of the segment are in.
    """
    best: MatchedForms | None = None
    if _is_what_was_sent(said, ()):  # a replay of another time, or a policy that takes all
        return MatchedForms((), [])
    others = {*own} - {said.form}
    instead = [record for record in every if record.form not in others]
    for chosen in _choices(said.form, every, others):
        found = _held(said, _outside_gaps(said, gaps, chosen), instead)
        if found.fits:
            return found
        if best is None or _distance(said, found) < _distance(said, best):
            best = found
    return best or MatchedForms((), None)


def _distance(said: Receipt, found: MatchedForms) -> tuple[int, int]:
    if found.differences is not None:
        return len(found.differences), 0
    return 3, abs(said.delivered - len(found.chosen))


def _choices(form: str, every: Sequence[Record], others: Collection[str]) -> Iterator[Chosen]:
    """Give one record for each place: of one form, or of one before another.

    What is in the receipt's own *form* comes before what is in those of *others*: these may be
    there in its place, where a store keeps one record for each uid, but excuse no change.
    """
    at: dict[int, dict[str, Record]] = {}
    for record in every:
        at.setdefault(record.place, {}).setdefault(record.form, record)
    forms = sorted({record.form for record in every}, key=lambda each: (each != form, each))
    orders = (order for n in range(len(forms)) for order in permutations(forms, n + 1))
    for order in chain(islice(orders, _MOST_ORDERS), [forms]):
        before = order[: order.index(form)] if form in order else order
        if form in forms and any(each in others for each in before):
            continue
        found = (next((of[f] for f in order if f in of), None) for of in at.values())
        yield [record for record in found if record is not None]


def _outside_gaps(said: Receipt, gaps: Gaps, chosen: Chosen) -> Chosen:
    """Leave out what a killed agent delivered and had no time to note: it lies in a gap."""
    if not said.gaps or len(chosen) <= said.delivered:
        return chosen
    kept = [r for r in chosen if not any(a <= offset_of(r.place) < b for a, b in gaps)]
    # Fewer: the gap was told of by an older version, or to another back end.
    return (kept if len(kept) >= said.delivered else chosen)[: said.delivered]


def _held(said: Receipt, chosen: Chosen, every: Iterable[Record]) -> MatchedForms:
    if _is_what_was_sent(said, chosen):
        return MatchedForms(chosen, [])
    sums = sums_of(chosen)
    differences = None
    if len(said.sums) == len(sums):
        differences = located([a - b for a, b in zip(said.sums, sums, strict=True)])
    if not differences or any(at >= max(said.bytes, 1) for at, _ in differences):
        return MatchedForms(chosen, None)
    other = _mended(chosen, differences, every)
    return (
        MatchedForms(other, [])
        if _is_what_was_sent(said, other)
        else MatchedForms(chosen, differences)
    )


def _mended(
    chosen: Chosen, differences: Iterable[tuple[int, int]], every: Iterable[Record]
) -> Chosen:
    """Take other records that are there for those that differ, or none."""
    lacking: Mapping[int, int] = dict(differences)
    others: dict[int, list[Record]] = {}
    for record in every:
        if offset_of(record.place) in lacking:
            others.setdefault(record.place, []).append(record)
    mended, done = [], set[int]()
    for record in chosen:
        at = offset_of(record.place)
        wanted = (record.value + lacking.get(at, 0)) % PRIME
        if at not in lacking or at in done:
            mended.append(record)
            continue
        other = next((r for r in others.get(record.place, ()) if r.value == wanted), None)
        if other is not None or not wanted:
            done.add(at)
        if wanted:
            mended.append(other or record)
    return mended


def _is_what_was_sent(said: Receipt, chosen: Chosen) -> bool:
    return whole_hash(b"".join([record.digest for record in chosen])).hex() == said.hash


def sums_of(chosen: Chosen) -> tuple[int, int, int, int]:
    offsets = [offset_of(record.place) for record in chosen]
    return added((0, 0, 0, 0), offsets, b"".join([record.digest for record in chosen]))
