"""Words a verdict: for a terminal, for programs, and what nobody can know from an export."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

from k8s_audit_otlp.tools.text import counted
from k8s_audit_otlp.tools.verify.chains import ChainReport
from k8s_audit_otlp.tools.verify.contents import ContentReport
from k8s_audit_otlp.tools.verify.fields import FieldReport
from k8s_audit_otlp.tools.verify.verdict import Verdict

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


def json_of(verdict: Verdict) -> dict[str, object]:
    complete = verdict.complete
    return {
        "complete": verdict.is_complete,
        "sound": verdict.is_sound,
        "proven": verdict.is_proven,
        "unproven": verdict.unproven,
        "missing": complete.total("missing"),
        "repeated": complete.total("repeated"),
        "foreign": complete.foreign,
        "gaps": complete.total("gaps"),
        "without_receipt": {
            "records": complete.elsewhere,
            "segments": complete.elsewhere_segments,
        },
        "missing_receipts": complete.missing_receipts,
        "seals": verdict.sound.seals,
        "seals_checked": verdict.sound.checked,
        "faults": verdict.faults,
        "chains": [asdict(chain) for chain in verdict.sound.chains],
        "contents": asdict(verdict.contents),
        "fields": asdict(verdict.fields),
        "raw": asdict(verdict.raw) if verdict.raw is not None else None,
        "exports": verdict.exports,
        "keys": verdict.keys,
        "cluster": verdict.scope.cluster,
        "from_ns": verdict.scope.since_ns,
        "to_ns": verdict.scope.until_ns,
        "not_judged": verdict.not_judged,
        "cannot_know": list(CANNOT_KNOW),
    }


def lines_of(verdict: Verdict) -> Iterator[str]:
    """Word it for a terminal."""
    yield from verdict.lacks
    yield from verdict.faults
    for chain in verdict.sound.chains:
        yield f"{chain.exporter} ({chain.id}): {extent(chain, checked=verdict.sound.checked)}"
    counts = ", ".join(f"{count:,} {what}" for what, count in verdict.counts().items())
    yield f"{'complete' if verdict.is_complete else 'NOT COMPLETE'}: {counts}"
    yield from (f"not judged: {line}" for line in verdict.not_judged[:MOST])
    if len(verdict.not_judged) > MOST:
        yield f"not judged: {len(verdict.not_judged) - MOST} more"
    held = held_records(verdict.contents)
    yield f"held against the hashes of uid and body in their receipts: {held}"
    yield f"beside the bodies: {held_fields(verdict.fields)}"
    if verdict.raw is not None:
        files = f"{counted(verdict.raw.same, 'file')} in {verdict.raw.directory}"
        yield f"byte for byte what was read: {files}"
    yield "sound: the chain holds" if verdict.is_sound else "NOT SOUND: see above"
    if verdict.is_sound and verdict.is_complete and not verdict.is_proven:
        yield "NOT PROVEN: nothing wrong was found, but not all could be judged, see above"
    yield "nobody can know from an export: " + "; ".join(CANNOT_KNOW)


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
