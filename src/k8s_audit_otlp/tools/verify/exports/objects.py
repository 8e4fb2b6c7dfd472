"""Reads the objects of an export, each by itself: a record, or a document that holds records.

What one object has in it decides nothing about any other: whoever can write to a back end could
have a member of one record make a document of all.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from k8s_audit_otlp.event.lenient_json import REFUSED
from k8s_audit_otlp.tools.verify.exports.documents import MEMBERS, Documents, single
from k8s_audit_otlp.tools.verify.exports.otlp_json import Source, items_of_request, items_of_source
from k8s_audit_otlp.tools.verify.exports.record import (
    ExportRecord,
    flat,
    is_event,
    item_of_fields,
    item_of_row,
)
from k8s_audit_otlp.tools.verify.exports.uids import is_ours

# Loki by default and at most, Elasticsearch by default, its usual sizes and its most
_MOST_AT_ONCE = frozenset((10, 100, 1000, 5000, 10_000))
NO_NAMES = "its columns have no names; ask ClickHouse for FORMAT JSONEachRow or CSVWithNames"
_BY_COLUMN = "its values stand column by column; ask for them row by row"

read_object = msgspec.json.Decoder(dict[str, Any]).decode


class UnreadableExportError(Exception):
    """Nothing in it can be compared; the message says where, what and the hint."""


class ObjectReader:
    """Reads them, and knows what was read of an export so far.

    `unread` counts what could not be understood, `held` the records in documents, `others` what is
    neither a record nor holds any. `is_part`: the back end says that there are more; `why`: why a
    document could not be read.
    """

    def __init__(self, name: str, field: str) -> None:
        self.name, self.field = name, field
        self.unread = self.held = self.others = 0
        self.has_rows = self.is_part = False
        self.why = ""

    @property
    def doubt(self) -> str:
        """Say why there may be more where it comes from, once it is read."""
        if self.is_part:
            return "the back end says in it that this is a part only; ask for it again"
        if self.held in _MOST_AT_ONCE:
            return (
                f"it holds exactly {self.held:,} records, as an answer does that was cut there; "
                "ask for the rest, too, and give all the answers"
            )
        return ""

    def each(
        self,
        pieces: Iterable[bytes],
        read: Callable[[bytes], Iterable[ExportRecord]] | None = None,
    ) -> Iterator[ExportRecord]:
        """Read pieces of JSON, each by itself; objects where *read* does not say otherwise."""
        read = read or self._object
        for piece in pieces:
            try:
                if piece.strip():
                    yield from read(piece)
            except REFUSED:
                self.unread += 1  # such as a last line that is being written

    def _object(self, data: bytes) -> Iterable[ExportRecord]:
        if b'"resourceLogs"' in data[:64] or "resourceLogs" in (members := read_object(data)):
            return items_of_request(data, self.field)
        item = item_of_fields(flat(single(members)), self.field)
        if is_ours(item.uid) or is_event(item.own or {}):
            self.has_rows = True
            return [item]
        if MEMBERS.isdisjoint(members):
            self.others += 1
            return [item]
        inner = ObjectReader(self.name, self.field)
        try:
            found = list(inner.document([data]))
        except UnreadableExportError as error:
            self.why = str(error)
            self.others += 1
            return [item]
        is_empty = not found and not inner.unread
        if is_empty or any(is_ours(each.uid) or is_event(each.own or {}) for each in found):
            self.unread += inner.unread
            self.held += inner.held
            self.is_part |= inner.is_part
            return found
        self.others += 1
        return [*(each for each in found[:1] if not each.uid), item]  # it shows the names

    def document(self, chunks: Iterable[bytes], *, whole: bool = False) -> Iterator[ExportRecord]:
        """Read the records of documents that may be of any size; *whole*: each is one object."""
        documents = Documents(chunks, whole=whole)
        try:
            for value, labels, columns, data in documents:
                before = self.held
                if data:
                    yield from self.each([data])
                elif isinstance(value, str):
                    yield ExportRecord(value)
                elif isinstance(value, Source):
                    yield from items_of_source(value, self.field)
                elif isinstance(value, list) and columns:
                    if len(value) != len(columns):
                        raise UnreadableExportError(f"{self.name}: {_BY_COLUMN}")
                    yield item_of_row(columns, value, self.field)
                elif isinstance(value, list) and labels is None:
                    raise UnreadableExportError(f"{self.name}: {NO_NAMES}")
                else:
                    parts = [labels, *value] if isinstance(value, list) else [labels, value]
                    plain = (field for part in parts for field in flat(part))
                    yield item_of_fields(plain, self.field)
                self.held += self.held == before
        except REFUSED:
            self.unread += 1  # it breaks off
        self.is_part |= documents.is_part
