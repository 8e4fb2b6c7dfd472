"""Hashes the raw bytes of segments while they are read: what `sha256sum` says of the plain file.

A segment is read by several exporters, at several places; whoever reads farthest moves the hash on.
After a restart the bytes before that place are read once more.
"""

from collections.abc import Collection
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING

from k8s_audit_otlp.model import Block
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.segment import Segment

if TYPE_CHECKING:
    from hashlib import _Hash

_STEP = 1024 * 1024
_MOST_AGAIN = 1 << 30  # bytes that are read once more for a hash


class RawHashes:
    """The hashes of one log's segments. `_lock` guards them; it is held while bytes are hashed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._of: dict[int, tuple[_Hash, int]] = {}  # by segment: and how far it has come

    def take(self, segment: Segment, block: Block) -> None:
        """Take in a block that was read, unless its bytes are in already."""
        _, start, end = block.span
        with self._lock:
            done, upto = self._begun(segment)
            if end <= upto or start > upto + _MOST_AGAIN:
                return
            source = segment.source
            if start > upto and source is not None:
                done, upto = self._read(done, source, upto, start)
            if upto == start and len(block.data) == end - start:
                done.update(block.data)
                upto = end
            self._of[segment.seq] = done, upto

    def of(self, segment: Segment) -> str:
        """Return the hash of a whole segment as hex; '' where some of it is out of reach."""
        size = segment.state.size
        with self._lock:
            done, upto = self._begun(segment)
            if upto < size <= upto + _MOST_AGAIN and (source := segment.file()):
                done, upto = self._read(done, source, upto, size)
                self._of[segment.seq] = done, upto
        return done.hexdigest() if upto == size else ""

    def keep(self, known: Collection[int]) -> None:
        """Forget the segments that are not *known* any more, by their numbers."""
        with self._lock:
            self._of = {seq: of for seq, of in self._of.items() if seq in known}

    def _begun(self, segment: Segment) -> "tuple[_Hash, int]":
        return self._of.get(segment.seq) or (sha256(), segment.state.begin)

    def _read(self, done: "_Hash", source: LogFile, start: int, end: int) -> "tuple[_Hash, int]":
        """Hash what lies between two places; less where it cannot be read."""
        try:
            while start < end and (data := source.read_at(start, min(_STEP, end - start))):
                done.update(data)
                start += len(data)
        except (OSError, CorruptGzipError):
            pass
        return done, start
