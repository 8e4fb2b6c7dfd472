"""Loki and Elasticsearch: both answer a query with pages of a bounded number of records."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from k8s_audit_otlp.tools.text import rfc3339
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, flat, item_of_fields
from k8s_audit_otlp.tools.verify.stores.client import (
    StoreClient,
    StoreError,
    TransientError,
    Where,
    slices,
)

_PAGE: Final = 2000  # records at most
_KEPT: Final = "5m"  # how long Elasticsearch keeps a scroll between two pages
_PAGE_BYTES: Final = 1_500_000
_MOST_IN_LOKI: Final = 5000  # records of an answer, by default
_PATIENCE_S: Final = 30.0
_LOKI_PATH: Final = "/loki/api/v1/query_range"
_STREAM: Final = '{service_name="k8s-audit"}'

_Row: TypeAlias = tuple[int, list[tuple[str, Any]]]


class Loki:
    """grafana.com/docs/loki/latest/reference/loki-http-api. `source`: a stream selector."""

    def __init__(self, asking: StoreClient, where: Where) -> None:
        self._asking = asking
        cluster = msgspec.json.encode(where.cluster).decode()
        self._limit = 100
        self._query = f"{where.source or _STREAM} | k8s_cluster_name={cluster}"

    def records(self, field: str, since_ns: int, until_ns: int) -> Iterator[ExportRecord]:
        query = f'{self._query} | {field.replace(".", "_")}!=""'
        for start, end in slices(since_ns, until_ns):
            at, least = start, 1
            while at < end:
                rows, is_full = self._page(query, at, end, least)
                # Others with the newest time may not have come: they begin the next page.
                until = rows[-1][0] if is_full else end
                for when, fields in rows:
                    if when < until:
                        yield item_of_fields(fields, UID_FIELD)
                least = 1 if until > at else 2 * len(rows)
                at = until

    def _page(self, query: str, start: int, end: int, least: int) -> tuple[list[_Row], bool]:
        """Return times and fields of the first records from *start* on, and if there may be more.

        Between its own parts Loki carries 4 MiB at most by default, and does not answer where that
        is too little: so pages follow the size of the records, and one without an answer is halved.
        """
        form = {"query": query, "start": str(start), "end": str(end), "direction": "forward"}
        limit = max(least, self._limit)
        if limit > _MOST_IN_LOKI:
            raise StoreError(
                f"{self._asking.where}: {least // 2} records have the time {rfc3339(start, 9)}; "
                "Loki gives no way to ask for more of them"
            )
        while True:
            form["limit"] = str(limit)
            try:
                answer, size = self._asking.page_once(_LOKI_PATH, form, _PATIENCE_S)
                break
            except TransientError:
                if limit == least:
                    raise
                limit = max(least, limit // 2)
        rows = self._rows(answer)
        if rows:
            self._limit = max(1, min(_PAGE, _PAGE_BYTES * len(rows) // size, 2 * limit))
        return rows, len(rows) >= limit

    def _rows(self, answer: Any) -> list[_Row]:
        try:
            rows = [
                (int(value[0]), [field for part in (of["stream"], *value) for field in flat(part)])
                for of in answer["data"]["result"]
                for value in of["values"]
            ]
        except (KeyError, TypeError, ValueError, IndexError):
            raise StoreError(f"{self._asking.where} gives no answer of Loki") from None
        return sorted(rows, key=lambda row: row[0])


class Elasticsearch:
    """Elasticsearch and OpenSearch, by scrolls, which both know. `source`: an index pattern.

    elastic.co/docs/api/doc/elasticsearch/operation/operation-scroll
    """

    def __init__(self, asking: StoreClient, where: Where) -> None:
        self._asking = asking
        self._path = f"/{where.source or 'logs-*'}/_search"
        self._cluster = _any_of("term", "k8s.cluster.name", where.cluster)

    def records(self, field: str, since_ns: int, until_ns: int) -> Iterator[ExportRecord]:
        time = {"gte": rfc3339(since_ns, 9), "lt": rfc3339(until_ns, 9)}
        wanted = [{"range": {"@timestamp": time}}, self._cluster, _any_of("exists", field)]
        first = {"query": {"bool": {"filter": wanted}}, "size": _PAGE, "sort": ["_doc"]}
        query = {"scroll": _KEPT, "allow_partial_search_results": "false"}
        answer, scroll = self._asking.page("POST", self._path, query, first), ""
        try:
            while True:
                hits, scroll = self._read(answer)
                for hit in hits:
                    yield item_of_fields(flat(hit), UID_FIELD)
                if len(hits) < _PAGE:
                    return
                more = {"scroll": _KEPT, "scroll_id": scroll}
                answer = self._asking.page("POST", "/_search/scroll", {}, more)
        finally:
            if scroll:
                with contextlib.suppress(StoreError):  # it ends by itself
                    self._asking.page("DELETE", "/_search/scroll", {}, {"scroll_id": scroll})

    def _read(self, answer: Any) -> tuple[list[Any], str]:
        try:
            failed = answer["timed_out"] or answer["_shards"]["failed"]
            hits, scroll = answer["hits"]["hits"], str(answer["_scroll_id"])
        except (KeyError, TypeError):
            raise StoreError(f"{self._asking.where} gives no answer of a search") from None
        if failed:
            raise StoreError(f"{self._asking.where}: the search gave a part only; try again later")
        return hits, scroll


def _any_of(kind: str, name: str, value: str = "") -> Mapping[str, Any]:
    """Return a clause on a field, under every name that the ways into Elasticsearch give it."""
    flat_name = name.replace(".", "_")
    names = [f"{place}{name}" for place in ("resource.attributes.", "attributes.", "")]
    names += [f"{each}.keyword" for each in names]
    names.append(f"labels.{flat_name}")
    clauses = [{kind: {each: value} if kind == "term" else {"field": each}} for each in names]
    return {"bool": {"should": clauses, "minimum_should_match": 1}}
