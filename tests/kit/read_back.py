"""What a record's bytes say, read with the official protobuf classes."""

from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs


def body_of(record: bytes) -> str:
    """Return the body of an encoded record; "" if it has none."""
    [read] = ScopeLogs.FromString(record).log_records
    return read.body.string_value
