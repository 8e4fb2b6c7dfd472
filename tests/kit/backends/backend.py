"""An OTLP/HTTP back end that is real on the wire and does what its plan says.

    with Backend() as backend:
        backend.plan = [Throttle(429, retry_after=1), Accept()]
        ...  # send to backend.logs_url
        backend.wait_for(100)

Requests come in over HTTP/1.1 (gzip, zstd or plain; TLS if a context is given); what arrived is
in `backend.received`. GET /stats tells the totals, PUT /plan changes the plan from outside.
"""

import json
import signal
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import click

from tests.kit.backends.exchange import UNPACK, HttpExchange, unpack, write_answer
from tests.kit.backends.intake import Intake, Plan, parse_plan
from tests.kit.backends.received import Keep
from tests.kit.backends.steps import PROTOBUF, Refuse

LOGS_PATH = "/v1/logs"


class Backend(Intake):
    """One OTLP/HTTP server on 127.0.0.1; may be stopped and started again on its port."""

    def __init__(
        self,
        plan: Plan = (),
        *,
        port: int = 0,
        keep: Keep = "records",
        uids_file: Path | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(plan, keep, uids_file)
        self.port = port
        self.connections_total = 0
        self._tls = tls
        self._open: set[socket.socket] = set()  # guarded by the lock too
        self._server: _Server | None = None
        self._thread = Thread()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def logs_url(self) -> str:
        return self.url + LOGS_PATH

    def start(self) -> None:
        self.closing.clear()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name=f"backend-{self.port}"
        )
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections and close those that are open, answered or not."""
        server, self._server = self._server, None
        if server is None:
            return
        self.closing.set()
        server.shutdown()
        self._thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # no TLS farewell
        server.server_close()  # waits for the threads of the connections

    def totals(self) -> dict[str, Any]:
        return {"connections": self.connections_total, **super().totals()}

    def opened(self, connection: socket.socket) -> socket.socket:
        """Take a new connection, under TLS if there is a context for it."""
        if self._tls:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        with self._lock:
            self.connections_total += 1
            self._open.add(connection)
        return connection

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # stop() ends every connection, so that it can wait for them all
    request_queue_size = 128

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        super().__init__(("127.0.0.1", backend.port), _Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return self.backend.opened(connection), address

    def shutdown_request(self, request: Any) -> None:
        self.backend.closed(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a peer that hangs up or fails the handshake is part of the test."""


class _Connection(BaseHTTPRequestHandler):
    """One keep-alive connection: reads requests, answers by the step of the plan."""

    protocol_version = "HTTP/1.1"
    server_version = "k8s-audit-otlp-demo"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer leave in one packet
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._backend = self.server.backend

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the totals tell."""

    def do_GET(self) -> None:
        known = self.path == "/stats"
        self.answer_json(200 if known else 404, self._backend.totals() if known else {})

    def do_PUT(self) -> None:
        text = self._read_body().decode()
        try:
            self._backend.plan = parse_plan(text)
        except (ValueError, SyntaxError, TypeError) as error:
            self.answer_json(400, {"error": str(error)})
        else:
            self.answer_json(200, {"plan": text})

    def do_POST(self) -> None:
        packed = self._read_body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        problem = self._problem(headers)
        try:
            body = b"" if problem else unpack(packed, headers.get("content-encoding", ""))
        except ValueError:
            body, problem = b"", 400
        request = self._backend.arrived(self.path, headers, len(packed), body)
        step = Refuse(problem) if problem else self._backend.step_for(request)
        exchange = HttpExchange(self, request, self._backend.received, self._backend.closing)
        try:
            step.respond(exchange)
        except (ValueError, IndexError):
            Refuse(400).respond(exchange)

    def _problem(self, headers: Mapping[str, str]) -> int | None:
        if self.path.partition("?")[0] != LOGS_PATH:
            return 404
        if headers.get("content-type", "").partition(";")[0].strip() != PROTOBUF:
            return 415
        if headers.get("content-encoding", "") not in UNPACK:
            return 415
        return None

    def _read_body(self) -> bytes:
        length = int(self.headers.get("Content-Length", "0"))
        data = self.rfile.read(length)
        if len(data) < length:
            raise ConnectionError("the peer hung up within its request")
        return data

    def answer_json(self, status: int, value: Any) -> None:
        write_answer(self, status, {"Content-Type": "application/json"}, json.dumps(value).encode())


@click.command()
@click.option("--port", default=0, help="0 takes a free one; the first line printed is the URL.")
@click.option("--plan", default="", help="Steps as in Python: 'Throttle(503) * 3, Accept()'.")
@click.option("--keep", type=click.Choice(["records", "uids", "nothing"]), default="uids")
@click.option("--stats-file", type=click.Path(path_type=Path), help="JSON totals, every second.")
@click.option("--uids-file", type=click.Path(path_type=Path), help="Appended: one uid a line.")
def main(port: int, plan: str, keep: Keep, stats_file: Path | None, uids_file: Path | None) -> None:
    """Run an OTLP/HTTP back end until SIGTERM or SIGINT."""
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Backend(parse_plan(plan), port=port, keep=keep, uids_file=uids_file) as backend:
        click.echo(backend.url)
        stopped = False
        while not stopped:
            stopped = stop.wait(1.0)
            if stats_file:
                stats_file.write_text(json.dumps(backend.totals()))


if __name__ == "__main__":
    main()
