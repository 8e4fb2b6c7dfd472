"""Connections with a deadline in, none that outlives it out.

A socket's own timeout starts anew with every byte, so a server that drips one byte a second holds
a request for ever. One thread shuts such sockets down; the request then fails like any other.
"""

import contextlib
import heapq
import itertools
import socket
import time
from collections.abc import Callable, Iterator
from threading import Condition, Thread


class Deadlines:
    """Calls `expire` for what is not finished in time. The thread starts with the first use."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._changed = Condition()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._live: set[int] = set()
        self._numbers = itertools.count()
        self._thread: Thread | None = None

    @contextlib.contextmanager
    def within(self, seconds: float, expire: Callable[[], None]) -> Iterator[None]:
        """Run the body; call *expire* from another thread if it takes longer than *seconds*."""
        due = self._monotonic() + seconds
        with self._changed:
            number = next(self._numbers)
            self._live.add(number)
            heapq.heappush(self._heap, (due, number, expire))
            if self._thread is None:
                self._thread = Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            if self._heap[0][1] == number:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._live.discard(number)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._heap:
                    self._changed.wait()
                due, number, expire = self._heap[0]
                wait = due - self._monotonic()
                if number in self._live and wait > 0:
                    self._changed.wait(wait)
                    continue
                heapq.heappop(self._heap)
                overdue = number in self._live
            if overdue:
                expire()


def shut_down(sock: socket.socket | None) -> None:
    """End both directions of *sock*, so that whoever waits for it wakes."""
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
