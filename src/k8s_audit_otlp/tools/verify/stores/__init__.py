"""Asks stores over HTTP for the records of a time, piece by piece."""

from collections.abc import Callable
from typing import Final

from k8s_audit_otlp.tools.verify.stores.asking import Asking, Store, Where
from k8s_audit_otlp.tools.verify.stores.lines import ClickHouse, VictoriaLogs
from k8s_audit_otlp.tools.verify.stores.pages import Elasticsearch, Loki

STORES: Final[dict[str, Callable[[Asking, Where], Store]]] = {
    "victorialogs": VictoriaLogs,
    "loki": Loki,
    "elasticsearch": Elasticsearch,
    "opensearch": Elasticsearch,
    "clickhouse": ClickHouse,
}
