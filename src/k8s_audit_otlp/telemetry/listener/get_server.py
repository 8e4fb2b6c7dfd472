"""A small HTTP/1.1 server for GET and HEAD alone: ready answers, given again while they are fresh.

Written by hand as it shares the interpreter with the delivery: an answer on a kept connection
takes some 25 µs of CPU, and 300 where a framework reads the request. Nothing is read but the head
of a request; one with a body is answered, and its connection closed.
"""

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

from k8s_audit_otlp.receiver.sources.listener import Listener
from k8s_audit_otlp.telemetry.health import Cached
from k8s_audit_otlp.telemetry.listener.pace import PacedSelector
from k8s_audit_otlp.telemetry.logs import logger

_PATIENCE_S: Final = 5.0  # for a whole head, and for the next one: a probe must not be kept out
_MAX_HEAD_BYTES: Final = 16 * 1024
_BACKLOG: Final = 256  # connections that the kernel keeps, as of the listener
_LAST_TURNS: Final = 5  # of the loop, in which a connection that was being taken is ended, too
# A field that is none could be a body to whoever stands between, and a request here.
_FIELD: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*"
_REQUEST = re.compile(rb"([A-Z]+) ([!-~]+) HTTP/1\.([0-9])((?:\r\n%b)*)" % _FIELD)
_NO_REQUEST = re.compile(rb"\A[^A-Z]|(?<!\r)\n")  # nor whatever follows: TLS, lines without CR
# A body is not read, so nothing that comes behind it can be.
_LAST = re.compile(
    rb"\r\n(?:connection:[^\r\n]*close|transfer-encoding:|content-length:(?! *0+ *(?:\r|$)))",
    re.IGNORECASE,
)


class Reply:
    """An answer as it is sent: `head` without its end, so that a connection's own may follow."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
        lines = {"date": date, "content-length": str(len(body)), **headers}
        first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        self.head = (first + "".join(f"{k}: {v}\r\n" for k, v in lines.items())).encode("latin-1")
        self.body = body


def plain(status: int, **headers: str) -> Reply:
    """Return an answer that says its status and no more."""
    headers = {"content-type": "text/plain; charset=utf-8", **headers}
    return Reply(status, headers, f"{HTTPStatus(status).phrase}\n".encode())


class _Path:
    """What a path answers. It is made in a thread of its own: a log on a dead mount may hang."""

    def __init__(self, path: str, make: Callable[[], Reply]) -> None:
        def safe() -> Reply:
            try:
                return make()
            except Exception as error:  # noqa: BLE001 - what nobody foresaw ends no listener
                logger.error("failed", f"{path}: {error!r}", part=path, exc_info=error)
                return plain(500)

        self._cached = Cached(safe)
        self._waiting: dict[_Connection, Callable[[Reply], None]] = {}
        self._making = False
        self._requests: SimpleQueue[bool] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        Thread(target=self._make, name=f"answer {path}", daemon=True).start()

    @property
    def fresh(self) -> Reply | None:
        return self._cached.fresh

    def ask(self, asks: "_Connection", then: Callable[[Reply], None]) -> None:
        """Call *then* with the answer when it is made, unless *asks* has left by then."""
        self._waiting[asks] = then
        if not self._making:
            self._making = True
            self._requests.put(True)

    def left(self, asked: "_Connection") -> None:
        self._waiting.pop(asked, None)

    def close(self) -> None:
        self._requests.put(False)

    def _make(self) -> None:
        while self._requests.get():
            reply = self._cached()
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._give_out, reply)

    def _give_out(self, reply: Reply) -> None:
        waiting, self._waiting = self._waiting, {}
        self._making = False
        for then in waiting.values():
            then(reply)


class _Connection(asyncio.Protocol):
    """Answers one request after the other, and each in a turn of its own: others wait as well."""

    def __init__(self, paths: Mapping[bytes, _Path], others: "set[_Connection]") -> None:
        self._paths = paths
        self._others = others
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._busy = False  # an answer is being made, or read, or has its turn next
        self._ended = False  # what comes behind the last answer is passed over
        self._unread = 0  # bytes that it had not read at the last look
        self._due = self._loop.time() + _PATIENCE_S  # when a whole head must be here

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a stream
        self._transport = transport
        self._others.add(self)
        self._timer = self._loop.call_at(self._due, self._look)

    def connection_lost(self, _error: Exception | None) -> None:
        self._timer.cancel()
        self._others.discard(self)
        for path in self._paths.values():
            path.left(self)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._received += data
        self._go_on()
        if self._busy and len(self._received) > _MAX_HEAD_BYTES:
            self._transport.abort()  # who only asks, and takes no answer

    def pause_writing(self) -> None:
        self._busy = True

    def resume_writing(self) -> None:
        self._busy = False
        self._go_on()

    def _go_on(self) -> None:
        if self._busy or self._ended or self._transport.is_closing():
            return
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if len(head + end) > _MAX_HEAD_BYTES:
            self._send(plain(431), last=True)
        elif end:
            self._received = rest
            self._answer(head)
        elif _NO_REQUEST.search(head):
            self._send(plain(400), last=True)

    def _answer(self, head: bytes) -> None:
        request = _REQUEST.fullmatch(head)
        if request is None:
            self._send(plain(400), last=True)
            return
        method, target, minor, headers = request.groups()
        last, bare = minor == b"0" or _LAST.search(headers) is not None, method == b"HEAD"
        path = self._paths.get(target.partition(b"?")[0])
        if method != b"GET" and not bare:
            self._send(plain(405, allow="GET, HEAD"), last=True)
        elif path is None:
            self._send(plain(404), last=last, bare=bare)
        elif (reply := path.fresh) is not None:
            self._send(reply, last=last, bare=bare)
        else:
            self._busy = True
            path.ask(self, lambda reply: self._answer_ready(reply, last=last, bare=bare))

    def _answer_ready(self, reply: Reply, *, last: bool, bare: bool) -> None:
        self._busy = False
        self._send(reply, last=last, bare=bare)

    def _send(self, reply: Reply, *, last: bool, bare: bool = False) -> None:
        """Write an answer. *last*: end behind it; *bare*: without its body."""
        if self._transport.is_closing():
            return
        self._due = self._loop.time() + _PATIENCE_S
        head = reply.head + (b"connection: close\r\n\r\n" if last else b"\r\n")
        self._transport.write(head if bare else head + reply.body)
        if last:  # a client that still sends would lose the answer if all were closed
            self._ended, self._received = True, b""
            try:
                self._transport.write_eof()
            except OSError:  # it has left meanwhile
                self._transport.abort()
        elif self._received and not self._busy:
            self._busy = True
            self._loop.call_soon(self.resume_writing)

    def _look(self) -> None:
        """Close where nothing has been asked for too long, or nothing been read."""
        unread, now = self._transport.get_write_buffer_size(), self._loop.time()
        if unread and unread == self._unread:
            self._transport.abort()
        elif not unread and not self._busy and now >= self._due:
            self._transport.close()
        else:
            self._unread = unread
            at = now + _PATIENCE_S if unread or self._busy else self._due
            self._timer = self._loop.call_at(at, self._look)


class GetServer:
    """Serves until `stop`, in a daemon thread of its own that takes its share of a core at most."""

    def __init__(self, address: str, replies: Mapping[str, Callable[[], Reply]]) -> None:
        """Listen at `host:port` once started; *replies* makes what each path answers."""
        self._address = address
        self._replies = replies
        self._began = Event()  # or has failed to
        self._failure: Exception | None = None
        self._thread = Thread(target=self._serve, name="status", daemon=True)

    def start(self) -> str:
        """Listen, and return the address. Raise OSError where it cannot be bound."""
        self._listener = listener = Listener.at(self._address)
        self._thread.start()
        self._began.wait()
        if self._failure is not None:
            listener.close()
            raise self._failure
        return listener.endpoint

    def stop(self, within_s: float) -> None:
        """End, also what is being answered; wait so long for that."""
        if self._began.is_set():
            self._loop.call_soon_threadsafe(self._ends.set)
            self._thread.join(within_s)

    def _serve(self) -> None:
        try:
            with asyncio.Runner(
                loop_factory=lambda: asyncio.SelectorEventLoop(PacedSelector())
            ) as runner:
                runner.run(self._until_stopped())
        except Exception as error:
            if self._began.is_set():
                raise
            self._failure = error
            self._began.set()

    async def _until_stopped(self) -> None:
        self._loop, self._ends = asyncio.get_running_loop(), asyncio.Event()
        paths = {path.encode(): _Path(path, make) for path, make in self._replies.items()}
        connections: set[_Connection] = set()
        server = await self._loop.create_server(
            lambda: _Connection(paths, connections), sock=self._listener, backlog=_BACKLOG
        )
        self._began.set()
        await self._ends.wait()
        self._loop.remove_reader(self._listener)
        for path in paths.values():
            path.close()
        for _ in range(_LAST_TURNS):
            for connection in list(connections):
                connection.close()
            await asyncio.sleep(0)
        server.close()  # before, a connection that is being taken would stay open
