"""Receivers of OTLP that no package registry has: their own input, written after their source.

DataKit 1.84: internal/plugins/inputs/opentelemetry/{otel_http,logs,metric}.go and
internal/io/dataway/body.go. Points then go through DataKit's own engine and limits, see pipeline/.
Fluent Bit 4 and 5: plugins/in_opentelemetry, `buffer_max_size` and `successful_response_code`;
src/http_server/flb_http_server.c.
"""

import gzip
import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from google.protobuf.text_format import MessageToString
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

MIB = 1024 * 1024
_ANSWERED = "application/x-protobuf"
# What DataKit leaves out of every record: semconv.go.
_LEFT_OUT = frozenset((
    "process.command_line", "process.executable.path", "process.runtime.name",
    "process.runtime.version", "process.runtime.description", "telemetry.distro.name",
    "telemetry.distro.version", "telemetry.sdk.language", "telemetry.sdk.name",
    "telemetry.sdk.version",
))  # fmt: skip
_STATUS = ("unknown", "trace", "debug", "info", "warn", "error", "fatal")

Point = dict[str, dict[str, Any]]


class Imitation(ABC):
    """An HTTP server that takes OTLP requests and keeps what the real one would keep."""

    kind = "otlp_http"
    vendor = ""
    path = ""
    buffer = 1 << 40  # bytes of a request that it reads, before it answers 413 and closes

    def __init__(self) -> None:
        imitation = self
        self._lock = Lock()  # guards what subclasses keep

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                body = self.rfile.read(min(length, imitation.buffer))
                self.close_connection = over = length > imitation.buffer
                headers = dict(self.headers.items())
                self.send_response(413 if over else imitation.answer(self.path, headers, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}{self.path}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    @abstractmethod
    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Take one request and return the status code."""

    @abstractmethod
    def offsets(self) -> set[int]:
        """Return the offset of every event that is there, whole."""

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _records(
    request: ExportLogsServiceRequest,
) -> Iterator[tuple[Iterable[KeyValue], LogRecord]]:
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                yield resource.resource.attributes, record


def _offsets(uids: Iterable[str]) -> set[int]:
    found = (uid.partition("-") for uid in uids)
    return {int(place, 16) for identity, _, place in found if len(identity) == 16}


class FluentBit(Imitation):
    """Its OTLP input: 201 without a body, 413 over 4 MB however they are packed."""

    buffer = 4 * MIB

    def __init__(self) -> None:
        super().__init__()
        self._uids: set[str] = set()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if len(gzip.decompress(body)) > self.buffer:
            return 413
        if path != "/v1/logs" or headers["Content-Type"] != _ANSWERED:
            return 400
        request = ExportLogsServiceRequest.FromString(gzip.decompress(body))
        with self._lock:
            for _, record in _records(request):
                self._uids |= {
                    a.value.string_value for a in record.attributes if a.key == "log.record.uid"
                }
        return 201

    def offsets(self) -> set[int]:
        with self._lock:
            return _offsets(self._uids)


class DataKit(Imitation):
    """DataKit's OTLP input; `points` gives what leaves it, after its Pipeline script."""

    vendor = "guance"
    path = "/otel"
    BODY = 500 * 1024  # characters: what is longer becomes several logs
    VALUE = 32 * 1024  # bytes: what is longer is cut
    POINT = MIB  # as it is encoded: what is larger is skipped

    def __init__(self, engine: Path, script: Path) -> None:
        super().__init__()
        self._command = [str(engine), str(script)]
        self._taken: list[Point] = []
        self.cut: set[str] = set()  # what would not be whole

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        if path != "/otel/v1/logs" or headers["Content-Type"] != _ANSWERED:
            return 400
        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportLogsServiceRequest.FromString(body)
        with self._lock:
            for resource, record in _records(request):
                if point := self._point(resource, record):
                    self._taken.append(point)
        return 200

    def points(self) -> list[dict[str, Any]]:
        """Run the script over what has come, and return tags, fields, sizes and errors."""
        with self._lock:
            given = "".join(json.dumps(point) + "\n" for point in self._taken)
        done = subprocess.run(
            self._command, input=given, capture_output=True, text=True, check=True, timeout=100
        )
        # The engine's own debug lines stand between them.
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def offsets(self) -> set[int]:
        return _offsets(
            point["fields"].get("log_record_uid", "")
            for point in self.points()
            if point["size"] <= self.POINT and not point["error"]
        )

    def _point(self, resource: Iterable[KeyValue], record: LogRecord) -> Point | None:
        message = record.body.string_value
        if not message:
            return None
        if len(message) > self.BODY:
            self.cut.add("message")
        fields: dict[str, Any] = {}
        for one in (*resource, *record.attributes):
            if one.key not in _LEFT_OUT:
                text = _text(one.value).encode()
                if len(text) > self.VALUE:
                    self.cut.add(one.key)
                name = one.key.replace(".", "_")
                fields.setdefault(name, text[: self.VALUE].decode(errors="replace"))
        fields.setdefault("message", message)
        own = {"status": _STATUS[(record.severity_number + 3) // 4], "service": "k8s-audit"}
        tags = {name: value for name, value in own.items() if name not in fields}
        fields.pop("source", None)
        fields.pop("date", None)
        return {"tags": tags, "fields": fields}


def _text(value: AnyValue) -> str:
    """Give a value as DataKit stores it: everything is text."""
    which = value.WhichOneof("value")
    if which == "string_value":
        return value.string_value
    if which == "double_value":
        return f"{value.double_value:.3f}"
    if which == "int_value":
        return str(value.int_value)
    if which == "bool_value":
        return str(value.bool_value).lower()
    if which in {"array_value", "kvlist_value"}:
        return str(MessageToString(getattr(value, which), as_one_line=True))
    return ""
