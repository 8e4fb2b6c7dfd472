"""A writer of an audit log: when `append` returns, the lines are on disk.

The file receiver reads the directory; nothing behind the spool knows where the lines came from.

What a crash leaves: whole lines that nobody acknowledged (they are delivered again, and known then)
and perhaps one torn line, which is cut at the next start.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition, Lock
from typing import NamedTuple

from k8s_audit_otlp.receiver.deleted import free_bytes
from k8s_audit_otlp.receiver.spool.known_lines import LINES, KnownLines, line_digest
from k8s_audit_otlp.receiver.spool.segment_files import (
    LIVE,
    SegmentFiles,
    SpoolFullError,
    SpoolLimits,
)
from k8s_audit_otlp.state.files import Fsync

logger = logging.getLogger("k8s_audit_otlp")

_WRITTEN_AT_ONCE = 1 << 20  # bytes
_WINDOW = "recent"  # the file beside the log that holds the digests of its last lines


class Appended(NamedTuple):
    """How many lines were written, and how many were known already."""

    written: int
    repeated: int


def _pieces(
    lines: Sequence[bytes], new: Mapping[bytes, int]
) -> Iterator[tuple[list[bytes], bytes]]:
    """Join lines for the disk, with their digests: a long request is not there once more."""
    digests: list[bytes] = []
    piece: list[bytes] = []
    size = 0
    for digest, number in new.items():
        line = lines[number]
        digests.append(digest)
        piece.append(line)
        size += len(line)
        if size >= _WRITTEN_AT_ONCE:
            yield digests, piece[0] if len(piece) == 1 else b"".join(piece)
            digests, piece, size = [], [], 0
    if piece:
        yield digests, b"".join(piece)


class Spool:
    """One log that we write. Any number of threads append; one of them syncs for all.

    `_lock` guards the files, the window and the counts; it is not held while an append is synced.
    `_sync_lock` is held by whoever syncs, and is taken before `_lock`. No segment is begun while an
    append is synced: of two syncs of one file, the kernel tells one alone that the disk has failed.
    """

    def __init__(
        self,
        directory: Path,
        limits: SpoolLimits | None = None,
        *,
        window_lines: int = LINES,
        fsync: Fsync = os.fsync,
        free_disk: Callable[[Path], int] = free_bytes,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = directory / LIVE
        self.trouble = ""  # why lines are refused, '' while they are taken
        self.written = self.repeated = self.refused = 0  # lines, since the start
        self._fsync = fsync
        limits = limits or SpoolLimits()
        self._max_bytes = limits.max_bytes
        self._files = SegmentFiles(directory, limits, fsync=fsync, free_disk=free_disk, now=now)
        self._window = KnownLines(directory / _WINDOW, lines=window_lines)
        self._lock, self._sync_lock = Condition(Lock()), Lock()
        self._syncing = False
        self._open = False
        self._appended = self._synced = 0  # lines
        self._failures = 0  # of syncs: an append that saw another number has failed with it
        self._suspect = False  # what the live file holds, or its name, may not be on disk

    def open(self) -> None:
        """Take up what is there: cut a torn line, know the lines again, make all of it durable.

        Raise OSError where the directory cannot be written.
        """
        digests = list(map(line_digest, self._files.open()))  # makes the directory
        self._window.open()
        self._window.add(digest for digest in digests if digest not in self._window)
        self._window.save(self._window.unsaved)
        self._open = True

    def close(self) -> None:
        """Close the file; whoever still appends is refused."""
        with self._sync_lock, self._lock:
            self._open = False
            self._files.close()
            self._window.close()

    @property
    def used_bytes(self) -> int:
        """Bytes of the log on disk."""
        return self._files.backup_bytes + self._files.live_bytes

    @property
    def is_short_of_room(self) -> bool:
        """More than half of what it may hold is taken."""
        return 2 * self.used_bytes > self._max_bytes

    def delete(self, name: str) -> None:
        """Delete a rotated segment that every exporter has passed."""
        with self._lock:
            try:
                self._files.delete(name)
            except OSError as error:
                logger.warning("%s cannot be deleted: %s", name, error.strerror)

    # -- append --------------------------------------------------------------------------------

    def append(self, lines: Sequence[bytes]) -> Appended:
        """Write *lines*, each with its newline, and return when they are on disk.

        Raise SpoolFullError: nothing of it is acknowledged then; deliver all of it again.
        """
        # Lines may be made as they are asked for: not all are there at once, and none afterwards.
        looked_at = [(line_digest(line), len(line)) for line in lines]
        digests, sizes = [digest for digest, _ in looked_at], [size for _, size in looked_at]
        try:
            with self._lock:
                self._lock.wait_for(lambda: not (self._syncing and self._rotates(sum(sizes))))
                if self._files.removed:
                    self._begin_anew()
                new = {digest: n for n, digest in enumerate(digests) if digest not in self._window}
                self._write(lines, new, sum(sizes[n] for n in new.values()))
                target, failures = self._appended, self._failures
            self._sync_up_to(target, failures)
        except (OSError, SpoolFullError) as error:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
            with self._lock:
                self.refused += len(lines)
                self.trouble = why
            raise SpoolFullError(why) from None
        with self._lock:
            self.trouble = ""
            self.written += len(new)
            self.repeated += len(lines) - len(new)
        return Appended(len(new), len(lines) - len(new))

    def _write(self, lines: Sequence[bytes], new: Mapping[bytes, int], size: int) -> None:
        """Append the *new* ones, *size* bytes, as whole lines. The lock is held."""
        if not self._open:
            raise SpoolFullError("it is stopping")
        if not new:
            return
        self._files.check_room(size)
        if self._rotates(size):
            self._rotate()
        for digests, data in _pieces(lines, new):
            kept = self._files.write(data)
            count = len(digests) if kept == len(data) else data.count(b"\n", 0, kept)
            self._window.add(digests[:count])
            self._appended += count
            if kept != len(data):
                took = f"the disk took {kept} of {len(data)} bytes"
                raise SpoolFullError(f"{self._files.write_error}: {took}")

    def _rotates(self, size: int) -> bool:
        return self._suspect or self._files.removed or self._files.wants_rotation(size)

    def _begin_anew(self) -> None:
        """Go on in place of a log that somebody has removed. The lock is held.

        What waits for its sync lies in the removed file, and is refused.
        """
        logger.warning("%s was removed; it is begun anew", self.path)
        self._distrust()
        self._window.forget()
        self._rotate()

    def _rotate(self) -> None:
        """Begin another segment; what is in this one is on disk before. The lock is held."""
        if not self._suspect:
            try:
                self._files.sync()
            except OSError:
                self._distrust()
                raise
            self._note_synced(self._appended, self._window.unsaved)
        self._suspect = True  # until the new file's name is on disk
        self._files.rotate()
        self._suspect = False

    # -- sync ----------------------------------------------------------------------------------

    def _sync_up_to(self, target: int, failures: int) -> None:
        """Return when the first *target* lines are on disk; who waits is often synced by another.

        Raise OSError where the disk failed; what was written since the last sync must come again;
        SpoolFullError where it failed while this append waited.
        """
        with self._sync_lock:
            with self._lock:
                if self._failures != failures or not self._open:
                    raise SpoolFullError("the disk did not keep what was written")
                if self._synced >= target:
                    return
                written, count = self._appended, self._window.unsaved
                fd = self._files.sync_handle()
                self._syncing = True
            failed = True
            try:
                self._fsync(fd)
                failed = self._files.removed
            finally:
                os.close(fd)
                with self._lock:
                    self._syncing = False
                    if failed:
                        self._distrust()
                    else:
                        self._note_synced(written, count)
                    self._lock.notify_all()
            if failed:
                raise SpoolFullError(f"{self.path} was removed")

    def _note_synced(self, written: int, count: int) -> None:
        self._synced = written
        try:
            self._window.save(count)
        except OSError as error:
            logger.warning("%s: %s; repeats may be taken twice", self.path.parent, error.strerror)

    def _distrust(self) -> None:
        """Forget what may not be on disk, and go on in another segment: this one is not known."""
        self._suspect = True
        self._failures += 1
        self._synced = self._appended
        self._window.drop_unsaved()
