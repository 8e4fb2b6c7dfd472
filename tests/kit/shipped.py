"""Records that the agent's own reader and encoder make of a log on disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.evidence.chain import words
from k8s_audit_otlp.exporter.wrapped_lines import UnwrappingEncoder
from k8s_audit_otlp.model import Block
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segments import LogLimits
from k8s_audit_otlp.state.content_hash import VERSION, Content, entry_of
from k8s_audit_otlp.state.ledger import Ledger, Tally
from k8s_audit_otlp.tools.verify.compare import Comparison
from k8s_audit_otlp.tools.verify.contents import Contents
from k8s_audit_otlp.tools.verify.exports.record import CHAIN_ID, SEGMENT, ExportRecord, read_receipt
from k8s_audit_otlp.tools.verify.segment_contents import ContentReport


class _Deaf:
    def discovered(self, *_: object) -> None: ...
    def trouble(self, *_: object) -> None: ...


def delivered(path: Path, form: str = "audit") -> Iterator[bytes]:
    """Read and encode every record of a log as the agent does, in file order.

    *form*: what has framed its lines, as the receiver's key `format` says.
    """
    log = AuditLog("k", path, _Deaf(), limits=LogLimits(settle_s=0.0, torn_s=0.0))
    reader, ledger = BlockReader(log), Ledger()
    encode = UnwrappingEncoder(Encoder().encode_block, form, lambda *_: b"")
    log.register(ledger)
    log.scan()
    while (segment := log.next_segment(ledger)) is not None:
        block = reader.read(segment, ledger.next_offset(segment.seq))
        if block is None:
            if segment.live:
                break
            continue
        if isinstance(block, Block):
            yield from encode(block).records
        ledger.settle(ledger.open(block.span), Tally())
    log.close()


def receipt_record(identity: str, number: int, **said: int) -> bytes:
    """Make a receipt's record with the fields that the agent gives it."""
    attributes: dict[str, Any] = {
        "log.record.uid": f"receipt-{identity}-{number}",
        "k8s.audit.exporter": "otlp_http",
        "k8s.audit.segment.identity": identity,
        "k8s.audit.segment.number": number,
        **{f"k8s.audit.segment.{name}": value for name, value in said.items()},
    }
    return encode_record(1, 1, 9, "k8s.audit.segment", "a receipt", attributes)


def otlp_json(records: Sequence[bytes]) -> bytes:
    """Write records as one line of OTLP JSON: camel case, integers as strings."""
    scope = MessageToDict(ScopeLogs.FromString(b"".join(records)))
    resource = {"attributes": [{"key": "host.name", "value": {"stringValue": "cp-1"}}]}
    return orjson.dumps({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]}) + b"\n"


def receipt_of(
    sent: Sequence[ExportRecord], size: int, identity: str = "", **more: Any
) -> ExportRecord:
    """Return the receipt of a segment of *size* bytes of which *sent* was delivered."""
    content = Content()
    content.add(
        b"".join(
            entry_of(
                int(item.uid.partition("-")[2], 16),
                item.uid.encode(),
                (item.body or "").encode(),
            )
            for item in sent
        )
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
    comparison = Comparison()
    contents = Contents(comparison.arrived)
    for item in items:
        comparison.take(item)
        contents.take(item)
    return contents.report()
