"""Small servers for tests: a CONNECT proxy, a token server, one that sends prepared bytes."""

import base64
import json
import secrets
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

_PORTS = range(15_000, 30_000)  # not those that the kernel gives to connections


def free_port() -> int:
    """Return a port for a program that binds it later; no connection takes it in between."""
    while True:
        port = _PORTS[secrets.randbelow(len(_PORTS))]
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Running:
    """A thread that serves from `with` to its end."""

    def __init__(self, handler: Any, tls: SSLContext | None = None) -> None:
        class Server(ThreadingHTTPServer):
            daemon_threads = True
            owner = self

            def get_request(self) -> Any:
                sock, address = super().get_request()
                if tls:
                    sock = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                return sock, address

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing: a peer that hangs up is part of the test."""

        self._server = Server(("127.0.0.1", 0), handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,))
        self.port = self._server.server_address[1]
        self.scheme = "https" if tls else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Proxy(Running):
    """Connects every name to 127.0.0.1; forwards absolute http URLs; may want a password."""

    def __init__(self, *, admits: Any = "", refuse: Any = 0, tls: Any = None) -> None:
        self.wanted, self.refuse = admits, refuse
        self.seen: list[Any] = []
        super().__init__(_ProxyHandler, tls)

    def admits(self, headers: Any) -> Any:
        if not self.wanted:
            return True
        wanted = base64.b64encode(self.wanted.encode()).decode()
        return headers.get("Proxy-Authorization") == f"Basic {wanted}"


class _ProxyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _refused(self) -> Any:
        owner: Any = getattr(self.server, "owner")  # noqa: B009 - set by Running
        owner.seen.append((self.command, self.path))
        status = owner.refuse or (0 if owner.admits(self.headers) else 407)
        if status:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return bool(status)

    def do_CONNECT(self) -> None:
        if self._refused():
            return
        port = int(self.path.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as upstream:
            self.send_response(200)
            self.end_headers()
            self.wfile.flush()
            _pump(self.connection, upstream)
        self.close_connection = True

    def do_POST(self) -> None:
        if self._refused():
            return
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with socket.create_connection(("127.0.0.1", url.port)) as upstream:
            lines = [f"POST {url.path} HTTP/1.1"]
            dropped = {"connection", "proxy-authorization"}
            lines += [f"{k}: {v}" for k, v in self.headers.items() if k.lower() not in dropped]
            upstream.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)
            answer = b""
            while b"\r\n\r\n" not in answer and (more := upstream.recv(65536)):
                answer += more
        with suppress(OSError):
            self.connection.sendall(answer)
        self.close_connection = True


def _pump(one: Any, other: Any) -> None:
    while True:
        ready = [one] if getattr(one, "pending", int)() else select.select([one, other], [], [])[0]
        for source in ready:
            target = other if source is one else one
            try:
                data = source.recv(65536)
                if data:
                    target.sendall(data)
            except OSError:
                data = b""
            if not data:
                return


class TokenServer(Running):
    """RFC 6749 client credentials; answers the next of `answers` or a new token."""

    def __init__(self, *, lifetime: Any = 3600, basic: Any = True, tls: Any = None) -> None:
        self.lifetime, self.basic = lifetime, basic
        self.forms: list[Any] = []
        self.answers: list[Any] = []
        self.count = 0
        super().__init__(_TokenHandler, tls)


class _TokenHandler(BaseHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        owner: Any = getattr(self.server, "owner")  # noqa: B009 - set by Running
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        authorization = self.headers.get("Authorization", "")
        if authorization:
            form["basic"] = [base64.b64decode(authorization.removeprefix("Basic ")).decode()]
        owner.forms.append(form)
        if owner.answers:
            status, body = owner.answers.pop(0)
        elif bool(authorization) != owner.basic:
            status, body = 401, {"error": "invalid_client", "error_description": "s3cret-text"}
        else:
            owner.count += 1
            body = {"access_token": f"token-{owner.count}", "token_type": "bearer"}
            body |= {"expires_in": owner.lifetime} if owner.lifetime else {}
            status = 200
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class RawServer:
    """Reads each request and sends what `play(connection, number)` does."""

    def __init__(self, play: Callable[..., Any]) -> None:
        self._play = play
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._open = True
        self._threads = [Thread(target=self._accept)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/logs"

    def _accept(self) -> None:
        while self._open:
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            thread = Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Any) -> None:
        connection.settimeout(5)
        number = 0
        with connection, suppress(OSError):
            while self._open and self._read(connection):
                number += 1
                if not self._play(connection, number):
                    return

    @staticmethod
    def _read(connection: Any) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        while len(body) < length:
            body += connection.recv(65536)
        return True

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        for thread in self._threads:
            thread.join()
        self._listener.close()


def drip(connection: Any, data: Any, seconds: float = 0.05) -> None:
    """Send byte by byte."""
    for byte in data:
        connection.sendall(bytes([byte]))
        time.sleep(seconds)
