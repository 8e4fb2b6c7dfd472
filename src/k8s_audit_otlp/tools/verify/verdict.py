"""What was found in an export, and what that proves."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from k8s_audit_otlp.evidence.seal import INTERVAL_S
from k8s_audit_otlp.tools.text import counted, time_of
from k8s_audit_otlp.tools.verify.chains import ChainReport, IntegrityReport
from k8s_audit_otlp.tools.verify.field_names import FieldReport
from k8s_audit_otlp.tools.verify.raw_files import RawReport
from k8s_audit_otlp.tools.verify.report import VerifyReport
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.segment_contents import ContentReport
from k8s_audit_otlp.tools.verify.unreceipted import Unreceipted

_STEP_NS = 60 * 10**9  # a clock that is kept right goes back by less


@dataclass(slots=True)
class Verdict:
    """Everything that was found, and with what it was checked."""

    scope: Scope
    complete: VerifyReport
    sound: IntegrityReport
    contents: ContentReport
    fields: FieldReport
    raw: RawReport = field(default_factory=RawReport)  # of no directory where none is asked for
    exports: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    without_receipt: list[Unreceipted] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)  # of these, what no seal names either
    open_beyond: list[str] = field(default_factory=list)  # and identities of what was not judged
    unread: list[str] = field(default_factory=list)  # exports that are not read whole

    @property
    def is_complete(self) -> bool:
        return not self.complete.lacks and not self.contents.missing

    @property
    def is_sound(self) -> bool:
        return not self.faults

    @property
    def is_proven(self) -> bool:
        """Everything that was asked could be judged, and nothing is wrong."""
        return self.is_sound and self.is_complete and not self.unproven

    @property
    def unproven(self) -> list[str]:
        """Name what was asked, and that nothing here proves or disproves."""
        contents = [*self.complete.unjudged, *(f"records of {x}" for x in self.contents.not_judged)]
        chains = [*self._unsealed(), *self._starts(), *self._elsewhere(), *self.sound.absent]
        undated = [
            f"{x}: a loss that was told of after the range; whether it lies in it nobody knows"
            for x in self.scope.undated
        ]
        disputed = [
            f"{x}: its events name this cluster, and its receipts another: it was renamed, or "
            "somebody wrote that"
            for x in self.scope.disputed
        ]
        of_scope = [*undated, *disputed]
        return [*self.unread, *contents, *self.unnamed, *chains, *of_scope, *self.raw.unproven]

    def _unsealed(self) -> Iterator[str]:
        """Name chains that no seal proves, to the end of what is judged."""
        for chain in self.sound.chains:
            if not (self.sound.checked and chain.last) or chain.faults:
                continue
            if chain.twice:
                yield (
                    f"{chain.name}: goes on twice from number {chain.twice[0]}, and both ends are "
                    "sealed: the agent's state was set back to an older copy, or somebody has "
                    "its key"
                )
            if not chain.sealed_by:
                yield f"{chain.name}: no seal by a key that was given"
            elif not chain.waits and (count := self._unsealed_links(chain)):
                yield (
                    f"{chain.name}: {counted(count, 'link')} after number "
                    f"{chain.sealed} not sealed, and no seal for {INTERVAL_S / 60:.0f} minutes: it "
                    "was taken out, the agent was killed, or it came after what was exported"
                )
            elif self._is_cut_off(chain):
                yield (
                    f"{chain.name}: its newest seal is of {time_of(chain.seen_ns)}, where the "
                    "proof ends, and till the end of the range no other came: receipts and seals "
                    "were taken out, the agent was killed, or the export is older than that end; "
                    "seals kept elsewhere show which"
                )

    def _unsealed_links(self, chain: ChainReport) -> int:
        """Count its links that may be of the range and have no seal."""
        return sum(map(self.scope.may_hold, chain.unsealed_ns))

    def _is_cut_off(self, chain: ChainReport) -> bool:
        """Tell whether its seals end while the agent ran, or nothing shows that it was stopped."""
        is_of_range = self.scope.until_ns and chain.sealed_ns >= self.scope.since_ns
        is_due = is_of_range and not chain.stopped
        return bool(is_due) and chain.ends_early and not chain.replay

    def _starts(self) -> Iterator[str]:
        """Name chains that begin behind their first link, where more should be there."""
        for chain in self.sound.chains:
            if chain.first <= 1 or chain.replay:
                continue
            renamed = chain.first - 1 in self.scope.elsewhere.get(chain.id, ())
            since_ns = self.scope.since_ns or chain.since_ns
            if 0 < since_ns < chain.before_ns and not renamed:
                yield (
                    f"{chain.name}: begins with number {chain.first}, and says that links before "
                    f"it speak of times up to {time_of(chain.before_ns)}, of which something is "
                    "asked here: they were taken out, or the export begins too late; export an "
                    "hour more before it"
                )
            older = [x.records for x in self.without_receipt if 0 < x.last_ns < chain.since_ns]
            if count := sum(older):
                yield (
                    f"{chain.name}: begins with number {chain.first}, and "
                    f"{counted(count, 'record')} older than that are under no receipt: what proved "
                    "them is not there"
                )

    def _elsewhere(self) -> Iterator[str]:
        """Name chains of which links are left out, as they say that they are another cluster's."""
        for chain in self.sound.chains:
            numbers = self.scope.elsewhere.get(chain.id, ()) if chain.last else ()
            if count := sum(not chain.first <= n <= chain.last for n in numbers):
                yield (
                    f"{chain.name}: {counted(count, 'link')} of it left out, as "
                    "another cluster is named there: it was renamed, or somebody wrote that"
                )

    @property
    def nothing(self) -> str:
        """Why nothing can be said; "" where something can."""
        if any(chain.last and chain.faults for chain in self.sound.chains):
            return ""
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
        if all(chain.replay or not chain.last for chain in self.sound.chains):
            return "only replays have receipts here: those say what was sent again, not what is due"
        if not self.complete.segments:
            beyond = len(self.scope.beyond)
            some = f": {beyond} begin before it or end after it" if beyond else ""
            return f"no segment lies in that time, so none is judged{some}"
        if self.raw.directory and not (self.raw.same or self.raw.changed):
            why = "; ".join(self.raw.not_judged[:3]) or "no file of the log is in it"
            return f"--raw {self.raw.directory}: none of its files can be judged: {why}"
        return ""

    @property
    def not_judged(self) -> list[str]:
        """Name segments of which something could not be judged, and why."""
        beyond = [f"{n} ({i}): reaches beyond the range" for i, n in self.scope.beyond.items()]
        beyond += [f"open segment ({i}): reaches beyond the range" for i in self.open_beyond]
        proof = [line for line in self.unproven if line not in self.raw.not_judged]
        more = [*self.fields.not_compared, *self.raw.not_judged]
        return [*beyond, *proof, *self._ends(), *self._went_back(), *more]

    def _ends(self) -> Iterator[str]:
        """Name chains of which nothing shows that no more came: a stopped agent's are so, too."""
        for chain in self.sound.chains:
            if not (chain.ends_early and chain.last) or chain.replay:
                continue
            if self._unsealed_links(chain) or self._is_cut_off(chain):
                continue  # that is told of by itself
            why = (
                "the agent was stopped then, as the seal says; if it ran again, receipts and seals"
                if chain.stopped
                else "the agent was killed then, or receipts and seals"
            )
            yield (
                f"{chain.name}: what came after its newest seal, of "
                f"{time_of(chain.seen_ns)}: {why} were taken out, which seals kept elsewhere show"
            )

    def _went_back(self) -> Iterator[str]:
        """Name where a chain goes on and its times do not, as what is late is told by times."""
        for chain in self.sound.chains:
            newest_ns, went_back = 0, -1
            for number, _, ns in sorted(chain.times):
                if ns < newest_ns - _STEP_NS:
                    yield (
                        f"{chain.name}: at number {number} its times go back from "
                        f"{time_of(newest_ns)} to {time_of(ns)}: the node's clock was set back, or "
                        "the agent's state to an older copy; the times in between came twice, and "
                        "while they did nothing here is found to be late"
                    )
                    newest_ns, went_back = ns, number
                elif number != went_back:
                    newest_ns = max(newest_ns, ns)

    @property
    def faults(self) -> list[str]:
        """Name what was changed, put in, taken out of a chain or forged."""
        chains = [f"{c.name}: {x}" for c in self.sound.chains for x in c.faults]
        more = [f"fields that were changed too: {self.fields.more:,}"] if self.fields.more else []
        records = [*self.contents.changed, *self.complete.put_in, *self.fields.changed, *more]
        return list(dict.fromkeys([*self.sound.faults, *chains, *records, *self.raw.changed]))

    @property
    def lacks(self) -> list[str]:
        """Name what is missing, and remarks on it."""
        remarks = [f"{s.identity}: {r}" for s in self.complete.segments for r in s.remarks]
        holes = [f"{hole} is not there" for hole in self.complete.missing_receipts]
        return [*remarks, *holes, *self.contents.missing]

    @property
    def missing(self) -> int:
        return self.complete.total("missing") + self.contents.lacking

    def counts(self) -> dict[str, int]:
        report = self.complete
        replayed = self.contents.replayed
        return {
            "records under receipts": report.total("arrived"),
            "missing": self.missing,
            "repeated": report.total("repeated"),
            **({"sent again by replays": replayed} if replayed else {}),
            "foreign": report.foreign,
            "gaps": report.total("gaps"),
            "records of segments without a receipt yet": report.elsewhere,
        }
