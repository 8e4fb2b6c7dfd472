"""A real OpenSearch from its jars, and before it what an exporter does: documents of records."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.interop.kafka.kafka_broker import QUICK_START
from tests.interop.stores.stores import Intake, Store, pairs
from tests.kit.backends.servers import free_port

CACHE = Path.home() / ".cache" / "k8s-audit-otlp"
JARS = Path(os.environ.get("K8S_AUDIT_OTLP_OPENSEARCH", CACHE / "opensearch"))
MAIN = Path(__file__).with_name("OpenSearch.java")
INDEX = "logs-k8saudit.otel-default"
# A text is a keyword, as Elasticsearch's own template for such an index has it.
_KEYWORD = {"type": "keyword", "ignore_above": 1024}
_MAPPINGS = {
    "dynamic_templates": [{"texts": {"match_mapping_type": "string", "mapping": _KEYWORD}}],
    "properties": {
        "@timestamp": {"type": "date_nanos"},
        "body": {"properties": {"text": {"type": "text"}}},
    },
}


class OpenSearch(Store):
    """Takes OTLP at `endpoint` and writes the documents that the Collector's exporter does."""

    query = "search"
    vendor = "otel-collector"
    title = "Elasticsearch"

    def __init__(self, directory: Path) -> None:
        if shutil.which("java") is None or not list(JARS.glob("opensearch-2*.jar")):
            pytest.skip(f"there is no Java, or no OpenSearch in {JARS}")
        port = free_port()
        words = [str(MAIN), str(directory), str(port), str(free_port())]
        command = [
            "java",
            *QUICK_START,
            "-cp",
            f"{JARS}/*",
            *words,
        ]
        super().__init__(directory, command, port, "/_cluster/health?wait_for_status=yellow")
        self._intake = Intake(self.take)
        self.endpoint = f"http://127.0.0.1:{self._intake.port}"

    def clear(self) -> None:
        """Begin with an empty index."""
        self.send("/logs-*", b"", "application/json", "DELETE")
        self.json(f"/{INDEX}", {"mappings": _MAPPINGS}, "PUT")

    def stop(self) -> None:
        self._intake.stop()
        super().stop()

    def take(self, body: bytes) -> None:
        """Index a request, as an exporter of the Collector does."""
        lines = b"\n".join(_bulk(ExportLogsServiceRequest.FromString(body))) + b"\n"
        answer = orjson.loads(self.send("/_bulk", lines, "application/x-ndjson"))
        assert not answer["errors"], answer

    def json(self, path: str, body: Any, method: str = "POST") -> Any:
        return orjson.loads(self.send(path, orjson.dumps(body), "application/json", method))

    def ask(self, query: str) -> Any:
        """Return the answer of a search, after what was acknowledged can be found."""
        self.send(f"/{INDEX}/_refresh", b"", "application/json")
        return self.json("/logs-*/_search", orjson.loads(query))

    def incomplete(self, query: str) -> list[str]:
        found = self.ask(query)["aggregations"]["incomplete"]["value"]
        return sorted(row["identity"] for row in found)

    def delete(self, uid: str) -> None:
        asked = {"query": {"term": {"attributes.log.record.uid": uid}}}
        for hit in self.json(f"/{INDEX}/_search", asked)["hits"]["hits"]:
            path = f"/{INDEX}/_doc/{hit['_id']}?refresh=true"
            self.send(path, b"", "application/json", "DELETE")


def _bulk(request: ExportLogsServiceRequest) -> Iterator[bytes]:
    for resource in request.resource_logs:
        place = {"attributes": dict(pairs(resource.resource.attributes))}
        for record in (one for scope in resource.scope_logs for one in scope.log_records):
            yield orjson.dumps({"create": {"_index": INDEX}})
            seconds, nanoseconds = divmod(record.time_unix_nano, 10**9)
            yield orjson.dumps(
                {
                    "@timestamp": f"{seconds * 1000 + nanoseconds // 10**6}",
                    "attributes": dict(pairs(record.attributes)),
                    "resource": place,
                    "body": {"text": record.body.string_value},
                    "severity_text": record.severity_text,
                    "event_name": record.event_name,
                }
            )
