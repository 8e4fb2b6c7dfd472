"""Reads requests of OTLP, one a line in JSON, as the Collector's file exporter writes them.

What `item_of_fields` reads of any record is read here in a third of the time.
opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import astuple

from k8s_audit_otlp.evidence.chain import told, words
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, read_receipt
from k8s_audit_otlp.tools.verify.exports.uids import read_uid


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What OTLP knows of it, and no more: an event may hide under a name that nothing reads."""


class _Value(_Message):
    stringValue: str | None = None  # noqa: N815 - OTLP's own names
    intValue: str | int | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815
    doubleValue: float | str | None = None  # noqa: N815
    arrayValue: "_Array | None" = None  # noqa: N815
    kvlistValue: "_Pairs | None" = None  # noqa: N815
    bytesValue: bytes | None = None  # noqa: N815

    def plain(self) -> Any:
        """Return it as Python has it, a list as a tuple, pairs as they are; 0 if it holds nothing.

        Raise msgspec.ValidationError where it holds two: nobody knows which is read.
        """
        held = astuple(self)
        if held.count(None) < len(held) - 1:
            raise msgspec.ValidationError("a value of two kinds")
        if self.stringValue is not None:
            return self.stringValue
        value = next((each for each in held if each is not None), 0)
        return tuple(e.plain() for e in value.values) if isinstance(value, _Array) else value


class _Array(_Message):
    values: list[_Value] = []


class _Pair(_Message):
    key: str = ""
    value: _Value | None = None


class _Pairs(_Message):
    values: list[_Pair] = []


class _Log(_Message):
    body: _Value | None = None
    attributes: list[_Pair] = []
    eventName: str = ""  # noqa: N815
    timeUnixNano: str | int | None = None  # noqa: N815
    observedTimeUnixNano: str | int | None = None  # noqa: N815
    severityNumber: str | int | None = None  # noqa: N815
    severityText: str | None = None  # noqa: N815
    droppedAttributesCount: int = 0  # noqa: N815
    flags: int = 0
    traceId: str = ""  # noqa: N815
    spanId: str = ""  # noqa: N815


class _ScopeName(_Message):
    name: str = ""
    version: str = ""
    attributes: list[_Pair] = []
    droppedAttributesCount: int = 0  # noqa: N815


class _Scope(_Message):
    scope: _ScopeName | None = None
    logRecords: list[_Log] = []  # noqa: N815
    schemaUrl: str = ""  # noqa: N815


class _Resource(_Message):
    attributes: list[_Pair] = []
    droppedAttributesCount: int = 0  # noqa: N815
    entityRefs: list[dict[str, str | list[str]]] = []  # noqa: N815


class Source(_Message):
    """A ResourceLogs."""

    resource: _Resource | None = None
    scopeLogs: list[_Scope] = []  # noqa: N815
    schemaUrl: str = ""  # noqa: N815


class _LogsData(_Message):
    resourceLogs: list[Source] = []  # noqa: N815


_read_request = msgspec.json.Decoder(_LogsData).decode
read_source = msgspec.json.Decoder(Source).decode


def items_of_request(line: bytes, field: str) -> Iterator[ExportRecord]:
    """Yield every record of a request; raise msgspec.DecodeError where it is no such request."""
    for source in _read_request(line).resourceLogs:
        yield from items_of_source(source, field)


def items_of_source(source: Source, field: str) -> Iterator[ExportRecord]:
    resource: dict[str, Any] = {}
    _take(resource, source.resource.attributes if source.resource else [], "resource.attributes")
    for scope in source.scopeLogs:
        for log in scope.logRecords:
            yield _item(log, resource, field)


def _item(log: _Log, resource: dict[str, Any], field: str) -> ExportRecord:
    known = dict(resource)
    _take(known, log.attributes, "attributes")
    known["timeunixnano"] = log.timeUnixNano
    known["severitynumber"] = log.severityNumber
    known["severitytext"] = log.severityText
    known["eventname"] = log.eventName
    body = log.body.plain() if log.body else None
    uid = str(known.get(_path("attributes", field), ""))
    if read_uid(uid) is not None:
        return ExportRecord(uid, body=body if isinstance(body, str) else None, beside=known)
    if isinstance(body, _Pairs):
        _take(known, body.values, "body")
    else:
        known["body"] = body
    return ExportRecord(uid, read_receipt(known), known)


def _take(known: dict[str, Any], pairs: list[_Pair], within: str) -> None:
    for pair in pairs:
        path, value = _path(within, pair.key), pair.value.plain() if pair.value else 0
        if isinstance(value, _Pairs):
            _take(known, value.values, path)
        else:
            known[path] = told(known[path], value) if path in known else value


@lru_cache(maxsize=4096)
def _path(within: str, key: str) -> str:
    return f"{within}.{words(key)}"
