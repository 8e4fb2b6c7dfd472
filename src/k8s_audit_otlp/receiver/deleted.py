"""Keeps segments whose files were deleted before every exporter had read them, within bounds.

An open descriptor keeps a deleted file on disk. That saves what a back end has not had yet, and
costs the disk that kube-apiserver writes its log to: a full disk makes the apiserver itself lose
events. So what is held is bounded in bytes, and holding ends where little free space is left. What
is let go is copied to the rescue directory first, if there is one, and found again after a restart:

    rescue_dir/<identity>.log[.gz]    0600, whole files, removed once everyone has settled them
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from k8s_audit_otlp.receiver.log_file import LogFile, open_log_file
from k8s_audit_otlp.receiver.marks import verified
from k8s_audit_otlp.receiver.names import GZIP
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.segments import KnownSegments
from k8s_audit_otlp.state.files import replace_file
from k8s_audit_otlp.state.manifest import SegmentState

GIB = 1 << 30
_STEP = 1024 * 1024  # bytes copied at once

Handed = dict[int, LogFile]  # by the number of the segment

logger = logging.getLogger("k8s_audit_otlp")


def free_bytes(directory: Path) -> int:
    """Return what is left of the file system for a process that is not privileged."""
    info = os.statvfs(directory)
    return info.f_bavail * info.f_frsize


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """`max_bytes` of deleted files to keep; below `min_free_bytes` of free disk none are kept."""

    max_bytes: int = GIB
    min_free_bytes: int = GIB


class Rescue:
    """The rescue directory of one log, bounded in bytes."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    def _paths(self, state: SegmentState) -> list[Path]:
        return [self._directory / f"{state.identity}.log{packed}" for packed in ("", GZIP)]

    def copy(self, state: SegmentState, source: LogFile) -> LogFile | None:
        """Copy the file of a segment; None where there is no room or the disk refuses."""
        path = self._paths(state)[source.compressed]
        try:
            size = source.stat().st_size
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            used = sum(file.stat().st_size for file in self._directory.glob("*.log*"))
            if used + size > self._max_bytes:
                return None
            _copy(source, size, path)
            return open_log_file(path, compressed=source.compressed)
        except OSError as error:
            logger.warning("%s: cannot rescue a segment: %s", self._directory, error.strerror)
            return None

    def open(self, state: SegmentState) -> LogFile | None:
        for path in self._paths(state):
            with suppress(OSError):
                return open_log_file(path, compressed=path.suffix == GZIP)
        return None

    def remove(self, state: SegmentState) -> None:
        for path in self._paths(state):
            path.unlink(missing_ok=True)


def _copy(source: LogFile, size: int, path: Path) -> None:
    def write(file: BinaryIO) -> None:
        offset = 0
        while offset < size and (data := source.raw(offset, _STEP)):
            offset += file.write(data)

    replace_file(path, write)  # before this a crash leaves nothing that looks like a copy


class DeletedSegments:
    """Decides about the deleted files of one log. Used by the thread that scans.

    *handed*: what the agent before a reload had open; it gets what this one leaves to the next.
    """

    def __init__(
        self,
        limits: HoldLimits,
        rescue: Rescue | None = None,
        handed: Handed | None = None,
        *,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._limits = limits
        self._rescue = rescue
        self._handed = handed
        self._free = free
        self._taken_up = False
        self._checked: set[tuple[int, int, int, int]] = set()  # twins that do not serve

    def take_up(self, known: KnownSegments) -> None:
        """Read on, once, from what was handed over, or rescued before the last stop."""
        if self._taken_up:
            return
        self._taken_up = True
        for segment in known:
            if segment.source is None and (source := self._kept(segment)):
                with known.lock:
                    segment.hold(source, known.clock_ns())
        if self._handed:
            self._handed.clear()

    def _kept(self, segment: Segment) -> LogFile | None:
        source = self._handed.get(segment.seq) if self._handed else None
        if source and (source.device, source.inode) == segment.key:
            return source
        return self._rescue.open(segment.state) if self._rescue else None

    def review(self, known: KnownSegments, directory: Path) -> None:
        """Swap deleted files for their compressed twins, and let go of the oldest over the bound.

        Counted is what they take on disk, compressed or not.
        """
        held = [s for s in known if s.unlinked and not self._swap_for_twin(s, known)]
        total = sum(_on_disk(s) for s in held)
        for segment in held:
            if total <= self._limits.max_bytes and self._enough_free(directory):
                break
            total -= _on_disk(segment)
            if not self._rescued(segment, known):
                with known.lock:
                    segment.let_go()

    def _enough_free(self, directory: Path) -> bool:
        try:
            return self._free(directory) >= self._limits.min_free_bytes
        except OSError:
            return True  # the directory is away; that is no sign of a full disk

    def _swap_for_twin(self, segment: Segment, known: KnownSegments) -> bool:
        """Read on from the `.gz` once it is whole: then the plain file's blocks can be freed."""
        name, stamp = segment.name, segment.stamp
        if name is None or segment.path is None or not name.compressed or segment.compressed:
            return False
        if stamp is None or stamp in self._checked or known.may_grow(segment):
            return False
        try:
            twin = open_log_file(segment.path, compressed=True)
            whole = twin.length() == segment.state.size
            serves = whole and verified(twin, known.marks_of(segment))[1]
        except OSError:
            return False
        if not serves:
            self._checked.add(stamp)  # looked at again when it has changed
            return False
        with known.lock:
            segment.hold(twin, known.clock_ns())
            segment.state.complete = True
        return True

    def _rescued(self, segment: Segment, known: KnownSegments) -> bool:
        if self._rescue is None or segment.source is None:
            return False
        copy = self._rescue.copy(segment.state, segment.source)
        if copy is None:
            return False
        with known.lock:
            segment.hold(copy, known.clock_ns())
        return True

    def hand_over(self, known: KnownSegments) -> None:
        """Copy what only our descriptors hold, and leave all that is needed to the next agent.

        It may be deleted before that one has listed the log. Where the process ends it is gone.
        """
        for segment in filter(known.needed, known):
            if segment.unlinked:
                self._rescued(segment, known)
            if segment.source is not None and self._handed is not None:
                self._handed[segment.seq] = segment.source

    def forget(self, segment: Segment) -> None:
        """Remove the rescued copy of a segment that everyone has settled."""
        if self._rescue is not None:
            self._rescue.remove(segment.state)


def _on_disk(segment: Segment) -> int:
    return segment.source.stat().st_size if segment.source is not None else 0
