"""Judges an export by itself, and words what that proves and what nobody can know from it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k8s_audit_otlp.evidence.seal import INTERVAL_S
from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.chains import ChainReport, IntegrityReport, Links
from k8s_audit_otlp.tools.verify.compare import Comparison, VerifyReport
from k8s_audit_otlp.tools.verify.contents import ContentReport, Contents
from k8s_audit_otlp.tools.verify.export import UID_FIELD
from k8s_audit_otlp.tools.verify.export_record import ExportRecord
from k8s_audit_otlp.tools.verify.fields import FieldReport, Fields
from k8s_audit_otlp.tools.verify.raw_files import RawFiles, RawReport
from k8s_audit_otlp.tools.verify.scope import Scope

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_LATE_S = 60.0  # a seal may come so much later than it is due
MOST = 20  # segments that are named
CANNOT_KNOW = (
    "events that a policy of kube-apiserver never wrote",
    "what a policy or redaction of the exporter took away before it was sent (counted in receipts)",
    (
        "what the body does not say: file names, when a record was read and that it was redacted "
        "or shortened, and fields that a back end or a Collector added"
    ),
    "what was written to the node's log by somebody else than kube-apiserver before it was read",
)


@dataclass(slots=True)
class Verdict:
    """Everything that was found, and with what it was checked."""

    scope: Scope
    complete: VerifyReport
    sound: IntegrityReport
    contents: ContentReport
    fields: FieldReport
    raw: RawReport | None = None
    exports: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        lacks = self.complete.foreign or self.contents.missing
        return self.complete.complete and not lacks

    @property
    def is_sound(self) -> bool:
        raw = self.raw.changed if self.raw is not None else []
        return self.sound.sound and not (self.contents.changed or self.fields.changed or raw)

    @property
    def is_proven(self) -> bool:
        """Everything that was asked could be judged, and nothing is wrong."""
        return self.is_sound and self.is_complete and not self.unproven

    @property
    def unproven(self) -> list[str]:
        """Name what was asked, and that nothing here proves or disproves."""
        contents = [f"records of {x}" for x in self.contents.not_judged]
        raw = self.raw.unproven if self.raw is not None else []
        return [*contents, *self._unsealed(), *self._starts(), *self.sound.absent, *raw]

    def _unsealed(self) -> Iterator[str]:
        """Name chains that no seal proves, to the end of what is judged."""
        for chain in self.sound.chains:
            if not (self.sound.checked and chain.last) or chain.faults:
                continue
            if not chain.sealed:
                yield f"{chain.exporter} ({chain.id}): no seal by a key that was given"
            elif not chain.waits and (count := sum(map(self.scope.may_hold, chain.unsealed_ns))):
                yield (
                    f"{chain.exporter} ({chain.id}): {counted(count, 'link')} after number "
                    f"{chain.sealed} not sealed, and no seal for {INTERVAL_S / 60:.0f} minutes: it "
                    "was taken out, the agent was killed, or it came after what was exported"
                )

    def _starts(self) -> Iterator[str]:
        """Name chains that begin behind their first link, where more should be there."""
        for chain in self.sound.chains:
            if chain.first <= 1 or chain.replay:
                continue
            name = f"{chain.exporter} ({chain.id})"
            if self.scope.since_ns and not 0 < chain.since_ns < self.scope.since_ns:
                yield (
                    f"{name}: begins with number {chain.first}, and the first event of that is "
                    "not before the range: nothing shows that the link before it was not taken "
                    "out; export an hour more before it"
                )
            older = [n for ns, n in self.contents.without_receipt if 0 < ns < chain.since_ns]
            if older:
                yield (
                    f"{name}: begins with number {chain.first}, and {counted(sum(older), 'record')}"
                    " older than that are under no receipt: what proved them is not there"
                )

    @property
    def nothing(self) -> str:
        """Why nothing can be said; "" where something can."""
        if not any(chain.last for chain in self.sound.chains):
            seen = ", ".join(sorted(filter(None, self.scope.clusters)))
            if self.scope.cluster and self.scope.clusters:
                return f"no receipt is of {self.scope.cluster}; there are of {seen or 'no cluster'}"
            return (
                "no receipt that is linked; nothing proves anything here. A segment has one when "
                "the log has rotated and all of it has arrived: its record has the event.name "
                "k8s.audit.segment"
            )
        if self.scope.by_end and not self.complete.segments:
            return "no segment of the log ended in that time, so none has a receipt"
        if not self.complete.segments:
            beyond = "".join(f"; {n} ({i}) reaches beyond it" for i, n in self.scope.beyond.items())
            return f"no segment lies in that time, so none is judged{beyond}"
        if self.raw is not None and not (self.raw.same or self.raw.changed):
            why = "; ".join(self.raw.not_judged[:3]) or "no file of the log is in it"
            return f"--raw {self.raw.directory}: none of its files can be judged: {why}"
        return ""

    @property
    def not_judged(self) -> list[str]:
        """Name segments of which something could not be judged, and why."""
        beyond = [f"{n} ({i}): reaches beyond the range" for i, n in self.scope.beyond.items()]
        raw = self.raw.not_judged if self.raw is not None else []
        proof = [line for line in self.unproven if line not in raw]
        return [*beyond, *proof, *self.fields.not_compared, *raw]

    @property
    def faults(self) -> list[str]:
        """Name what was changed, put in, taken out of a chain or forged."""
        raw = self.raw.changed if self.raw is not None else []
        chains = [f"{c.exporter} ({c.id}): {x}" for c in self.sound.chains for x in c.faults]
        more = [f"fields that were changed too: {self.fields.more:,}"] if self.fields.more else []
        beside = [*self.fields.changed, *more]
        return [*self.sound.faults, *chains, *self.contents.changed, *beside, *raw]

    @property
    def lacks(self) -> list[str]:
        """Name what is missing, and remarks on it."""
        remarks = [f"{s.identity}: {r}" for s in self.complete.segments for r in s.remarks]
        holes = [f"{hole} is not there" for hole in self.complete.missing_receipts]
        return [*remarks, *holes, *self.contents.missing]

    def counts(self) -> dict[str, int]:
        report = self.complete
        return {
            "records under receipts": report.total("arrived"),
            "missing": report.total("missing"),
            "repeated": report.total("repeated"),
            "foreign": report.foreign,
            "gaps": report.total("gaps"),
            "records of segments without a receipt yet": report.elsewhere,
        }

    def as_json(self) -> dict[str, object]:
        complete = self.complete
        return {
            "complete": self.is_complete,
            "sound": self.is_sound,
            "proven": self.is_proven,
            "unproven": self.unproven,
            "missing": complete.total("missing"),
            "repeated": complete.total("repeated"),
            "foreign": complete.foreign,
            "gaps": complete.total("gaps"),
            "without_receipt": {
                "records": complete.elsewhere,
                "segments": complete.elsewhere_segments,
            },
            "missing_receipts": complete.missing_receipts,
            "seals": self.sound.seals,
            "seals_checked": self.sound.checked,
            "faults": self.faults,
            "chains": [asdict(chain) for chain in self.sound.chains],
            "contents": asdict(self.contents),
            "fields": asdict(self.fields),
            "raw": asdict(self.raw) if self.raw is not None else None,
            "exports": self.exports,
            "keys": self.keys,
            "cluster": self.scope.cluster,
            "from_ns": self.scope.since_ns,
            "to_ns": self.scope.until_ns,
            "not_judged": self.not_judged,
            "cannot_know": list(CANNOT_KNOW),
        }

    def lines(self) -> Iterator[str]:
        """Word it for a terminal."""
        yield from self.lacks
        yield from self.faults
        for chain in self.sound.chains:
            yield f"{chain.exporter} ({chain.id}): {extent(chain, checked=self.sound.checked)}"
        counts = ", ".join(f"{count:,} {what}" for what, count in self.counts().items())
        yield f"{'complete' if self.is_complete else 'NOT COMPLETE'}: {counts}"
        yield from (f"not judged: {line}" for line in self.not_judged[:MOST])
        if len(self.not_judged) > MOST:
            yield f"not judged: {len(self.not_judged) - MOST} more"
        held = held_records(self.contents)
        yield f"held against the hashes of uid and body in their receipts: {held}"
        yield f"beside the bodies: {held_fields(self.fields)}"
        if self.raw is not None:
            files = f"{counted(self.raw.same, 'file')} in {self.raw.directory}"
            yield f"byte for byte what was read: {files}"
        yield "sound: the chain holds" if self.is_sound else "NOT SOUND: see above"
        if self.is_sound and self.is_complete and not self.is_proven:
            yield "NOT PROVEN: nothing wrong was found, but not all could be judged, see above"
        yield "nobody can know from an export: " + "; ".join(CANNOT_KNOW)


class Judge:
    """Takes in exports, one after the other."""

    def __init__(
        self,
        scope: Scope,
        keys: "Mapping[str, Ed25519PublicKey] | None",
        uid_field: str = UID_FIELD,
    ) -> None:
        self._scope, self._fields = scope, Fields(uid_field)
        self._comparison, self._links = Comparison(), Links(keys)
        self._contents, self._raw = Contents(), RawFiles()

    def take(self, items: Iterable[ExportRecord]) -> None:
        linked = self._links.taking(self._scope.taking(items))
        held = self._fields.taking(self._raw.taking(linked))
        self._comparison.take(self._contents.taking(held))

    def verdict(self, exports: list[str], keys: list[str], raw: Path | None) -> Verdict:
        """Judge what was taken in; *exports*, *keys* are named in it, *raw* is read.

        Raises:
            OSError: *raw* is missing or may not be read.

        """
        for part in (self._comparison, self._contents, self._fields):
            part.leave_out(self._scope.left_out)
        contents, links = self._contents.report(), self._links.report()
        self._see_who_waits(links, contents.newest_ns)
        return Verdict(
            self._scope,
            self._comparison.report(),
            links,
            contents,
            self._fields.report(),
            self._raw.report(raw) if raw is not None else None,
            exports,
            keys,
        )

    def _see_who_waits(self, links: IntegrityReport, newest_ns: int) -> None:
        """Excuse links whose seal is not due yet by the newest time that anything here names.

        Of a range with an end more can be exported, so there they have to be sealed.
        """
        times = (ns for chain in links.chains for ns in (chain.sealed_ns, *chain.unsealed_ns))
        due_ns = max(newest_ns, *times, 0) - int((INTERVAL_S + _LATE_S) * 1e9)
        for chain in links.chains:
            is_due = self._scope.until_ns or chain.sealed_ns < due_ns
            chain.waits = bool(chain.unsealed_ns) and not is_due


def extent(chain: ChainReport, *, checked: bool) -> str:
    """Say how far a chain goes, and how far nobody could rewrite it."""
    if not chain.last:
        known = f"sealed up to {chain.sealed}" if checked else "seals that no key was given for"
        return f"{known}; its links are in another back end"
    links = f"links {chain.first} to {chain.last}"
    if not checked:
        return f"{links}; no key was given: it shows accident and loss, and no forger"
    if not chain.sealed:
        return f"{links}; not sealed"
    sealed = f"sealed up to {chain.sealed} at {time_of(chain.sealed_ns)}"
    wait = ", as the next seal is not due yet" if chain.waits else ""
    return f"{links}; {sealed}, {max(0, chain.last - chain.sealed)} after it are not{wait}"


def held_records(contents: ContentReport) -> str:
    """Say how much was held against the hashes in receipts."""
    return f"{counted(contents.records, 'record')} of {counted(contents.judged, 'segment')}"


def held_fields(fields: FieldReport) -> str:
    """Say how much beside the bodies was held against them."""
    if not fields.records:
        return "the export has nothing that could be held against them"
    short = f", {fields.shortened:,} as far as the back end takes them" if fields.shortened else ""
    return (
        f"as the body says: {counted(fields.values, 'value')} (attributes, time, severity) "
        f"of {counted(fields.records, 'record')}{short}"
    )


def time_of(ns: int) -> str:
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="seconds")
