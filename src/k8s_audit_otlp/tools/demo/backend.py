"""The demo's back end: an OTLP/HTTP server on 127.0.0.1 that takes everything and counts it."""

import gzip
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

from k8s_audit_otlp.tools.demo.received import Received


class DemoBackend:
    """Stores what is posted to `/v1/logs`; records are in `received`."""

    def __init__(self) -> None:
        self.received = Received("records")
        self._server = _Server(("127.0.0.1", 0), _Connection)
        self._server.received = self.received
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="demo-backend")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.received.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    received: Received

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the agent is killed in the middle of its requests on purpose."""


class _Connection(BaseHTTPRequestHandler):
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
        self.server.received.add_body(gzip.decompress(data) if packed else data)
        with suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()
