"""The whole record of each event in events.log, as records.json keeps it.

python tests/golden/test_golden.py      writes records.json anew
"""

import json
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.otlp.encode import Encoder

FOLDER = Path(__file__).parent
EVENTS, RECORDS = FOLDER / "events.log", FOLDER / "records.json"


def records() -> list[dict[str, Any]]:
    """Encode events.log as one block and give each record as OTLP JSON."""
    data = EVENTS.read_bytes()
    block = Block(
        Span(1, 0, len(data)), "5eed5eed5eed5eed", "audit.log", data, 1_767_323_200 * 10**9
    )
    encoded = Encoder().encode_block(block)
    return [
        MessageToDict(record)
        for record in ScopeLogs.FromString(b"".join(encoded.records)).log_records
    ]


def test_every_record_is_as_kept() -> None:
    """A change of the mapping shows in the difference of one file."""
    assert records() == json.loads(RECORDS.read_text())


if __name__ == "__main__":
    RECORDS.write_text(json.dumps(records(), indent=1, ensure_ascii=False) + "\n")
