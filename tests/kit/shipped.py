"""Records that the agent's own reader and encoder make of a log on disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.exporter.unwrapped import UnwrappingEncoder
from k8s_audit_otlp.model import Block
from k8s_audit_otlp.otlp.encode import Encoder
from k8s_audit_otlp.otlp.record import encode_record
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segments import LogLimits
from k8s_audit_otlp.state.ledger import Ledger, Tally


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
