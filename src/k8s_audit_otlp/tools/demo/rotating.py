"""Writes a log as kube-apiserver does: it rotates at a size, and backups are compressed."""

import gzip
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Final

_GZIP_LEVEL: Final = 6


class RotatingLog:
    """The live file and its backups, written by this object alone."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.rotations = 0
        self._path = path
        self._max_bytes = max_bytes
        self._fd = self._create()
        self._size = 0
        self._rotated_ms = 0
        self._compressing: list[Thread] = []

    def write(self, line: bytes) -> None:
        """Append one event, given without its newline, in a single system call."""
        if self._size and self._size + len(line) >= self._max_bytes:
            self._rotate()
        self._size += os.write(self._fd, line + b"\n")

    def close(self) -> None:
        """Close the live file when all backups are compressed."""
        os.close(self._fd)
        for thread in self._compressing:
            thread.join()

    def _create(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _rotate(self) -> None:
        os.close(self._fd)
        self._rotated_ms = max(time.time_ns() // 10**6, self._rotated_ms + 1)  # a name of its own
        stamp = f"{datetime.fromtimestamp(self._rotated_ms / 1e3, UTC):%Y-%m-%dT%H-%M-%S.%f}"[:-3]
        backup = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        self._path.rename(backup)
        self._fd, self._size = self._create(), 0
        self.rotations += 1
        thread = Thread(target=_compress, args=(backup,), name="compress", daemon=True)
        self._compressing.append(thread)
        thread.start()


def _compress(plain: Path) -> None:
    """Write the compressed backup at its final name, then unlink the plain one."""
    packed = plain.with_name(plain.name + ".gz")
    with plain.open("rb") as source, gzip.open(packed, "wb", _GZIP_LEVEL) as target:
        shutil.copyfileobj(source, target)
    plain.unlink()
