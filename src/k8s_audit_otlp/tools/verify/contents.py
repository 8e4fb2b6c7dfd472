"""Holds what the records of an export say against the hashes in the receipts of their segments.

A record that was changed, taken out or put in is found, and up to two of a segment are named by
their uids. Nothing but uid and body is judged: they are what every back end gives back as it got
it. Memory: 28 bytes for each record.
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s_audit_otlp.state.content import (
    DIGEST_BYTES,
    PRIME,
    VERSION,
    added,
    digest_of,
    located,
    whole_hash,
)
from k8s_audit_otlp.tools.verify.items import Item, field_of
from k8s_audit_otlp.tools.verify.uids import offset_of, read_gap, read_uid, uid_of

_SEGMENT = "k8s.audit.segment."
_OPEN_END = "k8s.audit.gap.open_end"
_ENDLESS = 1 << 62
_NO_BODY = bytes(DIGEST_BYTES)
_NONE = {
    "refused_unnamed": "the back end refused some of its records and did not say which",
    "disordered": "its records came in another order than that of the log",
    "not_hashed": "hashes were off, or an older version delivered a part of it",
    "repeated": "a part of it was counted twice",
}


@dataclass(slots=True)
class ContentReport:
    """`changed` are faults; `missing` is told beside what completeness says."""

    judged: int = 0  # segments
    records: int = 0  # in them
    changed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    not_judged: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Records:
    places: "array[int]" = field(default_factory=lambda: array("Q"))
    digests: bytearray = field(default_factory=bytearray)

    def ordered(self) -> tuple[list[int], list[bytes], set[int]]:
        """Return places and digests in order, each place once, and places with several digests."""
        size = DIGEST_BYTES
        order = sorted(range(len(self.places)), key=self.places.__getitem__)
        places: list[int] = []
        digests: list[bytes] = []
        several: set[int] = set()
        for at in order:
            digest = bytes(self.digests[at * size : at * size + size])
            if places and places[-1] == self.places[at]:
                if digests[-1] != digest:
                    several.add(places[-1])
                continue
            places.append(self.places[at])
            digests.append(digest)
        return places, digests, several


@dataclass(frozen=True, slots=True)
class _Said:
    """What a receipt says of its segment's records."""

    name: str
    bytes: int
    delivered: int
    gaps: int
    hash: str
    sums: tuple[int, ...]
    none: str

    @classmethod
    def read(cls, own: Mapping[str, Any]) -> "_Said":
        def text(name: str) -> str:
            return str(field_of(own, name) or "")

        content = _SEGMENT + "content."
        version = text(content + "version")
        none = text(content + "none") or ("" if version == str(VERSION) else "not_hashed")
        try:
            sums = tuple(int(each, 16) for each in text(content + "sums").split("-"))
        except ValueError:
            sums = ()
        size, delivered, gaps = (
            int(number) if (number := text(_SEGMENT + name)).isdecimal() else 0
            for name in ("bytes", "delivered", "gaps")
        )
        name, whole = text("log.file.name"), text(content + "hash")
        return cls(name, size, delivered, gaps, whole, sums, none)


class Contents:
    """Takes in the records and receipts of an export; `report` judges them."""

    def __init__(self) -> None:
        self._records: dict[str, _Records] = {}
        self._said: dict[str, dict[str, _Said]] = {}  # by identity and exporter
        self._gaps: dict[str, list[tuple[int, int]]] = {}  # by identity: begin and end

    def taking(self, items: Iterable[Item]) -> Iterable[Item]:
        """Take in what concerns contents, and pass everything on."""
        for item in items:
            place = read_uid(item.uid)
            if place is not None:
                here = self._records.get(place.identity)
                if here is None:
                    here = self._records[place.identity] = _Records()
                here.places.append(place.place)
                here.digests += _digest(item)
            elif item.own is not None and (gap := read_gap(item.uid)) is not None:
                is_open = str(field_of(item.own, _OPEN_END)).lower() == "true"
                end = _ENDLESS if is_open else gap.end
                self._gaps.setdefault(gap.identity, []).append((gap.start, end))
            elif item.receipt is not None and item.own is not None:
                said = _Said.read(item.own)
                of = self._said.setdefault(item.receipt.identity, {})
                known = of.get(item.receipt.exporter)
                if known is None or known.bytes <= said.bytes:
                    of[item.receipt.exporter] = said
            yield item

    def leave_out(self, identities: Iterable[str]) -> None:
        """Forget what was taken in of some segments."""
        for identity in identities:
            self._records.pop(identity, None)
            self._said.pop(identity, None)

    def report(self) -> ContentReport:
        report = ContentReport()
        for identity, of in self._said.items():
            records = self._records.pop(identity, None) or _Records()
            why = self._judge(identity, records, list(of.values()), report)
            if why:
                name = next(iter(of.values())).name
                report.not_judged.append(f"{name} ({identity}): {why}")
        return report

    def _judge(
        self, identity: str, records: _Records, of: list[_Said], report: ContentReport
    ) -> str:
        """Judge a segment; say why it cannot be."""
        if len({said.hash for said in of}) > 1:
            return "several exporters sent it in different forms: export them apart"
        said = of[0]
        if said.none:
            return _NONE.get(said.none, said.none)
        places, digests, several = records.ordered()
        if _NO_BODY in digests:
            return "the export has no bodies"
        where = f"{said.name} ({identity})"
        report.changed += [
            f"{where}: {uid_of(identity, place)} is there with two contents" for place in several
        ]
        surplus = said.gaps and len(places) > said.delivered
        if surplus:
            places, digests = self._noted(identity, said, places, digests)
        is_same = whole_hash(b"".join(digests)).hex() == said.hash
        if surplus and not is_same:
            return "it has a gap, and a killed agent sent some of that and could not note which"
        why = "" if is_same else self._name(identity, where, said, (places, digests), report)
        if not why:
            report.judged, report.records = report.judged + 1, report.records + len(places)
        return why

    def _noted(
        self, identity: str, said: _Said, places: list[int], digests: list[bytes]
    ) -> tuple[list[int], list[bytes]]:
        """Leave out what a killed agent delivered and had no time to note: it lies in a gap."""
        gaps = self._gaps.get(identity, [])
        kept = [
            at
            for at, place in enumerate(places)
            if not any(start <= offset_of(place) < end for start, end in gaps)
        ][: said.delivered]
        if len(kept) < said.delivered:  # told of by an older version, or to another back end
            kept = list(range(said.delivered))
        return [places[at] for at in kept], [digests[at] for at in kept]

    def _name(
        self,
        identity: str,
        where: str,
        said: _Said,
        found: tuple[list[int], list[bytes]],
        report: ContentReport,
    ) -> str:
        """Name what differs from the receipt."""
        places, digests = found
        values: dict[int, list[tuple[int, int]]] = {}
        for place, digest in zip(places, digests, strict=True):
            values.setdefault(offset_of(place), []).append(
                (place, int.from_bytes(digest[:4], "big"))
            )
        sums = added((0, 0, 0, 0), map(offset_of, places), b"".join(digests))
        different = (
            located([a - b for a, b in zip(said.sums, sums, strict=False)])
            if (len(said.sums) == len(sums))
            else None
        )
        if not different or any(at >= max(said.bytes, 1) for at, _ in different):
            lacking = said.delivered - len(places)
            if lacking > 0:
                return f"{lacking} of its records are missing; of the others nobody can tell"
            report.changed.append(f"{where}: its records are not those that were sent")
            return ""
        for at, value in different:
            there = values.get(at, ())
            uid = uid_of(identity, there[0][0]) if len(there) == 1 else f"{identity}-{at:x}"
            if not there:
                report.missing.append(f"{where}: {uid} is missing")
            elif any(PRIME - known == value for _, known in there):
                report.changed.append(f"{where}: {uid} was put in")
            else:
                report.changed.append(f"{where}: {uid} was changed")
        return ""


def _digest(item: Item) -> bytes:
    if item.body is None:
        return _NO_BODY
    return digest_of(item.uid.encode(), item.body.encode())[:DIGEST_BYTES]
