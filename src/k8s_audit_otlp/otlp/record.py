"""The agent's own records (notices, receipts) as bytes, and what can be read back from any record.

Not for the hot path: a record goes out for a gap or a segment, and is read back for a dead letter.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from k8s_audit_otlp.otlp import wire
from k8s_audit_otlp.otlp.event_record import severity_bytes
from k8s_audit_otlp.otlp.limits import UID
from k8s_audit_otlp.state.content_hash import entry_of

if TYPE_CHECKING:
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue


def encode_record(  # a LogRecord has that many fields
    time_ns: int,
    observed_ns: int,
    severity: int,
    event_name: str,
    body: str,
    attributes: Mapping[str, wire.Value],
) -> bytes:
    """Encode a record that tells of no audit event; a whole field of ScopeLogs."""
    record = b"".join((
        wire.TIME + wire.fixed64(time_ns),
        wire.OBSERVED_TIME + wire.fixed64(observed_ns),
        severity_bytes(severity),
        wire.delimited(wire.BODY, wire.any_value(body)),
        wire.attributes(attributes),
        wire.text(wire.EVENT_NAME, event_name),
    ))  # fmt: skip
    return wire.record_head(len(record)) + record


def uid_of(record: bytes) -> str:
    """Read back the log.record.uid of a record; "" if it has none."""
    wanted = wire.text(wire.KEY, UID)
    return next(
        (
            _string(pair[len(wanted) :])
            for pair in _payloads(_payload(record), wire.ATTRIBUTE)
            if pair.startswith(wanted)
        ),
        "",
    )


def body_of(record: bytes) -> bytes:
    """Read back the body of a record whose body is a string, as ours are; b"" if it has none."""
    body = next(_payloads(_payload(record), wire.BODY), b"")
    return next(_payloads(body, wire.STRING), b"")


def segment_of(uid: str) -> str:
    """Return the identity of the segment that a record or a notice is about; "" for no segment."""
    return uid.rpartition("-")[0].rpartition("-")[2]


def entry_of_record(record: bytes) -> bytes:
    """Make anew what the receipt of its segment says of a record (`state.content_hash`)."""
    uid = uid_of(record)
    offset = int(uid.rpartition("-")[2].partition(".")[0] or "0", 16)
    return entry_of(offset, uid.encode(), body_of(record))


def plain_value(value: "AnyValue") -> Any:
    """Return a value as Python has it, a list for an array; None where nothing is set."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None


def _string(value_field: bytes) -> str:
    """Read KeyValue.value when it is a string."""
    return _payload(_payload(value_field)).decode("utf-8", "replace")


def _payload(field: bytes) -> bytes:
    return next((payload for _, payload in wire.fields(field)), b"")


def _payloads(message: bytes, tag: bytes) -> Iterator[bytes]:
    return (payload for found, payload in wire.fields(message) if found == tag)
