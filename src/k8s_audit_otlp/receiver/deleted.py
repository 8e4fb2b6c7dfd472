"""Segments whose files were deleted before everyone had read them in, which of them to let go out.

An open descriptor keeps a deleted file on disk. That saves what a back end has not had yet, and
costs the disk that kube-apiserver writes its log to: a full disk makes the apiserver itself lose
events. So what is held is bounded in bytes, and holding ends where little free space is left. What
is let go is copied to the rescue directory first, if there is one.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.rescue import Rescue
from k8s_audit_otlp.receiver.segment import Segment, open_source
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource

GIB = 1 << 30
_STEP = 1024 * 1024


def free_bytes(directory: Path) -> int:
    """Return what is left of the file system for a process that is not privileged."""
    info = os.statvfs(directory)
    return info.f_bavail * info.f_frsize


@dataclass(frozen=True, slots=True)
class HoldLimits:
    """`max_bytes` of deleted files to keep; below `min_free_bytes` of free disk none are kept."""

    max_bytes: int = GIB
    min_free_bytes: int = GIB


class DeletedSegments:
    """Decides about the deleted files of one log."""

    def __init__(
        self,
        limits: HoldLimits,
        rescue: Rescue | None = None,
        *,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._limits = limits
        self._rescue = rescue
        self._free = free
        self._checked: set[tuple[int, int, int, int]] = set()  # twins that do not serve

    def take_up(self, segments: Iterable[Segment], now_ns: int) -> None:
        """Open what was rescued before the last stop."""
        if self._rescue is not None:
            for segment in segments:
                if segment.source is None and (source := self._rescue.open(segment.state)):
                    segment.hold(source, now_ns)

    def review(self, segments: Iterable[Segment], directory: Path, now_ns: int) -> list[Segment]:
        """Swap deleted files for their compressed twins, and let go of the oldest over the bound.

        Returns the segments that no file holds any more.
        """
        held = [s for s in segments if isinstance(s.source, PlainSource) and s.unlinked]
        held = [s for s in held if not self._swap_for_twin(s, directory, now_ns)]
        let_go = []
        total = sum(s.state.size for s in held)
        for segment in held:
            if total <= self._limits.max_bytes and self._enough_free(directory):
                break
            total -= segment.state.size
            if not self._rescued(segment, now_ns):
                segment.release()
                segment.state.let_go = True
                let_go.append(segment)
        return let_go

    def _enough_free(self, directory: Path) -> bool:
        try:
            return self._free(directory) >= self._limits.min_free_bytes
        except OSError:
            return True  # the directory is away; that is no sign of a full disk

    def _swap_for_twin(self, segment: Segment, directory: Path, now_ns: int) -> bool:
        """Read on from the `.gz` once it is whole: then the plain file's blocks can be freed."""
        name, stamp = segment.name, segment.stamp
        if name is None or not name.compressed or stamp is None or stamp in self._checked:
            return False
        try:
            twin = open_source(directory / name.name, compressed=True)
        except OSError:
            return False
        if isinstance(twin, GzipSource) and _whole_size(twin) == segment.state.size:
            segment.hold(twin, now_ns)
            segment.state.complete = True
            return True
        twin.close()
        self._checked.add(stamp)  # looked at again when it has changed
        return False

    def _rescued(self, segment: Segment, now_ns: int) -> bool:
        if self._rescue is None or not isinstance(segment.source, PlainSource):
            return False
        copy = self._rescue.copy(segment.state, segment.source)
        if copy is None:
            return False
        segment.hold(copy, now_ns)
        return True

    def rescue_all(self, segments: Iterable[Segment], now_ns: int) -> None:
        """Copy what only our descriptors hold: the process is about to end."""
        for segment in segments:
            if segment.source is not None and segment.unlinked:
                self._rescued(segment, now_ns)

    def forget(self, segment: Segment) -> None:
        """Remove the rescued copy of a segment that everyone has settled."""
        if self._rescue is not None:
            self._rescue.remove(segment.state)


def _whole_size(source: GzipSource) -> int | None:
    """Decompress to the end; return the size if the trailer is there and everything checks out."""
    offset = 0
    try:
        while data := source.read_at(offset, _STEP):
            offset += len(data)
    except (CorruptGzipError, OSError):
        return None
    return source.end
