"""Asks stores over HTTP for the records of a time, piece by piece."""

from collections.abc import Callable
from typing import Final

from k8s_audit_otlp.tools.verify.stores.client import Store, StoreClient, Where
from k8s_audit_otlp.tools.verify.stores.elasticsearch_loki import Elasticsearch, Loki
from k8s_audit_otlp.tools.verify.stores.victorialogs_clickhouse import ClickHouse, VictoriaLogs

STORES: Final[dict[str, Callable[[StoreClient, Where], Store]]] = {
    "victorialogs": VictoriaLogs,
    "loki": Loki,
    "elasticsearch": Elasticsearch,
    "opensearch": Elasticsearch,
    "clickhouse": ClickHouse,
}
