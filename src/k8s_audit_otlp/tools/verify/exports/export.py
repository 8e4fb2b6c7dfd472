"""Reads the records of what a back end gave out, as a file or a stream.

Read are OTLP-JSON lines (as the Collector's file exporter writes them), NDJSON with the uid in any
field, whole answers of query APIs (`documents`), tables with a column of uids (CSV, TSV; with a
header or without), and bare lists of uids: each plain, gzip or zstd. What a file is shows at its
beginning.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from functools import partial
from gzip import BadGzipFile
from itertools import chain, islice
from typing import Any, BinaryIO

import msgspec
import zstandard

from k8s_audit_otlp.event.lenient_json import REFUSED
from k8s_audit_otlp.evidence.chain import words
from k8s_audit_otlp.otlp.export_response import safe_text
from k8s_audit_otlp.receiver.inflate import DamagedError
from k8s_audit_otlp.tools.verify.exports.documents import holds_records
from k8s_audit_otlp.tools.verify.exports.objects import (
    NO_NAMES,
    ObjectReader,
    UnreadableExportError,
    read_object,
)
from k8s_audit_otlp.tools.verify.exports.record import (
    ExportRecord,
    is_event,
    item_of_row,
    unescaped,
)
from k8s_audit_otlp.tools.verify.exports.uids import is_notice, is_ours, read_uid
from k8s_audit_otlp.tools.verify.exports.unpack import unpacked

UID_FIELD = "log.record.uid"
_MAX_CELL = 64 * 1024 * 1024  # a column may hold whole events
_BUFFER = 1024 * 1024
_MARK = codecs.BOM_UTF8
_NEAR = 4096  # the first bytes of an audit event hold its ID
_HEAD = 1024 * 1024  # by so many bytes the form of an export is told
_LARGE = 16 * _HEAD  # or by so many, where its first object is larger
_MOST_LINES = 16  # of the head, by most of which it is told whether they are objects

_JSON = re.compile(rb"\{|\[\s*(?:[\[{\"\]\d-]|null|true|false|\Z)")  # and no section of TOML
_A_PAGE = "this is a web page or XML: a login page or a proxy may have answered for the back end"
# In TSV: a cell in quotes, or JSON whose backslashes are not doubled
_NOT_ESCAPED = re.compile(rb'(?:^|[\t\n])"|(?<!\\)(?:\\\\)*\\["/u]')
_COLUMN = re.compile(r"[\w@][\w@./ -]{0,39}").fullmatch
_BY_NUMBER = b'"row_1"'  # ClickHouse's JSONObjectEachRow
# Elasticsearch, Loki, DataKit: where an answer that holds no record says why
_ERRORS = ("error.reason", "error", "message")
_WHAT_IT_TAKES = "name what the back end gave out: JSON or CSV, plain, gzip or zstd"
_GIVE = "give the records as JSON lines, CSV or a list of uids"

_read_row = msgspec.json.Decoder(list[Any]).decode


class Export(ObjectReader):
    """One file or stream of an export."""

    def __init__(self, name: str, stream: io.BufferedReader, field: str) -> None:
        super().__init__(name, field)
        self._stream = stream

    def __iter__(self) -> Iterator[ExportRecord]:
        """Yield every record. Raise UnreadableExportError where no uid can be found in it."""
        try:
            yield from self._records()
        except (EOFError, BadGzipFile, DamagedError, zstandard.ZstdError):
            what = "it is damaged or breaks off where it is packed; get it anew"
            raise UnreadableExportError(f"{self.name}: {what}") from None
        except csv.Error:
            what = f"a cell is over {_MAX_CELL >> 20} MiB; leave its column out of the export"
            raise UnreadableExportError(f"{self.name}: {what}") from None

    def _records(self) -> Iterator[ExportRecord]:
        stream = unpacked(self._stream)
        head = stream.read(_HEAD).removeprefix(_MARK).lstrip()
        start = head[:64]
        if not start:
            return
        if not _is_text(head):
            raise UnreadableExportError(f"{self.name}: this is no text in UTF-8; {_WHAT_IT_TAKES}")
        if start[:1] == b"<":
            raise UnreadableExportError(f"{self.name}: {_A_PAGE}; {_WHAT_IT_TAKES}")
        if start[:1] == b"{" and _BY_NUMBER in start:
            raise UnreadableExportError(f"{self.name}: {NO_NAMES}")
        if start[:1] == b"{":
            end = b"\n}" if start.partition(b"\n")[0].strip() == b"{" else b"\n"
            items = self._objects(head if end in head else head + stream.read(_LARGE), stream)
        elif names := _names_of_rows(head):
            if not all(isinstance(name, str) for name in names):
                raise UnreadableExportError(f"{self.name}: {NO_NAMES}")
            rows = islice(self._lines(head, stream), 1, None)
            items = self.each(rows, lambda row: [item_of_row(names, _read_row(row), self.field)])
        elif _JSON.match(start):
            items = self.document(_chunks(head, stream))
        else:
            items = self._table(head, self._lines(head, stream))
        log = b'"auditID"' in start + head[:_NEAR] and start.startswith(b'{"kind":"Event"')
        yield from self._with_uid(items, log=log)

    def _with_uid(self, items: Iterable[ExportRecord], *, log: bool) -> Iterator[ExportRecord]:
        found = False
        without: ExportRecord | None = None  # the first one
        for item in items:
            if item.uid or (item.own is not None and is_event(item.own)):
                yield item
            if is_ours(item.uid):
                found = True
            else:
                without = without or item
        if self.held and not self.has_rows:  # of documents, each must be one
            self.unread += self.others
        if not found and (without or self.unread):
            why = self.why or f"{self.name}: {self._hint(without, log=log)}"
            raise UnreadableExportError(why)

    def _hint(self, without: ExportRecord | None, *, log: bool) -> str:
        if log:
            return "this is an audit log itself; name what the back end gave out"
        if without is None:
            return f"nothing of it can be read as JSON, or it breaks off; {_WHAT_IT_TAKES}"
        if without.uid:
            return f"{self.field} holds no uid; name what does with --uid-field, or {_GIVE}"
        own = without.own or {}
        if said := next((own[name] for name in _ERRORS if own.get(name)), ""):
            return f"the back end answers an error: {str(said)[:200]}; mend it, and ask again"
        names = ", ".join(name[:40] for name in [*own][:20] if name)
        there = f": {names}" if names else ""
        return f"no record has a field {self.field}; name it with --uid-field{there}; or {_GIVE}"

    def _lines(self, head: bytes, stream: BinaryIO) -> Iterator[bytes]:
        *whole, last = head.split(b"\n")
        whole = [line + b"\n" for line in whole]
        for line in chain(whole, [last + stream.readline()], stream):
            yield line.removeprefix(_MARK)  # of a file that was put behind another

    def _objects(self, head: bytes, stream: BinaryIO) -> Iterator[ExportRecord]:
        """Read objects, one a line or over several lines, each by itself while it is not large."""
        if _are_lines(head):
            return self.each(self._lines(head, stream))
        first, end, _ = head.partition(b"\n}")
        whole = _is_object(first + end) or not holds_records(head)
        return self.document(_chunks(head, stream), whole=whole)

    def _table(self, head: bytes, lines: Iterator[bytes]) -> Iterator[ExportRecord]:
        texts = _Texts(lines)
        first = next(texts)
        delimiter = next((d for d in "\t,;|" if d in first), ",")
        csv.field_size_limit(_MAX_CELL)
        rows: Iterator[list[str]] = csv.reader(chain([first], texts), delimiter=delimiter)
        if delimiter == "\t" and not _NOT_ESCAPED.search(head):
            rows = map(_escaped_row, chain([first], texts))
        header = next(rows)
        second = next(rows, [])
        column = _column_of_uids(header, second)
        if column is not None:
            for row in chain([header], [second] if second else [], rows):
                yield ExportRecord(row[column].strip() if column < len(row) else "")
            return
        wanted = words(self.field)
        if any(cell.startswith("{'") for cell in header):
            raise UnreadableExportError(f"{self.name}: {NO_NAMES}")
        maps = any(cell.startswith("{'") for cell in second)
        if not maps and not any(("." + words(cell)).endswith("." + wanted) for cell in header):
            columns = ", ".join(filter(_COLUMN, header[:20]))  # of any file else: a secret's
            what = f"no column {self.field}; "
            what += f"name it with --uid-field: {columns}" if columns else _WHAT_IT_TAKES
            if not second:
                what = f"it says only: {safe_text(first[:200])}; {_WHAT_IT_TAKES}"
            raise UnreadableExportError(f"{self.name}: {what}")
        last, breaks_off = list[str](), False
        for cells in filter(any, chain([second], rows)):
            if last:
                yield item_of_row(header, last, self.field)
            last, breaks_off = cells, texts.ended  # within a cell: else the end shows after a row
        if breaks_off or len(last) < len(header):
            self.unread += bool(last)
        else:
            yield item_of_row(header, last, self.field)


def _chunks(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    return chain([head], iter(partial(stream.read, _BUFFER), b""))


def _are_lines(head: bytes) -> bool:
    """Say whether most of the first lines are objects: one of them may be damaged."""
    lines = [line for line in head.split(b"\n", _MOST_LINES)[:_MOST_LINES] if line.strip()]
    if len(lines) > 1 and not head.endswith(b"\n"):
        lines = lines[:-1]  # of which the end may not be here
    return sum(map(_is_object, lines)) * 2 >= len(lines)


def _is_object(line: bytes) -> bool:
    try:
        read_object(line)
    except REFUSED:
        return False
    return True


def _names_of_rows(head: bytes) -> list[Any]:
    """Return the names of columns that an array in the first line holds; none if it holds uids."""
    try:
        first = _read_row(head.partition(b"\n")[0])
    except REFUSED:
        return []
    if all(isinstance(cell, dict) for cell in first) or any(read_uid(str(c)) for c in first):
        return []
    return first


def _column_of_uids(first: list[str], second: list[str]) -> int | None:
    """Return which column of a table without names holds uids; None where it has names.

    A name may look as the uid of a notice does, but not above another uid.
    """
    for index, cell in enumerate(map(str.strip, first)):
        below = second[index].strip() if index < len(second) else ""
        if read_uid(cell) or (is_notice(cell) and (read_uid(below) or is_notice(below))):
            return index
    return None


def _escaped_row(line: str) -> list[str]:
    """Read a row of TSV as databases write it; a map is escaped within its own quotes only."""
    cells = line.rstrip("\r\n").split("\t")
    return [cell if cell.startswith("{'") else unescaped(cell) for cell in cells]


def _is_text(head: bytes) -> bool:
    """Say whether the first line is text; cells further on may hold anything."""
    first = head.partition(b"\n")[0][:_NEAR]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return False
    return b"\0" not in first


class _Texts(Iterator[str]):
    """Lines as texts; `ended` once there is no more."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines, self.ended = lines, False

    def __next__(self) -> str:
        for line in self._lines:
            return line.decode("utf-8", "replace")
        self.ended = True
        raise StopIteration
