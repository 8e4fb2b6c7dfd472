"""A real ClickHouse: its engine from chdb behind its HTTP interface, which this module serves too.

Before it is what the Collector's exporter does: rows of its table. chdb is ClickHouse as a library:
queries, parameters, formats and errors are the engine's, the few lines that serve it our own.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from tests.interop.stores.stores import Intake, Store, pairs
from tests.kit.backends.servers import free_port

CACHE = Path.home() / ".cache" / "k8s-audit-otlp"
LIBRARY = Path(os.environ.get("K8S_AUDIT_OTLP_CLICKHOUSE", CACHE / "clickhouse"))
# As the Collector's exporter makes it, but for codecs and indexes.
_TABLE = """
CREATE TABLE otel_logs (
  Timestamp DateTime64(9), TimestampTime DateTime DEFAULT toDateTime(Timestamp),
  SeverityText LowCardinality(String), SeverityNumber UInt8, ServiceName LowCardinality(String),
  Body String, ResourceAttributes Map(LowCardinality(String), String),
  LogAttributes Map(LowCardinality(String), String), EventName String
) ENGINE = MergeTree PARTITION BY toDate(TimestampTime) ORDER BY (ServiceName, Timestamp)
"""
_ZONE = "Europe/Berlin"  # the server's, in which it writes times


class ClickHouse(Store):
    """Takes OTLP at `endpoint` and writes the rows that the Collector's exporter does."""

    query = "clickhouse"
    vendor = "clickstack"
    title = "ClickHouse"

    def __init__(self, directory: Path) -> None:
        if not LIBRARY.is_dir():
            pytest.skip(f"there is no chdb in {LIBRARY}: tests/interop/build.sh installs it")
        port = free_port()
        command = [sys.executable, "-m", __name__, str(directory / "data"), str(port)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(LIBRARY)]), "TZ": _ZONE}
        super().__init__(directory, command, port, "/ping", env)
        self._run(_TABLE)
        self._intake = Intake(self.take)
        self.endpoint = f"http://127.0.0.1:{self._intake.port}"

    def stop(self) -> None:
        self._intake.stop()
        super().stop()

    def take(self, body: bytes) -> None:
        """Insert a request, as an exporter of the Collector does."""
        rows = b"\n".join(map(orjson.dumps, _rows(ExportLogsServiceRequest.FromString(body))))
        self._run("INSERT INTO otel_logs FORMAT JSONEachRow\n" + rows.decode())

    def ask(self, query: str) -> list[dict[str, Any]]:
        answer = self._run(f"{query} FORMAT JSONEachRow")
        return [orjson.loads(line) for line in answer.splitlines()]

    def incomplete(self, query: str) -> list[str]:
        return [row["identity"] for row in self.ask(query)]

    def delete(self, uid: str) -> None:
        """Delete a record, as an operator may."""
        wanted = "DELETE FROM otel_logs WHERE LogAttributes['log.record.uid'] = {uid:String}"
        self._run(wanted, f"?param_uid={uid}")

    def _run(self, query: str, given: str = "") -> bytes:
        return self.send(f"/{given}", query.encode(), "text/plain")


def _rows(request: ExportLogsServiceRequest) -> Iterator[dict[str, Any]]:
    for resource in request.resource_logs:
        place = _texts(resource.resource.attributes)
        for record in (one for scope in resource.scope_logs for one in scope.log_records):
            seconds, nanoseconds = divmod(record.time_unix_nano, 10**9)
            yield {
                "Timestamp": f"{seconds}.{nanoseconds:09}",
                "SeverityText": record.severity_text,
                "SeverityNumber": record.severity_number,
                "ServiceName": place.get("service.name", ""),
                "Body": record.body.string_value,
                "ResourceAttributes": place,
                "LogAttributes": _texts(record.attributes),
                "EventName": record.event_name,
            }


def _texts(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {
        key: value if isinstance(value, str) else orjson.dumps(value).decode()
        for key, value in pairs(attributes)
    }


def _serve(directory: str, port: int) -> None:
    session = importlib.import_module("chdb.session").Session(directory)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            form = dict(parse_qsl(urlsplit(self.path).query))
            if self.path == "/ping":
                return self._say(200, b"Ok.\n")
            given = {k.removeprefix("param_"): v for k, v in form.items() if k[:6] == "param_"}
            try:
                found = session.query(form.get("query", "") + body.decode(), params=given)
            except RuntimeError as error:  # which chdb's own is
                return self._say(500, str(error).encode())
            return self._say(200, found.bytes() or b"")

        def _say(self, status: int, text: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None: ...

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
