"""An HTTP request that was read, and the means of answering it well or badly."""

import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from threading import Event

import zstandard
from isal import igzip, igzip_lib

from tests.kit.backends.received import Received, leave_out
from tests.kit.backends.steps import ReceivedRequest

RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # struct linger: on, no time
PACKING_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    igzip_lib.IsalError,  # type: ignore[assignment]  # its stub takes the class for a value
    zstandard.ZstdError,
)


def _unpack_zstd(data: bytes) -> bytes:
    unpacker = zstandard.ZstdDecompressor().decompressobj()
    return unpacker.decompress(data)


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "identity": bytes,
    "gzip": igzip.decompress,
    "zstd": _unpack_zstd,
}


def unpack(data: bytes, encoding: str) -> bytes:
    """Undo the content encoding; a ValueError says that the data is not in it."""
    try:
        return UNPACK[encoding](data)
    except PACKING_ERRORS as error:
        raise ValueError(f"request body: not {encoding}: {error}") from error


def write_answer(
    connection: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes
) -> None:
    """Write a whole answer; nothing happens if nobody listens any more."""
    lines = [f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    try:
        connection.wfile.write("\r\n".join(lines).encode("latin-1") + body)
        connection.wfile.flush()
    except OSError:
        connection.close_connection = True


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class HttpExchange:
    """What the steps of a plan answer on."""

    def __init__(
        self,
        connection: BaseHTTPRequestHandler,
        request: ReceivedRequest,
        received: Received,
        closing: Event,
    ) -> None:
        self.request = request
        self._connection = connection
        self._received = received
        self._closing = closing

    def store(self, *, without: Callable[[int, bytes], bool] | None = None) -> int:
        body = self.request.body
        return self._received.add_body(leave_out(body, without) if without else body)

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        write_answer(self._connection, status, headers, body)

    def send(self, data: bytes) -> bool:
        try:
            self._connection.wfile.write(data)
            self._connection.wfile.flush()
        except OSError:
            self._connection.close_connection = True
            return False
        return not self._closing.is_set()

    def pause(self, seconds: float | None) -> bool:
        return not self._closing.wait(seconds)

    def hang_up(self, *, reset: bool = False) -> None:
        self._connection.close_connection = True
        peer = self._connection.connection
        with suppress(OSError):
            if reset:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            else:
                socket.socket.shutdown(peer, socket.SHUT_RDWR)  # no TLS farewell

    def half_close(self) -> None:
        self._connection.close_connection = True
        with suppress(OSError):
            socket.socket.shutdown(self._connection.connection, socket.SHUT_WR)
