"""Receipts as an agent writes them of records that it has delivered."""

from collections.abc import Sequence
from typing import Any

from k8s_audit_otlp.evidence.chain import words
from k8s_audit_otlp.state.content_hash import VERSION, Content, digest_of
from k8s_audit_otlp.tools.verify.contents import Contents
from k8s_audit_otlp.tools.verify.exports.record import CHAIN_ID, SEGMENT, ExportRecord, read_receipt
from k8s_audit_otlp.tools.verify.segment_contents import ContentReport


def receipt_of(
    sent: Sequence[ExportRecord], size: int, identity: str = "", **more: Any
) -> ExportRecord:
    """Return the receipt of a segment of *size* bytes of which *sent* was delivered."""
    content = Content()
    content.add(
        [
            (
                int(item.uid.partition("-")[2], 16),
                digest_of(item.uid.encode(), (item.body or "").encode()),
            )
            for item in sent
        ]
    )
    identity = identity or sent[0].uid.partition("-")[0]
    said = {
        CHAIN_ID: "0123456789abcdef",
        SEGMENT + "identity": identity,
        SEGMENT + "bytes": size,
        SEGMENT + "delivered": len(sent),
        SEGMENT + "gaps": 0,
        SEGMENT + "content.version": VERSION,
        SEGMENT + "content.hash": content.finished().hex(),
        SEGMENT + "content.sums": "-".join(f"{each:x}" for each in content.sums),
        **more,
    }
    own = {words(name): value for name, value in said.items()}
    return ExportRecord(f"receipt-{identity}-1", read_receipt(own), own)


def judged(items: Sequence[ExportRecord]) -> ContentReport:
    contents = Contents()
    for item in items:
        contents.take(item)
    return contents.report()
