"""Reads requests of OTLP, one a line in JSON, as the Collector's file exporter writes them.

What `item_of_fields` reads of any record is read here in a third of the time.
opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

from k8s_audit_otlp.evidence.chain import told, words
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, read_receipt
from k8s_audit_otlp.tools.verify.exports.uids import read_uid


class _Value(msgspec.Struct, gc=False):
    stringValue: str | None = None  # noqa: N815 - OTLP's own names
    intValue: str | int | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815
    doubleValue: float | None = None  # noqa: N815
    arrayValue: "_Array | None" = None  # noqa: N815

    def plain(self) -> Any:
        """Return it as Python has it, a list as a tuple; 0 for what no record of ours holds."""
        if self.stringValue is not None:
            return self.stringValue
        if self.arrayValue is not None:
            return tuple(each.plain() for each in self.arrayValue.values)
        values = self.boolValue, self.intValue, self.doubleValue
        return next((value for value in values if value is not None), 0)


class _Array(msgspec.Struct, gc=False):
    values: list[_Value] = []


class _Pair(msgspec.Struct, gc=False):
    key: str = ""
    value: _Value | None = None


class _Log(msgspec.Struct, gc=False):
    body: _Value | None = None
    attributes: list[_Pair] = []
    eventName: str = ""  # noqa: N815
    timeUnixNano: str | int | None = None  # noqa: N815
    severityNumber: str | int | None = None  # noqa: N815
    severityText: str | None = None  # noqa: N815


class _Scope(msgspec.Struct, gc=False):
    logRecords: list[_Log] = []  # noqa: N815


class _Resource(msgspec.Struct, gc=False):
    attributes: list[_Pair] = []


class _Source(msgspec.Struct, gc=False):
    resource: _Resource | None = None
    scopeLogs: list[_Scope] = []  # noqa: N815


# What has more than that is no request, and might be a record that hides behind the name of one.
class _LogsData(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    resourceLogs: list[_Source] = []  # noqa: N815


_read_request = msgspec.json.Decoder(_LogsData).decode
_NOTHING: Final = _Value()


def items_of_request(line: bytes, field: str) -> Iterator[ExportRecord]:
    wanted = _attribute_path(field)
    for source in _read_request(line).resourceLogs:
        resource = _attributes(source.resource)
        around = {f"resource.{path}": value for path, value in resource.items()}
        for scope in source.scopeLogs:
            for log in scope.logRecords:
                known = {**around, **_attributes(log)}
                known["timeunixnano"] = log.timeUnixNano
                known["severitynumber"] = log.severityNumber
                known["severitytext"] = log.severityText
                known["eventname"] = log.eventName
                body, uid = log.body.stringValue if log.body else None, str(known.get(wanted, ""))
                if read_uid(uid) is not None:
                    yield ExportRecord(uid, body=body, beside=known)
                else:
                    known["body"] = body
                    yield ExportRecord(uid, read_receipt(known), known)


def _attributes(of: _Resource | _Log | None) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for pair in of.attributes if of is not None else ():
        path, value = _attribute_path(pair.key), (pair.value or _NOTHING).plain()
        known[path] = told(known[path], value) if path in known else value
    return known


@lru_cache(maxsize=4096)
def _attribute_path(key: str) -> str:
    return f"attributes.{words(key)}"
