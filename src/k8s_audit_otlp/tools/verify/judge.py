"""Judges exports, one record after the other; each part takes in what concerns it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from k8s_audit_otlp.tools.verify.chains import IntegrityReport, Links
from k8s_audit_otlp.tools.verify.compare import Comparison
from k8s_audit_otlp.tools.verify.contents import Contents
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord
from k8s_audit_otlp.tools.verify.fields import Fields
from k8s_audit_otlp.tools.verify.raw_files import RawFiles
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.unreceipted import LATE_NS, Unreceipted
from k8s_audit_otlp.tools.verify.verdict import Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Judge:
    """Takes in exports, one after the other."""

    def __init__(
        self,
        scope: Scope,
        keys: "Mapping[str, Ed25519PublicKey] | None",
        uid_field: str = UID_FIELD,
    ) -> None:
        self._scope, self._fields = scope, Fields(uid_field)
        # Of a day links are asked for as far as there are any: what a seal names is there.
        links_until_ns = 0 if scope.by_end else scope.until_ns
        self._comparison, self._links = Comparison(), Links(keys, links_until_ns)
        self._contents, self._raw = Contents(self._comparison.arrived), RawFiles()

    def take(self, items: Iterable[ExportRecord]) -> None:
        parts = self._comparison, self._links, self._raw, self._fields, self._contents
        for item in self._scope.taking(items):
            for part in parts:
                part.take(item)

    def verdict(self, exports: list[str], keys: list[str], raw: Path | None) -> Verdict:
        """Judge what was taken in; *exports*, *keys* are named in it, *raw* is read.

        Raise OSError where *raw* is missing or may not be read.
        """
        left_out, links = self._scope.left_out, self._links.report()
        said = [x for x in links.open.values() if x.bytes and self._scope.holds_whole(x)]
        beyond = {identity for _, identity, _ in links.open} - {x.identity for x in said}
        linked = {chain.id: chain.exporter for chain in links.chains if chain.last}
        self._contents.take_open(said, linked)
        for part in (self._comparison, self._contents, self._fields):
            part.leave_out(left_out)
        contents = self._contents.report()
        segments = self._contents.segments
        newest_ns, without = segments.newest_ns(), segments.without_receipt(left_out)
        self._see_who_waits(links, newest_ns)
        complete = self._comparison.report()
        for segment in complete.segments:
            if segment.identity in self._contents.hashed:
                segment.foreign = 0  # the hashes tell what was put in
        return Verdict(
            self._scope,
            complete,
            links,
            contents,
            self._fields.report(),
            self._raw.report(raw),
            exports,
            keys,
            without,
            self._unnamed(links, without),
            [] if self._scope.by_end else [x.identity for x in without if x.identity in beyond],
        )

    def _unnamed(self, links: IntegrityReport, without: Sequence[Unreceipted]) -> list[str]:
        """Name segments that neither a receipt nor a seal speaks of, where there are seals."""
        named = {identity for _, identity, _ in links.open}
        sealed_ns = {chain.id: chain.sealed_ns for chain in links.chains if chain.sealed_ns}
        of_scope = filter(self._scope.concerns, without)
        return list(
            self._contents.segments.unnamed(of_scope, named, sealed_ns) if sealed_ns else ()
        )

    def _see_who_waits(self, links: IntegrityReport, newest_ns: int) -> None:
        """Excuse links whose seal is not due yet by the newest time that anything here names.

        Of a range with an end more can be exported, so there they have to be sealed.
        """
        times = (ns for chain in links.chains for ns in (chain.sealed_ns, *chain.unsealed_ns))
        until_ns, newest_ns = self._scope.until_ns, max(newest_ns, *times, 0)
        for chain in links.chains:
            is_due = until_ns or chain.sealed_ns < newest_ns - LATE_NS
            chain.waits = bool(chain.unsealed_ns) and not is_due
            is_early = chain.seen_ns < (until_ns or newest_ns) - LATE_NS
            chain.ends_early = bool(chain.sealed_by) and is_early
