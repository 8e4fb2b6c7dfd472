"""What was written held against what arrived, and against what was told."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from k8s_audit_otlp.state.checkpoint import CheckpointFile
from k8s_audit_otlp.telemetry.backlog import inspect
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import item_of_fields
from k8s_audit_otlp.tools.verify.judge import Judge
from k8s_audit_otlp.tools.verify.scope import Scope
from k8s_audit_otlp.tools.verify.verdict import Verdict
from tests.faults.processes import GAP, RECEIPT, Totals
from tests.kit.agent import exported
from tests.kit.backends.backend import Backend
from tests.kit.backends.received import Record

CLOCK_NS = 1_000_000  # between the time in an event and the writer's note of it
SEGMENT = RECEIPT + "."


def compare(
    written: Path, backend: Backend, totals: Totals, cut: Container[str] = frozenset()
) -> Totals:
    """Compare what the writer noted with what arrived, as multisets of audit ids.

    *cut* are ids that a power cut took from the disk: whether they had arrived is left to chance.
    """
    received = backend.received
    lines = [line.split() for line in written.read_text().splitlines()]
    order = [(i, int(ns)) for i, ns in lines if i not in cut or i in received.audit_ids]
    wanted = Counter(i for i, _ in order)
    totals.written = wanted.total()
    totals.received = received.audit_ids.total()
    totals.missing = (wanted - received.audit_ids).total()
    totals.foreign = (received.audit_ids - wanted).total()
    totals.repeated = received.duplicates
    gaps = [n for n in received.notices if n.event_name == GAP]
    # Before the first file of all nothing proves what an empty directory had in between.
    totals.gaps = len({n.uid for n in gaps if n.attributes.get(SEGMENT + "sequence") != 1})
    totals.unexplained = unexplained(order, received.audit_ids, gaps)
    totals.notes += disagreeing_receipts(received.notices, received.uids, totals)
    totals.notes += twice_named(received.records)
    totals.notes += verdict_of(exported(backend)).faults  # nobody has changed anything
    return totals


def twice_named(records: Iterable[Record]) -> list[str]:
    """Name the uids under which different events arrived: a store may keep one for each."""
    events: dict[str, set[tuple[str, int]]] = {}
    for record in records:
        events.setdefault(record.uid, set()).add((record.ids.audit_id, record.time_ns))
    return [f"{uid} names {len(found)} events" for uid, found in events.items() if len(found) > 1]


def verdict_of(
    rows: Iterable[Mapping[str, object]], keys: Mapping[str, Ed25519PublicKey] | None = None
) -> Verdict:
    """Judge an export as `evidence verify` does."""
    judge = Judge(Scope(), keys)
    judge.take(item_of_fields(row.items(), UID_FIELD) for row in rows)
    return judge.verdict([], [], None)


def unexplained(
    order: Iterable[tuple[str, int]], arrived: Container[str], gaps: Iterable[Record]
) -> int:
    """Return how many events are missing that no gap tells of. *order*: ids and when written.

    A gap tells of what was written between its two times; one without an end, until it was told.
    """
    spans = [
        (
            int(gap.attributes.get("k8s.audit.gap.since_ns", 0)) - CLOCK_NS,
            int(gap.attributes.get("k8s.audit.gap.until_ns", gap.observed_ns)) + CLOCK_NS,
        )
        for gap in gaps
    ]
    missing = (when_ns for audit_id, when_ns in order if audit_id not in arrived)
    return sum(not any(since <= when <= until for since, until in spans) for when in missing)


def disagreeing_receipts(
    notices: Iterable[Record], uids: Iterable[str], totals: Totals
) -> list[str]:
    """Hold every receipt against the different uids of its segment that are here.

    Where the segment has a gap there may be more: what a killed agent had delivered without
    having noted it is lost to the next one when the file is gone.
    """
    receipts: dict[str, Record] = {}
    for notice in notices:
        if notice.event_name == RECEIPT:
            identity = str(notice.attributes[SEGMENT + "identity"])
            known = receipts.get(identity)
            if known is None or _said(known, "bytes") <= _said(notice, "bytes"):
                receipts[identity] = notice
    arrived = Counter(uid.partition("-")[0] for uid in uids)
    totals.receipts = len(receipts)
    return [
        f"the receipt of {identity} says {said} delivered, {arrived[identity]} arrived"
        for identity, receipt in receipts.items()
        if arrived[identity] < (said := _said(receipt, "delivered"))
        or (arrived[identity] > said and not _said(receipt, "gaps"))
    ]


def _said(receipt: Record, name: str) -> int:
    return int(receipt.attributes.get(SEGMENT + name, 0))


def unbalanced(state: Path) -> list[str]:
    """Say which exporter's counts do not add up in the checkpoint."""
    restored = CheckpointFile(state).load()
    if restored.checkpoint is None:
        return ["there is no checkpoint"]
    lines = inspect(restored.checkpoint)
    return [f"conservation is off by {c.balance}: {c}" for c in lines if c.balance] + [
        f"{c.backlog_bytes} bytes are not settled" for c in lines if c.backlog_bytes
    ]
