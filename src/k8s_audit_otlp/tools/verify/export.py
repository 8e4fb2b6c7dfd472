"""What a back end gave out in, uids and receipts out.

Read are OTLP-JSON lines (as the Collector's file exporter writes them), NDJSON with the uid in any
field, whole answers of query APIs (`documents`), tables with a column of uids (CSV, TSV; with a
header or without), and bare lists of uids: each plain, gzip or zstd. What a file is shows at its
beginning.
"""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import Any, BinaryIO, NamedTuple, cast

import msgspec
import zstandard
from isal import igzip

from k8s_audit_otlp.tools.verify.documents import is_document, records
from k8s_audit_otlp.tools.verify.uids import read_uid

UID_FIELD = "log.record.uid"
_MAX_CELL = 64 * 1024 * 1024  # a column may hold whole events
_MAX_DEPTH = 8
_BUFFER = 1024 * 1024
_HEAD = 1024 * 1024  # by so many bytes the form of an export is told
_WORDS = re.compile(r"[^a-z0-9]+")
_RECEIPT = "k8s.audit.segment."
_SOURCE = ("service.instance.id", "host.name", "k8s.node.name")

Advance = Callable[[int], None]


class UnreadableExportError(Exception):
    """Nothing in it can be compared; the message says where, what and the way out."""


class Receipt(NamedTuple):
    """What the agent states about one segment; -1 where the export does not say."""

    identity: str
    exporter: str = ""
    source: str = ""  # which node's agent, where that can be told
    number: int = -1
    bytes: int = -1
    lines: int = -1
    delivered: int = -1
    dropped: int = 0
    dead_lettered: int = 0
    refused: int = 0
    gaps: int = 0


class Item(NamedTuple):
    """One record of the export."""

    uid: str
    receipt: Receipt | None = None
    own: Mapping[str, Any] | None = None  # all fields of one of the agent's own records


# -- OTLP JSON: opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding -------------------------


class _Value(msgspec.Struct, gc=False):
    stringValue: str | None = None  # noqa: N815 - OTLP's own names
    intValue: str | int | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815
    doubleValue: float | None = None  # noqa: N815


class _Pair(msgspec.Struct, gc=False):
    key: str = ""
    value: _Value | None = None


class _Log(msgspec.Struct, gc=False):
    attributes: list[_Pair] = []
    eventName: str = ""  # noqa: N815


class _Scope(msgspec.Struct, gc=False):
    logRecords: list[_Log] = []  # noqa: N815


class _Resource(msgspec.Struct, gc=False):
    attributes: list[_Pair] = []


class _Source(msgspec.Struct, gc=False):
    resource: _Resource | None = None
    scopeLogs: list[_Scope] = []  # noqa: N815


class _Request(msgspec.Struct, gc=False):
    resourceLogs: list[_Source] = []  # noqa: N815


_read_request = msgspec.json.Decoder(_Request).decode
_read_object = msgspec.json.Decoder(dict[str, Any]).decode


def _plain(pair: _Pair) -> str | int | bool | float:
    value = pair.value or _Value()
    values = (value.stringValue, value.boolValue, value.intValue, value.doubleValue)
    return next((v for v in values if v is not None), 0)


def _of_request(line: bytes, field: str) -> Iterator[Item]:
    for source in _read_request(line).resourceLogs:
        resource = source.resource.attributes if source.resource else []
        for scope in source.scopeLogs:
            for log in scope.logRecords:
                uid = next((_plain(p) for p in log.attributes if p.key == field), "")
                if read_uid(str(uid)) is not None:
                    yield Item(str(uid))
                    continue
                known = {p.key: _plain(p) for p in chain(resource, log.attributes)}
                if log.eventName:
                    known.setdefault("event.name", log.eventName)
                yield Item(str(uid), read_receipt(known), known)


# -- fields under whatever name a back end gives them --------------------------------------------


def _words(name: str) -> str:
    return _WORDS.sub(".", name.lower()).strip(".")


def _flat(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every plain value with its dotted path; lists of {key, value} count as objects."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)).endswith("Value"):
            yield from _flat(next(iter(value.values())), path, depth + 1)
            return
        for key, each in value.items():
            yield from _flat(each, f"{path}.{key}", depth + 1)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict) and "key" in each and "value" in each:
                yield from _flat(each["value"], f"{path}.{each['key']}", depth + 1)
    else:
        yield path, value


def _named(known: Mapping[str, Any], name: str) -> Any:
    """Return the value whose path is *name* or ends with it."""
    wanted = _words(name)
    if wanted in known:
        return known[wanted]
    ending = "." + wanted
    return next((value for path, value in known.items() if path.endswith(ending)), None)


def _of_fields(fields: Iterable[tuple[str, Any]], field: str) -> Item:
    known = {_words(path): value for path, value in fields}
    uid = str(_named(known, field) or "")
    if read_uid(uid) is not None:
        return Item(uid)
    return Item(uid, read_receipt(known), known)


def read_receipt(fields: Mapping[str, Any]) -> Receipt | None:
    """Read a receipt from a record's fields; None if it is none."""
    known = {_words(path): value for path, value in fields.items()}
    identity = _named(known, _RECEIPT + "identity")
    if not identity or _named(known, _RECEIPT + "delivered") in (None, ""):
        return None
    numbers = {
        name: _int(_named(known, _RECEIPT + name), default)
        for name, default in Receipt._field_defaults.items()
        if isinstance(default, int)
    }
    return Receipt(
        str(identity),
        str(_named(known, "k8s.audit.exporter") or ""),
        next((str(v) for name in _SOURCE if (v := _named(known, name))), ""),
        **numbers,
    )


def _int(value: Any, default: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return default


# -- files ---------------------------------------------------------------------------------------


class Export:
    """One file or stream of an export. `unread` counts lines that could not be understood."""

    def __init__(
        self, name: str, stream: io.BufferedReader, field: str, advance: Advance = lambda _: None
    ) -> None:
        self.name = name
        self.unread = 0
        self._field = field
        self._advance = advance
        self._stream = stream

    def __iter__(self) -> Iterator[Item]:
        """Yield every record.

        Raises:
            UnreadableExportError: no uid can be found in it.

        """
        stream = unpacked(self._stream)
        head = stream.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
        start = head.lstrip()[:64]
        if not start:
            return
        as_lines = b'"resourceLogs"' in start.partition(b"\n")[0]  # as the Collector writes them
        if start[:1] in b"{[" and not as_lines and is_document(head):
            items = self._document(chain([head], iter(partial(stream.read, _BUFFER), b"")))
        elif start[:1] == b"{":
            items = self._objects(self._lines(head, stream))
        else:
            items = self._table(self._lines(head.lstrip(), stream))
        yield from self._with_uid(items)

    def _with_uid(self, items: Iterable[Item]) -> Iterator[Item]:
        found = without = 0
        for item in items:
            if item.uid:
                found += 1
                yield item
            else:
                without += 1
        if without and not found:
            raise UnreadableExportError(
                f"{self.name}: no record has a field {self._field}; name it with --uid-field"
            )

    def _lines(self, head: bytes, stream: BinaryIO) -> Iterator[bytes]:
        *whole, last = head.split(b"\n")
        whole = [line + b"\n" for line in whole]
        for line in chain(whole, [last + stream.readline()], stream):
            self._advance(len(line))
            yield line

    def _document(self, chunks: Iterator[bytes]) -> Iterator[Item]:
        try:
            for value, labels, columns in records(self._advancing(chunks)):
                if isinstance(value, str):
                    yield Item(value)
                elif isinstance(value, list) and columns:
                    yield _of_fields(zip(columns, value, strict=False), self._field)
                else:
                    parts = [labels, *value] if isinstance(value, list) else [labels, value]
                    plain = (field for part in parts for field in _flat(part))
                    yield _of_fields(plain, self._field)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.unread += 1  # it breaks off

    def _advancing(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._advance(len(chunk))
            yield chunk

    def _objects(self, lines: Iterable[bytes]) -> Iterator[Item]:
        for line in lines:
            if not line.strip():
                continue
            try:
                if b'"resourceLogs"' in line[:64]:
                    yield from _of_request(line, self._field)
                else:
                    yield _of_fields(_flat(_read_object(line)), self._field)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.unread += 1  # such as a last line that is being written

    def _table(self, lines: Iterator[bytes]) -> Iterator[Item]:
        texts = (line.decode("utf-8", "replace") for line in lines)
        first = next(texts)
        delimiter = next((d for d in "\t,;|" if d in first), ",")
        csv.field_size_limit(_MAX_CELL)
        rows = csv.reader(chain([first], texts), delimiter=delimiter)
        header = next(rows)
        column = next((i for i, cell in enumerate(header) if read_uid(cell.strip())), None)
        if column is not None:
            yield Item(header[column].strip())
            for row in rows:
                yield Item(row[column].strip() if column < len(row) else "")
            return
        wanted = _words(self._field)
        if not any(("." + _words(cell)).endswith("." + wanted) for cell in header):
            raise UnreadableExportError(
                f"{self.name}: no column {self._field}; name it with --uid-field: "
                + ", ".join(cell[:40] for cell in header[:20])
            )
        for row in rows:
            yield _of_fields(zip(header, row, strict=False), self._field)


def unpacked(stream: io.BufferedReader) -> BinaryIO:
    """Undo gzip or zstd, seen by the first bytes."""
    magic = stream.peek(4)[:4]
    if magic.startswith(b"\x1f\x8b"):
        reader = igzip.IGzipFile(fileobj=stream)  # type: ignore[no-untyped-call]  # isal's own gap
        return cast("BinaryIO", io.BufferedReader(reader, _BUFFER))
    if magic == b"\x28\xb5\x2f\xfd":
        frames = zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
        return cast("BinaryIO", io.BufferedReader(frames, _BUFFER))
    return stream
