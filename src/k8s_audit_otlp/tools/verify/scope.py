"""What of an export is judged: one cluster, a range of time.

Both are told by receipts and gaps, not by the records: a back end may round times and rename
fields, a receipt is linked. A segment that reaches beyond the range is not judged, as an export of
that range does not hold all of it; or, where the range is a day of many, each segment is judged
with the day in which it ends. A segment that was lost as a whole lies where its gaps do.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from k8s_audit_otlp.evidence.chain import CHAIN
from k8s_audit_otlp.evidence.seal import SEAL
from k8s_audit_otlp.tools.verify.exports.record import (
    ExportRecord,
    Receipt,
    field_of,
    number_of,
    text_of,
)
from k8s_audit_otlp.tools.verify.exports.uids import read_gap
from k8s_audit_otlp.tools.verify.unreceipted import Unreceipted

_CLUSTER = "k8s.cluster.name"
_GAP = "k8s.audit.gap."


class _Times(NamedTuple):
    """Times of the first and the last event, 0 where there is none; the name of the file.

    Where no event tells its time, what was delivered came before `last`. `told`: all of it had.
    """

    first: int
    last: int
    name: str
    told: int
    is_linked: bool  # else anybody may have put it in

    def joined(self, other: "_Times") -> "_Times":
        if self.is_linked != other.is_linked:
            return self if self.is_linked else other
        first = min(self.first or other.first, other.first or self.first)
        last, told = max(self.last, other.last), max(self.told, other.told)
        return _Times(first, last, self.name, told, self.is_linked)


@dataclass(slots=True)
class Scope:
    """`since_ns` and `until_ns` are nanoseconds since the epoch, 0 is unbounded.

    `by_end`: a segment belongs to the range in which its last event lies.
    """

    cluster: str = ""
    since_ns: int = 0
    until_ns: int = 0
    by_end: bool = False
    clusters: set[str] = field(default_factory=set)  # that receipts were seen of
    # By chain: numbers of links that name another cluster, and may be of the range.
    elsewhere: dict[str, set[int]] = field(default_factory=dict)
    _others: set[str] = field(default_factory=set)  # identities of other clusters' segments
    _here: set[str] = field(default_factory=set)  # and of those whose events name this cluster
    _abroad: set[str] = field(default_factory=set)  # or another
    _spans: dict[str, _Times] = field(default_factory=dict)  # by identity, of those with receipts
    _gaps: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # by identity

    @property
    def beyond(self) -> dict[str, str]:
        """Identity and file of segments that begin or end beyond the range."""
        if self.by_end:
            return {}
        return {i: span.name for i, span in self._dated() if self._reaches_beyond(span)}

    @property
    def begun_before(self) -> set[str]:
        """Identities of segments of which some events may be older than the range."""
        return {i for i, span in self._spans.items() if span.first < self.since_ns}

    @property
    def undated(self) -> list[str]:
        """Uids or identities of losses that may lie in the range or after it: nobody knows when."""
        return [i for i, gaps in self._gaps.items() if self._may_come_later(i, gaps)]

    @property
    def disputed(self) -> list[str]:
        """Identities of segments whose events name this cluster, and whose receipts another."""
        return sorted((self._others & self._here) - self._spans.keys())

    @property
    def judged(self) -> "list[_Times]":
        """The times of every segment that is judged."""
        left_out = self.left_out
        return [span for i, span in self._spans.items() if i not in left_out]

    @property
    def left_out(self) -> set[str]:
        """Identities of the segments that are not to be judged."""
        outside = {
            identity
            for identity, gaps in self._gaps.items()
            if self._has_no_event(identity) and not any(self._touches(*gap) for gap in gaps)
        } | set(self.undated)
        if self.by_end:
            outside |= {i for i, span in self._dated() if not self._holds(span.last)}
        # A receipt under the name of another cluster does not take away what is of this.
        return self._others - self._spans.keys() | self.beyond.keys() | outside

    def taking(self, items: Iterable[ExportRecord]) -> Iterable[ExportRecord]:
        """Pass on what is of the cluster, and note which segments are not to be judged."""
        for item in items:
            if item.own is None:
                if self.cluster:
                    self._note_event(item)
                yield item
            elif self._is_of_cluster(item, item.own):
                self._note(item, item.own)
                yield item
            else:
                self._leave_out(item, item.own)

    def _is_of_cluster(self, item: ExportRecord, own: Mapping[str, Any]) -> bool:
        """Seals in a file of their own name no cluster; they belong to a chain."""
        name = text_of(own, _CLUSTER)
        if item.receipt is not None and not item.receipt.replayed:
            self.clusters.add(name)
        is_seal = text_of(own, SEAL + "signature") != ""
        return not self.cluster or name == self.cluster or (is_seal and not name)

    def _note_event(self, item: ExportRecord) -> None:
        identity = item.uid.rpartition("-")[0]
        if identity not in self._here and (name := text_of(item.beside or {}, _CLUSTER)):
            (self._here if name == self.cluster else self._abroad).add(identity)

    def _leave_out(self, item: ExportRecord, own: Mapping[str, Any]) -> None:
        receipt = item.receipt
        if receipt is not None and not receipt.replayed:
            self._others.add(receipt.identity)
            if not receipt.last_event_ns or self._holds(receipt.last_event_ns):
                self.elsewhere.setdefault(receipt.chain, set()).add(_number(own, CHAIN + "number"))

    def _note(self, item: ExportRecord, own: Mapping[str, Any]) -> None:
        receipt = item.receipt
        if receipt is not None and not receipt.replayed:
            last = receipt.last_event_ns or (receipt.told_ns if receipt.delivered > 0 else 0)
            is_linked = bool(receipt.chain)
            span = _Times(receipt.first_event_ns, last, receipt.name, receipt.told_ns, is_linked)
            known = self._spans.get(receipt.identity, span)
            self._spans[receipt.identity] = known.joined(span)
        elif (gap := read_gap(item.uid)) is not None:
            since, until = (_number(own, _GAP + name) for name in ("since_ns", "until_ns"))
            until = until or _number(own, _GAP + "told_ns")
            self._gaps.setdefault(gap.identity, []).append((since, until))

    def concerns(self, segment: Unreceipted) -> bool:
        """Tell whether a segment without a receipt may be of the cluster and the range."""
        is_of_cluster = segment.identity in self._here or segment.identity not in self._abroad
        is_after = self.until_ns and segment.first_ns >= self.until_ns
        return is_of_cluster and not is_after and not 0 < segment.last_ns < self.since_ns

    def holds_whole(self, part: Receipt) -> bool:
        """Tell whether all of an open segment that a seal speaks of may be judged."""
        first, last = part.first_event_ns, part.last_event_ns
        is_within = first >= self.since_ns and (not self.until_ns or last < self.until_ns)
        return is_within and not self.by_end

    def may_hold(self, ns: int) -> bool:
        """Tell whether what ended then may be judged; 0 is unknown."""
        return not (ns and self.until_ns) or ns < self.until_ns

    def _reaches_beyond(self, span: _Times) -> bool:
        before = self.since_ns and (span.first or span.last) < self.since_ns
        return bool(before or (self.until_ns and span.last >= self.until_ns))

    def _touches(self, since: int, until: int) -> bool:
        """Say whether a gap may lie in the range: it is somewhere between two times, 0 unknown."""
        if self.by_end and until:
            return self._holds(until)
        ends_before = bool(until and until < self.since_ns)
        begins_after = bool(self.until_ns and since >= self.until_ns)
        return not (ends_before or begins_after)

    def _may_come_later(self, identity: str, gaps: list[tuple[int, int]]) -> bool:
        if not self._has_no_event(identity) or self.by_end or not self.until_ns:
            return False
        return all(not since and until >= self.until_ns for since, until in gaps)

    def _has_no_event(self, identity: str) -> bool:
        return identity not in self._spans or not self._spans[identity].last

    def _dated(self) -> Iterator[tuple[str, _Times]]:
        """Give the segments whose place in time their receipts tell."""
        for identity, span in self._spans.items():
            if span.last or identity not in self._gaps:
                yield identity, span

    def _holds(self, ns: int) -> bool:
        return self.since_ns <= ns and (not self.until_ns or ns < self.until_ns)


def _number(own: Mapping[str, Any], name: str) -> int:
    return number_of(field_of(own, name))
