"""Learns how large a request a back end accepts, from its answers. Pure."""

from threading import Lock

_RECOVER_AFTER = 200  # accepted requests in a row before a little more is tried
_RECOVER_BY = 1.1
_LEAST = 16 * 1024


class LearnedLimit:
    """Bytes that a request may have: falls at every `too large`, recovers slowly.

    It falls to the largest accepted size, at most by half: so it stays close to a fixed limit.
    """

    def __init__(self, configured: int) -> None:
        self._configured = configured
        self._lock = Lock()
        self._accepted = 0
        self._largest = 0  # accepted request, until one of its size is refused
        self.bytes = configured

    def too_large(self, size: int) -> None:
        """Learn that *size* bytes of several records were too many."""
        with self._lock:
            self._accepted = 0
            if self._largest >= size:
                self._largest = 0  # the back end has lowered its limit
            lower = max(size // 2, self._largest, min(_LEAST, self._configured))
            self.bytes = min(self.bytes, lower)

    def accepted(self, size: int) -> None:
        with self._lock:
            self._largest = max(self._largest, size)
            if self.bytes >= self._configured:
                return
            self.bytes = min(self._configured, max(self.bytes, size))
            self._accepted += 1
            if self._accepted >= _RECOVER_AFTER:
                self._accepted = 0
                self.bytes = min(self._configured, int(self.bytes * _RECOVER_BY))

    def __repr__(self) -> str:
        return f"<LearnedLimit {self.bytes} of {self._configured}>"
