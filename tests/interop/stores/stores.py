"""Real stores as processes: started in a directory, asked with their own query language."""

import gzip
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import orjson
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.kit.backends.servers import free_port

START_S = 180.0  # a Java program takes long beside other load
_LOKI = """
auth_enabled: false
server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}, log_level: warn,
  grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}}}
common:
  instance_addr: 127.0.0.1
  path_prefix: {directory}
  storage: {{filesystem: {{chunks_directory: {directory}/c, rules_directory: {directory}/r}}}}
  replication_factor: 1
  ring: {{kvstore: {{store: inmemory}}}}
querier: {{query_ingesters_within: 0}}
ingester: {{lifecycler: {{min_ready_duration: 0s, final_sleep: 0s}}}}
compactor: {{working_directory: {directory}/w, retention_enabled: true, compaction_interval: 1s,
  delete_request_store: filesystem, delete_request_cancel_period: 0s, retention_delete_delay: 0s}}
schema_config:
  configs: [{{from: 2020-10-24, store: tsdb, object_store: filesystem, schema: v13,
    index: {{prefix: index_, period: 24h}}}}]
"""


class Store(ABC):
    """One process that takes OTLP and answers queries."""

    kind = "otlp_http"
    endpoint: str  # where it takes OTLP
    query: str  # that tells whether the night is complete, by its name on the page
    vendor: str
    title: str  # what the help of verify calls it

    def __init__(
        self,
        directory: Path,
        command: list[str],
        port: int,
        ready: str,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self.port = port
        with (directory / "store.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)
        end = time.monotonic() + START_S
        while not self._is_ready(ready):
            assert self._process.poll() is None, (directory / "store.log").read_text()
            assert time.monotonic() < end, "it did not start in time"
            time.sleep(0.2)

    @property
    def url(self) -> str:
        """Where it answers queries."""
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, form: Mapping[str, str]) -> bytes:
        data = urllib.parse.urlencode(form).encode()
        return self.send(path, data, "application/x-www-form-urlencoded")

    def send(self, path: str, data: bytes, kind: str, method: str = "POST") -> bytes:
        headers = {"Content-Type": kind}
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            body: bytes = answer.read()
            return body

    def take(self, body: bytes) -> None:
        """Give it a request of OTLP."""
        path = self.endpoint.removeprefix(self.url) + "/v1/logs"
        self.send(path, body, "application/x-protobuf")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    @abstractmethod
    def incomplete(self, query: str) -> list[str]:
        """Return the identities that the query for a complete night names."""

    @abstractmethod
    def delete(self, uid: str) -> None:
        """Delete an event of yesterday or later, as the store's operator may."""

    def wait_for(self, query: str, rows: int) -> None:
        """Wait until a query has so many rows: what was acknowledged may take a second to show."""
        self._wait_until(query, lambda found: len(found) == rows)

    def wait_for_exactly(self, query: str, identities: list[str]) -> None:
        """Wait until a query names these: of what was acknowledged, receipts may show first."""
        self._wait_until(query, lambda found: found == identities)

    def _wait_until(self, query: str, is_so: Callable[[list[str]], bool]) -> None:
        end = time.monotonic() + START_S
        while not is_so(found := self.incomplete(query)):
            assert time.monotonic() < end, found
            time.sleep(0.3)


class VictoriaLogs(Store):
    query = "logsql"
    vendor = "victorialogs"
    title = "VictoriaLogs"

    def __init__(self, binary: Path, directory: Path) -> None:
        port = free_port()
        command = [
            str(binary),
            f"-storageDataPath={directory / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-delete.enable",
        ]
        super().__init__(directory, command, port, "/health")
        self.endpoint = f"http://127.0.0.1:{port}/insert/opentelemetry"

    def ask(self, query: str) -> list[dict[str, Any]]:
        answer = self.post("/select/logsql/query", {"query": query})
        return [orjson.loads(line) for line in answer.splitlines()]

    def incomplete(self, query: str) -> list[str]:
        return [row["identity"] for row in self.ask(query)]

    def delete(self, uid: str) -> None:
        self.post("/delete/run_task", {"filter": f'"log.record.uid":="{uid}"'})

    def offsets(self) -> set[int]:
        """Return the offset of every event that is there."""
        rows = self.ask('"log.record.uid":~"^[0-9a-f]{16}" | fields "log.record.uid"')
        return {int(row["log.record.uid"].partition("-")[2], 16) for row in rows}


class Loki(Store):
    query = "logql"
    vendor = "loki"
    title = "Loki"

    def __init__(self, binary: Path, directory: Path) -> None:
        port = free_port()
        config = directory / "loki.yaml"
        config.write_text(_LOKI.format(port=port, grpc=free_port(), directory=directory))
        super().__init__(directory, [str(binary), f"-config.file={config}"], port, "/ready")
        self.endpoint = f"http://127.0.0.1:{port}/otlp"

    def incomplete(self, query: str) -> list[str]:
        self.post("/flush", {})  # what came hours late shows once it is in a chunk
        answer = orjson.loads(self.post("/loki/api/v1/query", {"query": query}))
        return [row["metric"]["identity"] for row in answer["data"]["result"]]

    def delete(self, uid: str) -> None:
        query = f'{{service_name="k8s-audit"}} | log_record_uid="{uid}"'
        since = int(time.time()) - 48 * 3600
        asked = urllib.parse.urlencode({"query": query, "start": since})
        self.post(f"/loki/api/v1/delete?{asked}", {})

    def offsets(self) -> set[int]:
        form = {
            "query": '{service_name="k8s-audit"} | log_record_uid=~"[0-9a-f]{16}.*"',
            "since": "24h",
            "limit": "5000",
        }
        streams = orjson.loads(self.post("/loki/api/v1/query_range", form))["data"]["result"]
        return {int(s["stream"]["log_record_uid"].partition("-")[2], 16) for s in streams}


class Intake:
    """Takes OTLP over HTTP and gives each request to a function before it says that it has it."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                take(gzip.decompress(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Relay(Intake):
    """Stands before a store and loses the records whose uid it is told, as a store may do."""

    def __init__(self, store: Store) -> None:
        self.loses: set[str] = set()
        super().__init__(lambda body: store.take(self.without(body)))
        self.endpoint = re.sub(r":\d+", f":{self.port}", store.endpoint)

    def without(self, body: bytes) -> bytes:
        """Take the records out of a request that are to be lost."""
        request = ExportLogsServiceRequest.FromString(body)
        for scope in (one for r in request.resource_logs for one in r.scope_logs):
            kept = [one for one in scope.log_records if self._uid(one) not in self.loses]
            del scope.log_records[:]
            scope.log_records.extend(kept)
        return bytes(request.SerializeToString())

    def _uid(self, record: LogRecord) -> str:
        found = (a.value.string_value for a in record.attributes if a.key == "log.record.uid")
        return next(found, "")


def pairs(attributes: Iterable[KeyValue]) -> Iterator[tuple[str, Any]]:
    """Yield attributes of OTLP as plain values."""
    for one in attributes:
        yield one.key, _value(one.value)


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value") or "string_value"
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    return getattr(value, kind)


def binary_of(name: str) -> Path:
    """Return where tests/interop/build.sh puts a program."""
    default = Path.home() / ".cache" / "k8s-audit-otlp" / "bin"
    return Path(os.environ.get("K8S_AUDIT_OTLP_BIN", default)) / name
