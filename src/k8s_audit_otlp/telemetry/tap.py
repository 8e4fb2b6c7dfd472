"""Lets somebody watch what an exporter delivers, over a private Unix socket in the state directory.

What is shown has left: it went through policy and redaction, and was acknowledged. Nobody waits
for a reader: what one does not take is left out for it, and counted.

A frame is `length, length of the name, name, record`, both lengths four bytes, the first one of all
that follows it. The record is one as it stands in an encoded ScopeLogs. A frame without a name
holds, as eight bytes, how many records were left out; none means that too many watch already.
"""

import contextlib
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Final

FILE_NAME: Final = "tap.sock"
MAX_READERS: Final = 8
_LENGTHS: Final = struct.Struct("!II")
_COUNT: Final = struct.Struct("!Q")
_MAX_READER_BYTES: Final = 4 * 1024 * 1024  # that wait for one reader
_LOOK_S: Final = 0.5  # how often it is seen whether a reader is still there
_CLOSE_S: Final = 2.0  # how long readers may take what is there at the end
_MAX_FRAME: Final = 1 << 30


def frame_of(name: bytes, record: bytes) -> bytes:
    return _LENGTHS.pack(4 + len(name) + len(record), len(name)) + name + record


def frames(stream: socket.socket) -> Iterator[tuple[str, bytes]]:
    """Yield (exporter, record) as they come; ('', count) for what was left out."""
    with stream.makefile("rb") as file:
        while len(head := file.read(_LENGTHS.size)) == _LENGTHS.size:
            length, name_length = _LENGTHS.unpack(head)
            if not 4 + name_length <= length <= _MAX_FRAME:
                return
            rest = file.read(length - 4)
            if len(rest) < length - 4:
                return
            yield rest[:name_length].decode(), rest[name_length:]


def left_out(record: bytes) -> int:
    """Read the count of a frame without a name."""
    return int(_COUNT.unpack(record)[0])


@contextlib.contextmanager
def _address(state_dir: Path) -> Iterator[str]:
    """Give a name to the socket that fits, however long the path is: 108 bytes are all there is."""
    fd = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{FILE_NAME}"
    finally:
        os.close(fd)


def connect(state_dir: Path) -> socket.socket:
    """Connect to the agent of a state directory.

    Raise OSError where no agent listens there, or it may not be asked.
    """
    stream = socket.socket(socket.AF_UNIX)
    try:
        with _address(state_dir) as address:
            stream.connect(address)
    except OSError:
        stream.close()
        raise
    return stream


class _TapReader(Thread):
    """One connection, with what it has not taken yet; a thread of its own sends that."""

    def __init__(self, stream: socket.socket, on_gone: Callable[["_TapReader"], None]) -> None:
        super().__init__(name="tap reader", daemon=True)
        self._stream = stream
        self._on_gone = on_gone
        self._changed = Condition()  # guards what follows
        self._waiting: deque[tuple[str, Sequence[bytes]]] = deque()
        self._size = 0
        self._missed = 0
        self._closing = False

    def offer(self, exporter: str, records: Sequence[bytes]) -> None:
        """Take the records of a request, or count them as left out; waits for nobody."""
        size = sum(map(len, records))
        with self._changed:
            if self._size and self._size + size > _MAX_READER_BYTES:
                self._missed += len(records)
            else:
                self._say_missed()
                self._waiting.append((exporter, records))
                self._size += size
            self._changed.notify()

    def _say_missed(self) -> None:
        if self._missed:
            self._waiting.append(("", [_COUNT.pack(self._missed)]))
            self._missed = 0

    def run(self) -> None:
        with contextlib.suppress(OSError), self._stream:  # it is gone
            while (batch := self._next()) is not None:
                exporter, records = batch
                for record in records:
                    self._stream.sendall(frame_of(exporter.encode(), record))
                with self._changed:
                    self._size -= sum(map(len, records)) if exporter else 0
        self._on_gone(self)

    def _next(self) -> tuple[str, Sequence[bytes]] | None:
        """Wait for the next frame to send; None once it is closed."""
        with self._changed:
            while not self._waiting:
                if self._missed:
                    self._say_missed()
                elif self._closing or not (self._changed.wait(_LOOK_S) or self._is_there()):
                    return None
            return self._waiting.popleft()

    def _is_there(self) -> bool:
        """Look whether it has hung up: a reader says nothing, so what it says is its end."""
        with contextlib.suppress(BlockingIOError):
            return bool(self._stream.recv(64, socket.MSG_DONTWAIT))
        return True

    def close(self, within_s: float) -> None:
        """Send what is queued, and close the connection."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self.join(max(0.0, within_s))
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)


class Tap:
    """The socket and its readers. `watched` is free to ask."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._path = state_dir / FILE_NAME
        self._lock = Lock()
        self._readers: list[_TapReader] = []  # guarded by the lock
        self._listener: socket.socket | None = None

    @property
    def watched(self) -> bool:
        return bool(self._readers)

    def start(self) -> None:
        """Listen, unless it does. The directory is ours: a socket left in it is a dead agent's.

        Raise OSError where no socket can be made there.
        """
        if self._listener is not None:
            return
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        os.fchmod(listener.fileno(), 0o600)  # before it has a name: nobody else is ever let in
        with _address(self._state_dir) as address:
            listener.bind(address)
        listener.listen(MAX_READERS)
        self._listener = listener
        Thread(target=self._serve, args=(listener,), name="tap", daemon=True).start()

    def publish(self, exporter: str, records: Sequence[bytes]) -> None:
        """Hand out records that were acknowledged; waits for no reader."""
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.offer(exporter, records)

    def close(self) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()
        end = time.monotonic() + _CLOSE_S
        with self._lock:
            readers = list(self._readers)
        for reader in readers:
            reader.close(end - time.monotonic())
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _serve(self, listener: socket.socket) -> None:
        while listener.fileno() >= 0:
            try:
                stream, _ = listener.accept()
            except OSError:
                time.sleep(_LOOK_S)  # it is closed, or the process has no descriptor left
                continue
            if len(self._readers) >= MAX_READERS:
                with stream, contextlib.suppress(OSError):
                    stream.send(frame_of(b"", _COUNT.pack(0)))
                continue
            reader = _TapReader(stream, self._forget)
            with self._lock:
                self._readers.append(reader)
                reader.start()

    def _forget(self, reader: _TapReader) -> None:
        with self._lock:
            self._readers.remove(reader)
