"""VictoriaLogs and ClickHouse: both answer a query with one JSON object a line, as it is found."""

from collections.abc import Iterator
from typing import Final

import msgspec

from k8s_audit_otlp.tools.text import rfc3339
from k8s_audit_otlp.tools.verify.exports.export import UID_FIELD
from k8s_audit_otlp.tools.verify.exports.record import CHAIN_ID, ExportRecord, flat, item_of_fields
from k8s_audit_otlp.tools.verify.stores.client import StoreClient, Where, slices

_CLUSTER: Final = "k8s.cluster.name"
_CLICKHOUSE: Final = """
    SELECT toTimeZone(Timestamp, 'UTC') AS time, SeverityNumber, SeverityText, Body,
        LogAttributes, ResourceAttributes
    FROM {database:Identifier}.{table:Identifier}
    WHERE ResourceAttributes['k8s.cluster.name'] = {cluster:String}
        AND Timestamp >= fromUnixTimestamp64Nano({since:Int64})
        AND Timestamp < fromUnixTimestamp64Nano({until:Int64})
        AND LogAttributes[{field:String}] != ''
    FORMAT JSONEachRow
"""


class VictoriaLogs:
    """docs.victoriametrics.com/victorialogs/querying/#querying-logs. `source`: a stream filter."""

    def __init__(self, asking: StoreClient, where: Where) -> None:
        self._asking = asking
        named = f'"{_CLUSTER}":={_quoted(where.cluster)}'
        self._filter = f"{where.source} {named}".strip()

    def records(self, field: str, since_ns: int, until_ns: int) -> Iterator[ExportRecord]:
        for start, end in slices(since_ns, until_ns, hours=_hours(field)):
            within = f"_time:[{rfc3339(start, 9)}, {rfc3339(end, 9)})"
            query = f'{within} {self._filter} "{field}":*'
            for row in self._asking.lines("/select/logsql/query", {"query": query}):
                yield item_of_fields(flat(row), UID_FIELD)


class ClickHouse:
    """clickhouse.com/docs/interfaces/http. `source`: a table of the Collector's form."""

    def __init__(self, asking: StoreClient, where: Where) -> None:
        self._asking = asking
        database, _, table = (where.source or "otel_logs").rpartition(".")
        self._fixed = {
            "query": _CLICKHOUSE,
            "param_database": database or "default",
            "param_table": table,
            "param_cluster": where.cluster,
        }

    def records(self, field: str, since_ns: int, until_ns: int) -> Iterator[ExportRecord]:
        for start, end in slices(since_ns, until_ns, hours=_hours(field)):
            query = {
                **self._fixed,
                "param_field": field,
                "param_since": str(start),
                "param_until": str(end),
            }
            for row in self._asking.lines("/", query):
                yield item_of_fields(flat(row), UID_FIELD)


def _hours(field: str) -> int:
    return 24 if field == CHAIN_ID else 1  # links are few


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
