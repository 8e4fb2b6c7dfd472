"""The last lines of a spool, as digests: what is delivered to it again is known and dropped.

Only an exact copy of a line is a repeat. A client chooses the audit id of its request, so two
events with one id may be two requests; no two events of an apiserver are equal in every byte. What
stands for a text that nobody could read may be equal to another one, so it is never a repeat.

The file is a list of digests, oldest first. A digest is written only after its line is on disk:
what the file knows can never be missing from the log. What it misses is delivered twice at most.
"""

import os
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from k8s_audit_otlp.event.decode import UNREAD
from k8s_audit_otlp.state.files import open_private, replace_file

DIGEST_BYTES = 16
LINES = 65_536  # six times the 10,000 events that an apiserver buffers; 8 MiB in memory


def line_digest(line: bytes) -> bytes:
    """Return what *line* is known by; one that stands for an unreadable text is always new."""
    if UNREAD.match(line):
        return os.urandom(DIGEST_BYTES)
    return blake2b(line, digest_size=DIGEST_BYTES).digest()


class KnownLines:
    """The newest *lines* digests. Not thread-safe: the spool's lock guards it."""

    def __init__(self, path: Path, *, lines: int = LINES) -> None:
        self._path = path
        self._lines = lines
        self._known: dict[bytes, None] = {}
        self._unsaved: list[bytes] = []
        self._fd = -1
        self._on_disk = 0

    def open(self) -> None:
        """Read what an earlier process knew.

        Raise OSError where the file cannot be read or written.
        """
        self._fd = open_private(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        whole = os.fstat(self._fd).st_size // DIGEST_BYTES
        os.ftruncate(self._fd, whole * DIGEST_BYTES)  # a torn digest would shift all that follow
        start = max(0, whole - self._lines)
        data = os.pread(self._fd, (whole - start) * DIGEST_BYTES, start * DIGEST_BYTES)
        for at in range(0, len(data), DIGEST_BYTES):
            self._known[data[at : at + DIGEST_BYTES]] = None
        self._on_disk = whole

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def add(self, digests: Iterable[bytes]) -> None:
        """Know lines that are written and not yet on disk."""
        for digest in digests:
            self._known[digest] = None
            self._unsaved.append(digest)

    def drop_unsaved(self) -> None:
        """Forget what is written and perhaps not on disk: it must be taken again."""
        for digest in self._unsaved:
            self._known.pop(digest, None)
        self._unsaved.clear()

    @property
    def unsaved(self) -> int:
        return len(self._unsaved)

    def save(self, count: int) -> None:
        """Write the *count* oldest of what is new: their lines are on disk now.

        Raise OSError where the file cannot be written; lines would at most be taken twice.
        """
        digests, self._unsaved = self._unsaved[:count], self._unsaved[count:]
        surplus = len(self._known) - self._lines - len(self._unsaved)
        for old in list(islice(self._known, max(0, surplus))):
            del self._known[old]
        if self._on_disk + len(digests) > 2 * self._lines:
            self._rewrite()
        else:
            os.write(self._fd, b"".join(digests))
            self._on_disk += len(digests)

    def _rewrite(self) -> None:
        saved = list(islice(self._known, len(self._known) - len(self._unsaved)))
        replace_file(self._path, lambda file: file.write(b"".join(saved)), durable=False)
        self.close()
        self._fd = open_private(self._path, os.O_RDWR | os.O_APPEND)
        self._on_disk = len(saved)

    def forget(self) -> None:
        """Know nothing: the log is gone, and whoever brings its lines again must be heard."""
        self._known.clear()
        self._unsaved.clear()
        self._on_disk = 2 * self._lines  # the next save makes the file anew, which may be gone too

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
