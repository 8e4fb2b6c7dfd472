"""The demo's back end: an OTLP/HTTP server on 127.0.0.1 that takes everything and counts it."""

import gzip
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Final, NamedTuple, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from k8s_audit_otlp.otlp.record import plain_value

_EVENT: Final = "k8s.audit.event"  # other names are those of the agent's notices


class DemoRecord(NamedTuple):
    """One LogRecord with the resource it came under."""

    body: Any
    attributes: dict[str, Any]
    resource: dict[str, Any]
    time_ns: int
    severity_text: str


class DemoBackend:
    """Takes what is posted to `/v1/logs`; keeps the records of events, and counts them."""

    def __init__(self) -> None:
        self.records: list[DemoRecord] = []  # in order of arrival, repeats included
        self.audit_ids: Counter[str] = Counter()  # of different records
        self._uids: set[str] = set()
        self._lock = Lock()  # guards all above
        self._server = _Server(("127.0.0.1", 0), _RequestHandler)
        self._server.backend = self
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="demo-backend")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def unique(self) -> int:
        return len(self._uids)

    @property
    def repeated(self) -> int:
        return len(self.records) - len(self._uids)

    def take(self, body: bytes) -> None:
        """Read a request, and keep what is in it."""
        records = list(_records(ExportLogsServiceRequest.FromString(body)))
        with self._lock:
            for record in records:
                self.records.append(record)
                if (uid := record.attributes["log.record.uid"]) not in self._uids:
                    self._uids.add(uid)
                    self.audit_ids[record.attributes["auditID"]] += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _records(request: ExportLogsServiceRequest) -> Iterable[DemoRecord]:
    for resource_logs in request.resource_logs:
        resource = _mapping(resource_logs.resource.attributes)
        for record in (r for scope in resource_logs.scope_logs for r in scope.log_records):
            if record.event_name == _EVENT:
                yield DemoRecord(
                    plain_value(record.body),
                    _mapping(record.attributes),
                    resource,
                    record.time_unix_nano,
                    record.severity_text,
                )


def _mapping(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {attribute.key: plain_value(attribute.value) for attribute in attributes}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    backend: DemoBackend

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the agent is killed in the middle of its requests on purpose."""


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the table of the demo tells."""

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        data = self.rfile.read(length)
        if len(data) < length:
            self.close_connection = True  # the sender was killed within its request
            return
        packed = self.headers.get("Content-Encoding") == "gzip"
        self.server.backend.take(gzip.decompress(data) if packed else data)
        with suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()
