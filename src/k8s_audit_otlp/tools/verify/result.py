"""Tells of a verdict on a day: as a record among the others, and as metrics."""

from collections.abc import Iterator
from typing import Final

from k8s_audit_otlp.state.outbox import Notice, Value
from k8s_audit_otlp.telemetry.metrics.table import PREFIX, Family, Labels
from k8s_audit_otlp.tools.verify.day import Day
from k8s_audit_otlp.tools.verify.verdict import Verdict

EVENT: Final = "k8s.audit.evidence"
_SAID: Final = EVENT + "."
_INFO, _ERROR = 9, 17
_MOST: Final = 20  # faults and lacks that a record names
_OWN: Final = f"{PREFIX}evidence_"


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
    """Word a verdict as a record."""
    answer, cluster = answer_of(verdict), verdict.scope.cluster
    texts = {
        "complete": f"the audit log of {cluster} on {day.name} is complete and untouched",
        "missing": f"the audit log of {cluster} on {day.name} is NOT COMPLETE",
        "changed": f"the audit log of {cluster} on {day.name} was CHANGED",
        "unproven": f"not all of the audit log of {cluster} on {day.name} could be judged",
        "nothing": f"nothing can be said of the audit log of {cluster} on {day.name}",
    }
    found = [*verdict.faults, *verdict.lacks, *verdict.unproven][:_MOST] or [verdict.nothing]
    attributes: dict[str, Value] = {
        "k8s.cluster.name": cluster,
        _SAID + "day": day.name,
        _SAID + "answer": answer,
        **{_SAID + name: count for name, count in _counts(verdict)},
    }
    if any(found):
        attributes[_SAID + "found"] = "\n".join(found)
    return Notice(
        f"evidence-{cluster}-{day.name}-{now_ns:x}",
        EVENT,
        now_ns,
        _INFO if answer == "complete" else _ERROR,
        ": ".join([texts[answer], "; ".join(filter(None, found[:3]))]).removesuffix(": "),
        attributes,
    )


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
        *((f"{n}", n.rpartition("_")[2], _HELP[n], c) for n, c in _counts(verdict)),
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
    yield "missing_records", report.total("missing")
    yield "gaps", report.total("gaps")
    yield "faults", len(verdict.faults)


def _gauge(labels: Labels, name: str, unit: str, text: str, value: float) -> Family:
    return Family(_OWN + name, "gauge", unit, text, [(labels, value)])
