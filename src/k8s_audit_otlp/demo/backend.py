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
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

import click

from k8s_audit_otlp.demo.exchange import UNPACK, HttpExchange, unpack, write_answer
from k8s_audit_otlp.demo.plan import PROTOBUF, Course, Plan, Refuse, Request, Step, parse_plan
from k8s_audit_otlp.demo.received import Keep, Received

REQUESTS_KEPT = 100_000  # a test looks at the latest ones; without their bodies they are small
LOGS_PATH = "/v1/logs"


class Backend:
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
        self.port = port
        self.received = Received(keep, uids_file)
        self.requests: deque[Request] = deque(maxlen=REQUESTS_KEPT)  # bodies left out
        self.requests_total = 0
        self.bytes_total = 0  # on the wire
        self.connections_total = 0
        self._tls = tls
        self._course = Course(plan)
        self._lock = Lock()  # guards the totals, the requests and the open connections
        self._open: set[socket.socket] = set()
        self._server: _Server | None = None
        self._thread: Thread | None = None
        self.closing = Event()

    def __repr__(self) -> str:
        return f"<Backend {self.url} requests={self.requests_total} {self.received!r}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.received.close()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def logs_url(self) -> str:
        return self.url + LOGS_PATH

    @property
    def plan(self) -> Plan:
        return self._course.plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._course = Course(plan)

    def start(self) -> None:
        self.closing = Event()
        self._server = _Server(self)
        self.port = self._server.server_address[1]
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.02,), name=f"backend-{self.port}"
        )
        self._thread.start()

    def stop(self) -> None:
        """Refuse connections and close those that are open, answered or not."""
        server, thread = self._server, self._thread
        if server is None or thread is None:
            return
        self._server = self._thread = None
        self.closing.set()
        server.shutdown()
        thread.join()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()  # waits for the threads of the connections

    def wait_for(self, n_unique: int, timeout: float = 10.0) -> None:
        self.received.wait_for(n_unique, timeout)

    def wait_for_requests(self, number: int, timeout: float = 10.0) -> None:
        """Return once so many requests were read; TimeoutError says how far it got."""
        deadline = time.monotonic() + timeout
        while self.requests_total < number:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.requests_total} of {number} requests after {timeout} s")
            time.sleep(0.005)

    def totals(self) -> dict[str, Any]:
        return {
            "requests": self.requests_total,
            "bytes": self.bytes_total,
            "connections": self.connections_total,
            **self.received.totals(),
        }

    def arrived(
        self, path: str, headers: Mapping[str, str], wire_bytes: int, body: bytes
    ) -> Request:
        """Count one request; called by the connection's thread."""
        with self._lock:
            self.requests_total += 1
            self.bytes_total += wire_bytes
            request = Request(self.requests_total, path, headers, wire_bytes, body)
            self.requests.append(replace(request, body=b""))
        return request

    def step_for(self, request: Request) -> Step:
        return self._course.step_for(request)

    def opened(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections_total += 1
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def secure(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # stop() ends every connection, so that it can wait for them all
    request_queue_size = 128

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        super().__init__(("127.0.0.1", backend.port), _Connection)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        return self.backend.secure(connection), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a peer that hangs up or fails the handshake is part of the play."""


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
        self._backend.opened(self.connection)

    def finish(self) -> None:
        self._backend.closed(self.connection)
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
            step.play(exchange)
        except (ValueError, IndexError):
            Refuse(400).play(exchange)

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
