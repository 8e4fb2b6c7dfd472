"""Writes and reads protobuf by hand. The only file that knows tags.

Source: opentelemetry/proto/{logs,common,resource}/v1 and collector/logs/v1 of opentelemetry-proto.
A field is tag, length, payload; lengths and integers are base-128 varints.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = str | bool | int | float | Sequence[str]

# LogRecord
TIME, SEVERITY_NUMBER, SEVERITY_TEXT, BODY = b"\x09", b"\x10", b"\x1a", b"\x2a"
ATTRIBUTE, DROPPED_ATTRIBUTES, OBSERVED_TIME, EVENT_NAME = b"\x32", b"\x38", b"\x59", b"\x62"
# AnyValue; ArrayValue.values is field 1 too
STRING, BOOL, INT, DOUBLE, ARRAY = b"\x0a", b"\x10", b"\x18", b"\x21", b"\x2a"
# KeyValue
KEY, VALUE = b"\x0a", b"\x12"
# ResourceLogs and ScopeLogs, then ExportLogsServiceRequest
RESOURCE, SCOPE, SCOPE_LOGS, LOG_RECORD, SCHEMA_URL = b"\x0a", b"\x0a", b"\x12", b"\x12", b"\x1a"
RESOURCE_LOGS = b"\x0a"
RESOURCE_ATTRIBUTE, SCOPE_NAME, SCOPE_VERSION = b"\x0a", b"\x0a", b"\x12"

fixed64 = struct.Struct("<Q").pack
double = struct.Struct("<d").pack


_ONE_GROUP = tuple(bytes([number]) for number in range(128))


def varint(number: int) -> bytes:
    """Encode an integer; a negative one takes ten bytes, as int64 does."""
    if 0 <= number < 128:
        return _ONE_GROUP[number]
    if number < 0:
        number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(tag: bytes, payload: bytes) -> bytes:
    return tag + varint(len(payload)) + payload


def text(tag: bytes, value: str) -> bytes:
    """Encode a string field; what cannot be UTF-8 (a lone surrogate) becomes `?`."""
    return delimited(tag, value.encode("utf-8", "replace"))


def any_value(value: Value) -> bytes:
    match value:
        case str():
            return text(STRING, value)
        case bool():
            return BOOL + varint(value)
        case int():
            return INT + varint(value)
        case float():
            return DOUBLE + double(value)
        case _:
            return delimited(ARRAY, b"".join(delimited(STRING, text(STRING, v)) for v in value))


def key_value(tag: bytes, key: str, value: Value) -> bytes:
    return delimited(tag, text(KEY, key) + delimited(VALUE, any_value(value)))


def attribute(key: str, value: Value) -> bytes:
    """Encode one attribute of a LogRecord."""
    return key_value(ATTRIBUTE, key, value)


def attributes(values: Mapping[str, Value]) -> bytes:
    return b"".join(attribute(key, value) for key, value in values.items())


def string_head(key: bytes, size: int) -> bytes:
    """Give all bytes of a string attribute that come before its value of `size` bytes."""
    inner = STRING + varint(size)
    head = delimited(KEY, key) + VALUE + varint(len(inner) + size)
    return ATTRIBUTE + varint(len(head) + len(inner) + size) + head + inner


def list_head(key: bytes, size: int) -> bytes:
    """Give all bytes of a list attribute that come before its one string of `size` bytes."""
    text_head = STRING + varint(size)
    item = len(text_head) + size
    item_head = STRING + varint(item) + text_head
    values = len(item_head) + size
    inner = ARRAY + varint(values) + item_head
    head = delimited(KEY, key) + VALUE + varint(len(inner) + size)
    return ATTRIBUTE + varint(len(head) + len(inner) + size) + head + inner


def body_head(size: int) -> bytes:
    """Give all bytes of a string body that come before its text of `size` bytes."""
    inner = STRING + varint(size)
    return BODY + varint(len(inner) + size) + inner


def record_head(size: int) -> bytes:
    """Give what goes before a LogRecord of `size` bytes to make it a field of ScopeLogs."""
    return LOG_RECORD + varint(size)


def fields(message: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Read back the length-delimited fields of a message of ours, as (tag, payload)."""
    at = 0
    while at < len(message):
        tag, at = message[at : at + 1], at + 1
        kind = tag[0] & 7
        if kind == 1:
            at += 8
            continue
        number, at, shift = message[at], at + 1, 7
        if number > 127:
            number &= 127
            while True:
                group, at = message[at], at + 1
                number |= (group & 127) << shift
                shift += 7
                if group < 128:
                    break
        if kind == 2:
            yield tag, message[at : at + number]
            at += number


def time_of(record: bytes) -> int:
    """Read back the time of a record that begins with it, as ours do."""
    at = 1
    while record[at] > 127:
        at += 1
    head = record[at + 1 : at + 10]
    return int.from_bytes(head[1:], "little") if head[:1] == TIME else 0
