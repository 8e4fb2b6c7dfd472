"""Lets somebody watch what an exporter delivers, over a private Unix socket in the state directory.

What is shown has left: it went through policy and redaction, and was acknowledged. Nobody waits
for a reader: what one does not take is left out for it, and counted.

A frame is `length, length of the name, name, record`, both lengths four bytes, the first one of all
that follows it. The record is one as it stands in an encoded ScopeLogs. A frame without a name
holds, as eight bytes, how many records were left out; none means that too many watch already.
"""

import contextlib
import os
import selectors
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock, Thread
from typing import Final

FILE_NAME: Final = "tap.sock"
MAX_READERS: Final = 8
_LENGTHS: Final = struct.Struct("!II")
_COUNT: Final = struct.Struct("!Q")
_MAX_READER_BYTES: Final = 4 * 1024 * 1024  # that wait for one reader
_MAX_REQUESTS: Final = 64  # waiting to be handed out
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


class _Reader:
    """One connection, with what it has not taken yet."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.waiting: deque[bytes] = deque()
        self.size = 0
        self.missed = 0

    def offer(self, frame: bytes) -> None:
        if self.size + len(frame) > _MAX_READER_BYTES:
            self.missed += 1
            return
        self._say_missed()
        self._add(frame)

    def _say_missed(self) -> None:
        if self.missed:
            self._add(frame_of(b"", _COUNT.pack(self.missed)))
            self.missed = 0

    def _add(self, frame: bytes) -> None:
        self.waiting.append(frame)
        self.size += len(frame)

    def send(self) -> None:
        """Send what the connection takes now. Raise OSError where it is gone."""
        while self.waiting or self.missed:
            if not self.waiting:
                self._say_missed()
            frame = self.waiting[0]
            try:
                sent = self.stream.send(frame)
            except BlockingIOError:
                return
            self.size -= sent
            if sent < len(frame):
                self.waiting[0] = frame[sent:]
                return
            self.waiting.popleft()


class Tap:
    """The socket and its readers, served by a thread of its own. `watched` is free to ask."""

    def __init__(self, state_dir: Path) -> None:
        self.watched = False
        self._state_dir = state_dir
        self._path = state_dir / FILE_NAME
        self._lock = Lock()  # over the next two
        self._offered: deque[tuple[bytes, Sequence[bytes]]] = deque()
        self._missed = 0  # records of requests that found too many waiting
        self._readers: dict[int, _Reader] = {}
        self._selector: selectors.BaseSelector
        self._wake: socket.socket | None = None
        self._closing = False
        self._thread: Thread | None = None

    def start(self) -> None:
        """Listen, unless it does. The directory is ours: a socket left in it is a dead agent's.

        Raise OSError where no socket can be made there.
        """
        if self._thread is not None:
            return
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        os.fchmod(listener.fileno(), 0o600)  # before it has a name: nobody else is ever let in
        with _address(self._state_dir) as address:
            listener.bind(address)
        listener.listen(MAX_READERS)
        self._wake, woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for each in (listener, self._wake, woken):
            each.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._selector.register(woken, selectors.EVENT_READ)
        self._thread = Thread(target=self._serve, args=(listener, woken), name="tap", daemon=True)
        self._thread.start()

    def publish(self, exporter: str, records: Sequence[bytes]) -> None:
        """Hand out records that were acknowledged; waits for no reader."""
        with self._lock:
            if len(self._offered) < _MAX_REQUESTS:
                self._offered.append((exporter.encode(), records))
            else:
                self._missed += len(records)
        self._nudge()

    def _nudge(self) -> None:
        if self._wake is not None:
            with contextlib.suppress(OSError):  # full: it is awake already
                self._wake.send(b"\0")

    def close(self) -> None:
        if self._thread is None:
            return
        self._closing = True
        self._nudge()
        self._thread.join(2.0)
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _serve(self, listener: socket.socket, woken: socket.socket) -> None:
        while not self._closing:
            for key, events in self._selector.select(1.0):
                if key.fileobj is listener:
                    self._accept(listener)
                elif key.fileobj is woken:
                    with contextlib.suppress(BlockingIOError):
                        woken.recv(4096)
                    self._hand_out()
                else:
                    self._attend(key.fd, events)
        self._hand_out()
        for fd in list(self._readers):
            self._drop(fd)
        for each in (listener, woken, self._wake, self._selector):
            if each is not None:
                each.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            stream, _ = listener.accept()
        except OSError:
            return
        stream.setblocking(False)
        if len(self._readers) >= MAX_READERS:
            with stream, contextlib.suppress(OSError):
                stream.send(frame_of(b"", _COUNT.pack(0)))
            return
        self._readers[stream.fileno()] = _Reader(stream)
        self._selector.register(stream, selectors.EVENT_READ)
        self.watched = True

    def _hand_out(self) -> None:
        while True:
            with self._lock:
                name, records = self._offered.popleft() if self._offered else (b"", ())
                missed, self._missed = self._missed, 0
            if not records and not missed:
                return
            shown = [frame_of(name, record) for record in records]
            for reader in self._readers.values():
                for frame in shown:
                    reader.offer(frame)
                reader.missed += missed
            for fd in list(self._readers):
                self._attend(fd, selectors.EVENT_WRITE)

    def _attend(self, fd: int, events: int) -> None:
        """Send to a reader what it takes; a reader says nothing, so what it says is its end."""
        reader = self._readers.get(fd)
        if reader is None:
            return
        try:
            if events & selectors.EVENT_READ and not reader.stream.recv(64):
                self._drop(fd)
                return
            reader.send()
        except BlockingIOError:
            pass
        except OSError:
            self._drop(fd)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if reader.waiting else 0)
        self._selector.modify(fd, wanted)

    def _drop(self, fd: int) -> None:
        reader = self._readers.pop(fd)
        self._selector.unregister(fd)
        reader.stream.close()
        self.watched = bool(self._readers)
