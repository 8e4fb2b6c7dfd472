"""Deleted segments in, bounded copies of them on disk out; and back after a restart.

rescue_dir/<identity>.log     0600, whole segments, removed once everyone has settled them
"""

import logging
import os
from pathlib import Path
from typing import BinaryIO

from k8s_audit_otlp.receiver.source import PlainSource
from k8s_audit_otlp.state.files import replace_file
from k8s_audit_otlp.state.manifest import SegmentState

logger = logging.getLogger("k8s_audit_otlp")

_STEP = 1024 * 1024


class Rescue:
    """The rescue directory of one log, bounded in bytes."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes

    def _path(self, state: SegmentState) -> Path:
        return self._directory / f"{state.identity}.log"

    def copy(self, state: SegmentState, source: PlainSource) -> PlainSource | None:
        """Copy a segment; None where there is no room or the disk refuses."""
        size = source.stat().st_size
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._used() + size > self._max_bytes:
                return None
            return self._copy(self._path(state), source, size)
        except OSError as error:
            logger.warning("%s: cannot rescue a segment: %s", self._directory, error.strerror)
            return None

    def _copy(self, path: Path, source: PlainSource, size: int) -> PlainSource:
        def write(file: BinaryIO) -> None:
            offset = 0
            while offset < size and (data := source.read_at(offset, _STEP)):
                offset += file.write(data)

        replace_file(path, write)  # before this a crash leaves nothing that looks like a copy
        return PlainSource(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def _used(self) -> int:
        return sum(f.stat().st_size for f in self._directory.glob("*.log"))

    def open(self, state: SegmentState) -> PlainSource | None:
        """Open the copy of a segment, if there is one."""
        try:
            return PlainSource(os.open(self._path(state), os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return None

    def remove(self, state: SegmentState) -> None:
        self._path(state).unlink(missing_ok=True)
