"""What of an export is judged: one cluster, a range of time.

Both are told by the receipts, not by the records: a back end may round times and rename fields, a
receipt is linked. A segment that reaches beyond the range is not judged, as an export of that range
does not hold all of it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from k8s_audit_otlp.evidence.seal import SEAL
from k8s_audit_otlp.tools.verify.items import Item, field_of

_CLUSTER = "k8s.cluster.name"
_SEGMENT = "k8s.audit.segment."


@dataclass(slots=True)
class Scope:
    """`since_ns` and `until_ns` are nanoseconds since the epoch, 0 is unbounded."""

    cluster: str = ""
    since_ns: int = 0
    until_ns: int = 0
    clusters: set[str] = field(default_factory=set)  # that receipts were seen of
    beyond: dict[str, str] = field(default_factory=dict)  # identity: name of its file
    others: set[str] = field(default_factory=set)  # identities of other clusters' segments

    @property
    def left_out(self) -> set[str]:
        return self.others | self.beyond.keys()

    def taking(self, items: Iterable[Item]) -> Iterable[Item]:
        """Pass on what is of the cluster, and note which segments are not to be judged."""
        for item in items:
            if item.own is None or self._is_of_cluster(item, item.own):
                if item.receipt is not None and item.own is not None:
                    self._note(item.receipt.identity, item.own)
                yield item
            elif item.receipt is not None:
                self.others.add(item.receipt.identity)

    def _is_of_cluster(self, item: Item, own: Mapping[str, Any]) -> bool:
        """Seals in a file of their own name no cluster; they belong to a chain."""
        name = str(field_of(own, _CLUSTER) or "")
        if item.receipt is not None:
            self.clusters.add(name)
        is_seal = field_of(own, SEAL + "signature") is not None
        return not self.cluster or name == self.cluster or (is_seal and not name)

    def _note(self, identity: str, own: Mapping[str, Any]) -> None:
        first, last = (_ns(own, name) for name in ("first_event_ns", "last_event_ns"))
        before = self.since_ns and first < self.since_ns
        if before or (self.until_ns and last >= self.until_ns):
            self.beyond[identity] = str(field_of(own, "log.file.name") or "")


def _ns(own: Mapping[str, Any], name: str) -> int:
    text = str(field_of(own, _SEGMENT + name) or "")
    return int(text) if text.isdecimal() else 0
