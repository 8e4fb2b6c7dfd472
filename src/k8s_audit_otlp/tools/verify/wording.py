"""Words a verdict: in a word, for a terminal, for programs, as a record and as metrics."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

from k8s_audit_otlp.state.outbox import Notice, Value
from k8s_audit_otlp.telemetry.metrics.table import PREFIX, Family, Labels
from k8s_audit_otlp.tools.text import counted, time_of
from k8s_audit_otlp.tools.verify.chains import ChainReport
from k8s_audit_otlp.tools.verify.day import Day
from k8s_audit_otlp.tools.verify.field_names import FieldReport
from k8s_audit_otlp.tools.verify.segment_contents import ContentReport
from k8s_audit_otlp.tools.verify.verdict import Verdict

EVENT: Final = "k8s.audit.evidence"
_SAID: Final = EVENT + "."
_INFO, _ERROR = 9, 17
_OWN: Final = f"{PREFIX}evidence_"
MOST: Final = 20  # faults, lacks and segments that are named
CANNOT_KNOW = (
    "events that a policy of kube-apiserver never wrote",
    "what a policy or redaction of the exporter took away before it was sent (counted in receipts)",
    (
        "what the body does not say: file names, when a record was read and that it was redacted "
        "or shortened, and fields that a back end or a Collector added"
    ),
    "what was written to the node's log by somebody else than kube-apiserver before it was read",
)


def json_of(verdict: Verdict) -> dict[str, object]:
    complete = verdict.complete
    return {
        "complete": verdict.is_complete,
        "sound": verdict.is_sound,
        "proven": verdict.is_proven,
        "unproven": verdict.unproven,
        "missing": verdict.missing,
        "repeated": complete.total("repeated"),
        "foreign": complete.foreign,
        "gaps": complete.total("gaps"),
        "without_receipt": {"records": complete.elsewhere, "segments": complete.elsewhere_segments},
        "missing_receipts": complete.missing_receipts,
        "seals": verdict.sound.seals,
        "seals_checked": verdict.sound.checked,
        "faults": verdict.faults,
        "chains": [asdict(chain) for chain in verdict.sound.chains],
        "contents": asdict(verdict.contents),
        "fields": asdict(verdict.fields),
        "raw": asdict(verdict.raw) if verdict.raw.directory else None,
        "exports": verdict.exports,
        "keys": verdict.keys,
        "cluster": verdict.scope.cluster,
        "from_ns": verdict.scope.since_ns,
        "to_ns": verdict.scope.until_ns,
        "not_judged": verdict.not_judged,
        "cannot_know": list(CANNOT_KNOW),
    }


def lines_of(verdict: Verdict) -> Iterator[str]:
    yield from verdict.lacks
    yield from verdict.faults
    for chain in verdict.sound.chains:
        yield f"{chain.name}: {extent(chain, checked=verdict.sound.checked)}"
    yield "nobody can know from an export: " + "; ".join(CANNOT_KNOW)
    counts = ", ".join(f"{count:,} {what}" for what, count in verdict.counts().items())
    yield f"{'complete' if verdict.is_complete else 'NOT COMPLETE'}: {counts}"
    yield from (f"not judged: {line}" for line in verdict.not_judged[:MOST])
    if len(verdict.not_judged) > MOST:
        yield f"not judged: {len(verdict.not_judged) - MOST} more"
    held = held_records(verdict.contents)
    yield f"compared with the hashes of uid and body in their receipts: {held}"
    yield f"beside the bodies: {held_fields(verdict.fields)}"
    if verdict.raw.directory:
        files = f"{counted(verdict.raw.same, 'file')} in {verdict.raw.directory}"
        yield f"byte for byte what was read: {files}"
    yield "sound: the chain holds" if verdict.is_sound else "NOT SOUND: see above"
    if verdict.is_sound and verdict.is_complete and not verdict.is_proven:
        yield "NOT PROVEN: nothing wrong was found, but not all could be judged, see above"


def extent(chain: ChainReport, *, checked: bool) -> str:
    """Say how far a chain goes, and how far nobody could rewrite it."""
    if not chain.last:
        if checked and not chain.sealed:
            return f"no link yet; sealed at {time_of(chain.sealed_ns)} by {chain.sealed_by}"
        known = f"sealed up to {chain.sealed}" if checked else "seals that no key was given for"
        return f"{known}; its links are in another back end"
    links = f"{'a replay, ' * chain.replay}links {chain.first} to {chain.last}"
    if not checked:
        return f"{links}; no key was given: it shows accident and loss, and no forger"
    if not chain.sealed_by:
        return f"{links}; not sealed"
    sealed = f"sealed up to {chain.sealed} at {time_of(chain.sealed_ns)} by {chain.sealed_by}"
    wait = ", as the next seal is not due yet" if chain.waits else ""
    after = max(0, chain.last - chain.sealed)
    return f"{links}; {sealed}, {after} without a seal after it{wait}"


def held_records(contents: ContentReport) -> str:
    """Say how much was compared with the hashes in receipts, and with those in seals."""
    more = f", and {contents.open:,} as seals say of segments without one" if contents.open else ""
    return f"{counted(contents.records, 'record')} of {counted(contents.judged, 'segment')}{more}"


def held_fields(fields: FieldReport) -> str:
    """Say how much beside the bodies was compared with them."""
    if not fields.records:
        return "the export has nothing that could be compared with them"
    short = f", {fields.shortened:,} as far as the back end takes them" if fields.shortened else ""
    return (
        f"as the body says: {counted(fields.values, 'value')} (attributes, time, severity) "
        f"of {counted(fields.records, 'record')}{short}"
    )


def answer_of(verdict: Verdict) -> str:
    """Say in a word what came out: complete, unproven, missing, changed; nothing: none could."""
    if verdict.nothing:
        return "nothing"
    if not verdict.is_sound:
        return "changed"
    if not verdict.is_complete:
        return "missing"
    return "complete" if verdict.is_proven else "unproven"


def notice_of(verdict: Verdict, day: Day, now_ns: int) -> Notice:
    answer, cluster = answer_of(verdict), verdict.scope.cluster
    texts = {
        "complete": f"the audit log of {cluster} on {day.name} is complete and untouched",
        "missing": f"the audit log of {cluster} on {day.name} is NOT COMPLETE",
        "changed": f"the audit log of {cluster} on {day.name} was CHANGED",
        "unproven": f"not all of the audit log of {cluster} on {day.name} could be judged",
        "nothing": f"nothing can be said of the audit log of {cluster} on {day.name}",
    }
    found = [*verdict.faults, *verdict.lacks, *verdict.unproven][:MOST] or [verdict.nothing]
    text = ": ".join([texts[answer], "; ".join(filter(None, found[:3]))]).removesuffix(": ")
    notice = _notice(cluster, day, now_ns, answer, text, dict(_counts(verdict)))
    if any(found):
        notice.attributes[_SAID + "found"] = "\n".join(found)
    return notice


def unanswered(cluster: str, day: Day, why: str, now_ns: int) -> Notice:
    """Say that a store could not be asked: nobody should take yesterday's answer for today's."""
    text = f"the audit log of {cluster} on {day.name} could not be judged: {why}"
    return _notice(cluster, day, now_ns, "unknown", text, {"found": why})


def _notice(
    cluster: str, day: Day, now_ns: int, answer: str, text: str, more: Mapping[str, Value]
) -> Notice:
    said = {"day": day.name, "answer": answer, **more}
    attributes = {"k8s.cluster.name": cluster, **{_SAID + name: of for name, of in said.items()}}
    severity = _INFO if answer == "complete" else _ERROR
    uid = f"evidence-{cluster}-{day.name}-{now_ns:x}"
    return Notice(uid, EVENT, now_ns, severity, text, attributes)


def families_of(verdict: Verdict, day: Day, store: str, now_ns: int) -> list[Family]:
    """Return a verdict as metrics. What could not be judged has neither 0 nor 1."""
    labels = {"cluster": verdict.scope.cluster, "store": store}
    rows: list[tuple[str, str, str, float]] = [
        (
            "day_timestamp_seconds",
            "seconds",
            "Begin of the day that was judged.",
            day.since_ns / 1e9,
        ),
        ("report_timestamp_seconds", "seconds", "When it was judged.", now_ns / 1e9),
        *((n, n.rpartition("_")[2], _HELP[n], c) for n, c in _counts(verdict)),
    ]
    if not verdict.nothing:
        complete, sound = int(verdict.is_complete), int(verdict.is_sound)
        proven = int(verdict.is_proven)
        rows.append(("complete", "boolean", "Everything that receipts count is there.", complete))
        rows.append(("proven", "boolean", "Complete, sound, and all was judged.", proven))
        rows.append(("sound", "boolean", "Nothing was changed, put in or taken out.", sound))
    return [_gauge(labels, *row) for row in rows]


_HELP: Final = {
    "segments": "Segments that were judged.",
    "records": "Records that are under their receipts.",
    "missing_records": "Records that receipts count and that are not there.",
    "gaps": "Gaps that the agent told of.",
    "faults": "What was changed, put in, taken out of the chain or forged.",
}


def _counts(verdict: Verdict) -> Iterator[tuple[str, int]]:
    report = verdict.complete
    yield "segments", len(report.segments)
    yield "records", report.total("arrived")
    yield "missing_records", verdict.missing
    yield "gaps", report.total("gaps")
    yield "faults", len(verdict.faults)


def _gauge(labels: Labels, name: str, unit: str, text: str, value: float) -> Family:
    return Family(_OWN + name, "gauge", unit, text, [(labels, value)])
