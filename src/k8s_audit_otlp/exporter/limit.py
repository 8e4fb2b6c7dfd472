"""What a back end's refusals teach about its limit. Sizes in, the limit of today out. Pure."""

from threading import Lock

_RECOVER_AFTER = 200  # accepted requests in a row before a little more is tried
_RECOVER_BY = 1.1
_LEAST = 16 * 1024


class LearnedLimit:
    """Bytes that a request may have: halves at every `too large`, recovers slowly."""

    def __init__(self, configured: int) -> None:
        self._configured = configured
        self._lock = Lock()
        self._accepted = 0
        self.bytes = configured

    def too_large(self, size: int) -> None:
        """Learn that *size* bytes were too many."""
        with self._lock:
            self._accepted = 0
            self.bytes = max(min(_LEAST, self._configured), min(self.bytes, size // 2))

    def accepted(self) -> None:
        with self._lock:
            if self.bytes >= self._configured:
                return
            self._accepted += 1
            if self._accepted >= _RECOVER_AFTER:
                self._accepted = 0
                self.bytes = min(self._configured, int(self.bytes * _RECOVER_BY))
