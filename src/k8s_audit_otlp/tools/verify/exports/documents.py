"""Records out of one large JSON document, as query APIs answer: read in pieces, of any size.

Known are the answers in the table below, OTLP requests over several lines, arrays of records or of
such documents, and records that are written over several lines, one after another.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

import msgspec

from k8s_audit_otlp.tools.verify.exports.otlp_json import read_source

_ANY: Final = "*"  # an element of an array
_REQUEST: Final = "resourceLogs"  # of OTLP, which has no other member
_SOURCE: Final = (_REQUEST, _ANY)  # the records of one resource
_RECORDS: Final = frozenset({
    (_ANY,),  # a plain array
    ("data", "result", _ANY, "values", _ANY),  # Loki: [time, line, metadata]
    ("hits", "hits", _ANY),  # Elasticsearch, OpenSearch
    ("response", "hits", "hits", _ANY),  # of an async search
    ("responses", _ANY, "hits", "hits", _ANY),
    ("values", _ANY),  # ES|QL
    ("rows", _ANY),  # Elasticsearch's SQL
    ("datarows", _ANY),  # OpenSearch's SQL and PPL
    ("data", _ANY),  # ClickHouse, Datadog
    ("data", "results", _ANY),  # Honeycomb
    ("data", "actor", "account", "nrql", "results", _ANY),  # New Relic
    ("result", "records", _ANY),  # Dynatrace
    ("matches", _ANY),  # Axiom
    ("messages", _ANY),  # Sumo Logic
    ("tables", _ANY, "rows", _ANY),  # Azure Monitor
    ("hits", _ANY),  # OpenObserve
    ("results", _ANY),  # Splunk
    ("content", _ANY, "series", _ANY, "values", _ANY),  # DataKit
    _SOURCE,
})  # fmt: skip
# An array on the way to records is enough to know an answer by, as it may hold none.
_ARRAYS: Final = frozenset(
    path[:at]
    for path in _RECORDS
    for at, part in enumerate(path)
    if part == _ANY and (at > 1 or at == len(path) - 1)
)
_LABELS: Final = frozenset({("data", "result", _ANY, "stream")})
_COLUMNS: Final = frozenset({
    ("columns",), ("meta",), ("schema",),
    ("tables", _ANY, "columns"), ("content", _ANY, "series", _ANY, "columns"),
})  # fmt: skip
_TOKEN: Final = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")(\s*:)?|[{}\[\]]|(")', re.DOTALL)

# By these members an object may be a document.
MEMBERS: Final = frozenset(path[0] for path in _RECORDS if path[0] not in {_ANY, _REQUEST})
# Elasticsearch and ES|QL, where shards failed or the time was up
_A_PART: Final = re.compile(
    rb'"(timed_out|is_partial)"\s*:\s*true|"_shards"\s*:\s*\{[^{}]*"failed"\s*:\s*[1-9]'
)
_LONGEST_SIGN: Final = 512  # bytes of what _A_PART matches

_MOST_BYTES: Final = 128 * 1024 * 1024  # of one record; a line of an audit log has half of it
_COLON_WITHIN: Final = 16  # bytes between a key and its colon, at most

_read = msgspec.json.Decoder().decode


class _NoRequestError(msgspec.DecodeError):
    """An object has `resourceLogs` and something else."""


class FoundRecord(NamedTuple):
    """One record, or a Source of OTLP's, with what the document says around it.

    `whole`: the bytes of a value that stands by itself or in a plain array: a record or a document.
    """

    value: Any
    labels: Any = None  # of its stream
    columns: tuple[str, ...] = ()  # the names of its cells
    whole: bytes = b""


def holds_records(head: bytes) -> bool:
    """Say whether the first bytes of an export are those of one document that holds records."""
    walker = _Walker()
    try:
        for _ in walker.take(head):
            pass
    except _NoRequestError:  # one line of many, which must not make a document of all
        return False
    except msgspec.DecodeError:  # which is said where it is read
        pass
    return walker.holds_records


class Documents:
    """The records of the documents in *chunks*; *whole*: each of these is one value.

    `is_part`: the back end says, beside the records, that they are a part only.
    """

    def __init__(self, chunks: Iterable[bytes], *, whole: bool = False) -> None:
        self._chunks = chunks
        self._walker = _Walker(_RECORDS | {()} if whole else _RECORDS)

    @property
    def is_part(self) -> bool:
        return self._walker.is_part

    def __iter__(self) -> Iterator[FoundRecord]:
        """Yield every record.

        Raise msgspec.DecodeError where a document is damaged, breaks off, or is no OTLP any more.
        """
        walker, labels = self._walker, None
        columns: tuple[str, ...] = ()
        for chunk in chain(self._chunks, (b" " * _COLON_WITHIN,)):
            for path, raw in walker.take(chunk):
                if path in {(), (_ANY,)} and raw[:1] == b"{":
                    yield FoundRecord(None, whole=raw)
                    continue
                value: Any = read_source(raw) if path == _SOURCE else _read(raw)
                if path in _LABELS:
                    labels = value
                elif path in _COLUMNS:
                    columns = tuple(
                        str(c.get("name", "")) if isinstance(c, dict) else c for c in value
                    )
                else:
                    yield FoundRecord(single(value), labels, columns)
        if walker.is_open or walker.passed_over:
            raise msgspec.DecodeError("a document breaks off, or one among others has no records")


def single(hit: Any) -> Any:
    """Return a hit of Elasticsearch with its `fields` as they are: each stands in a list there."""
    fields = hit.get("fields") if isinstance(hit, dict) else None
    if not isinstance(fields, dict):
        return hit
    each = {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in fields.items()}
    return {**hit, "fields": each}


class _Walker:
    """Follows the brackets of a document, and cuts out the values whose paths are known."""

    def __init__(self, wanted: frozenset[tuple[str, ...]] = _RECORDS) -> None:
        self.holds_records = self.passed_over = False  # a document; a document without records
        self.is_part = False
        self._beside, self._beside_end = b"", 0  # the last bytes beside records, and their end
        self._captured = wanted | _LABELS | _COLUMNS
        self._rest = b""
        self._looked = 0  # how far the tokens of the rest are known
        self._path: list[str] = []
        self._arrays: list[bool] = []  # of the open containers: is it an array?
        self._key = ""
        self._first, self._held = "", False  # key of this document; does it hold records?
        self._start = self._depth = -1  # of the value that is being cut out

    @property
    def is_open(self) -> bool:
        return bool(self._arrays) or bool(self._rest.strip())

    def take(self, chunk: bytes) -> Iterator[tuple[tuple[str, ...], bytes]]:
        """Go on with *chunk*; yield (path, bytes) of every value that ends in it."""
        data = self._rest + chunk
        keep = len(data)
        for token in _TOKEN.finditer(data, self._looked):
            text, colon, broken = token.groups()
            near_end = token.end() > len(data) - _COLON_WITHIN
            if broken or (text is not None and colon is None and near_end):
                keep = token.start()  # it may go on in the next chunk
                break
            if text is not None:
                yield from self._string(text, is_key=colon is not None)
            elif token[0] in b"{[":
                self._open(data, token.start(), is_array=token[0] == b"[")
            else:
                yield from self._close(data, token.end())
        self._keep(data, keep)

    def _keep(self, data: bytes, keep: int) -> None:
        begin = keep if self._start < 0 else self._start
        if self._start < 0:
            self._take_beside(data[self._beside_end : keep])
        self._rest, self._looked, self._beside_end = data[begin:], keep - begin, 0
        if len(self._rest) > _MOST_BYTES:
            raise msgspec.DecodeError("a record is too large")
        self._start = min(0, self._start)

    def _take_beside(self, data: bytes) -> None:
        """Look at what is said beside records."""
        said = self._beside + data
        self.is_part = self.is_part or _A_PART.search(said) is not None
        self._beside = said[-_LONGEST_SIGN:]

    def _place(self) -> str:
        return _ANY if self._arrays[-1] else self._key

    def _string(self, text: bytes, *, is_key: bool) -> Iterator[tuple[tuple[str, ...], bytes]]:
        if is_key and self._start < 0:
            self._key = text[1:-1].decode("utf-8", "replace")
            if not self._path:
                self._first = self._first or self._key
                if self._key != self._first and _REQUEST in {self._key, self._first}:
                    raise _NoRequestError("a request has no other member")
        elif self._start < 0 and self._arrays and self._arrays[-1]:
            path = (*self._path, _ANY)
            if path in _RECORDS:
                yield path, text

    def _open(self, data: bytes, at: int, *, is_array: bool) -> None:
        if self._arrays:
            self._path.append(self._place() if self._start < 0 else "")
        if self._start < 0:  # within a record only brackets are counted, however deep
            path = tuple(self._path)
            if path in self._captured:
                self._start, self._depth = at, len(self._arrays)
                self._take_beside(data[self._beside_end : at])
            elif is_array and path in _ARRAYS:
                self.holds_records = self._held = True
        self._arrays.append(is_array)

    def _close(self, data: bytes, end: int) -> Iterator[tuple[tuple[str, ...], bytes]]:
        if not self._arrays:
            raise msgspec.DecodeError("a bracket closes that was not opened")
        self._arrays.pop()
        if self._start >= 0 and self._depth == len(self._arrays):
            start, self._start = self._start, -1
            self._beside_end = end
            self._held |= not self._arrays  # it is a record itself
            yield tuple(self._path), data[start:end]
        if self._arrays:
            self._path.pop()
        else:
            self.passed_over |= not self._held
            self._first, self._held = "", False
