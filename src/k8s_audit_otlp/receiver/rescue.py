"""Bounded copies of deleted segments on disk, found again after a restart.

rescue_dir/<identity>.log[.gz]    0600, whole files, removed once everyone has settled them
"""

import logging
from pathlib import Path
from typing import BinaryIO

from k8s_audit_otlp.receiver.names import GZIP
from k8s_audit_otlp.receiver.source import GzipSource, Source, open_source
from k8s_audit_otlp.state.files import replace_file
from k8s_audit_otlp.state.manifest import SegmentState

logger = logging.getLogger("k8s_audit_otlp")

_STEP = 1024 * 1024


class Rescue:
    """The rescue directory of one log, bounded in bytes."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    def _path(self, state: SegmentState, *, compressed: bool) -> Path:
        return self._directory / f"{state.identity}.log{GZIP if compressed else ''}"

    def copy(self, state: SegmentState, source: Source) -> Source | None:
        """Copy the file of a segment; None where there is no room or the disk refuses."""
        compressed = isinstance(source, GzipSource)
        path = self._path(state, compressed=compressed)
        try:
            size = source.stat().st_size
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._used() + size > self._max_bytes:
                return None
            _copy(source, size, path)
            return open_source(path, compressed=compressed)
        except OSError as error:
            logger.warning("%s: cannot rescue a segment: %s", self._directory, error.strerror)
            return None

    def _used(self) -> int:
        return sum(f.stat().st_size for f in self._directory.glob("*.log*"))

    def open(self, state: SegmentState) -> Source | None:
        """Open the copy of a segment, if there is one."""
        for compressed in (False, True):
            try:
                return open_source(self._path(state, compressed=compressed), compressed=compressed)
            except OSError:
                continue
        return None

    def remove(self, state: SegmentState) -> None:
        for compressed in (False, True):
            self._path(state, compressed=compressed).unlink(missing_ok=True)


def _copy(source: Source, size: int, path: Path) -> None:
    def write(file: BinaryIO) -> None:
        offset = 0
        while offset < size and (data := source.raw(offset, _STEP)):
            offset += file.write(data)

    replace_file(path, write)  # before this a crash leaves nothing that looks like a copy
