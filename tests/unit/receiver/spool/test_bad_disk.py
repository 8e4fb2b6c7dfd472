"""A disk that is slow and fails now and then: what was acknowledged outlives a power cut."""

import errno
import os
import random
import stat
import threading
import time
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError, SpoolLimits
from tests.kit.spools import files_of, line, opened

SMALL_SEGMENTS = SpoolLimits(1 << 30, 2_000, 0)
THREADS, REQUESTS, LINES = 6, 25, 4


class Disk:
    """Keeps of each file what a sync has reached; a failed one loses all behind the last good one.

    As Linux does: what it could not write counts as clean, and a later sync says nothing of it.
    """

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._lock = threading.Lock()
        self._durable: dict[int, int] = {}  # bytes, by inode
        self._failed: set[int] = set()
        self.well = True
        self.failures: list[int] = []

    def fsync(self, fd: int) -> None:
        found = os.fstat(fd)
        with self._lock:
            roll = 1.0 if self.well else self._rng.random()
        if roll < 0.2:
            code = (errno.EIO, errno.ENOSPC, errno.EROFS)[int(roll * 15)]
            with self._lock:
                self._failed.add(found.st_ino)
                self.failures.append(code)
            raise OSError(code, os.strerror(code))
        if roll < 0.4:
            time.sleep(0.003)  # others come meanwhile
        if stat.S_ISREG(found.st_mode):
            with self._lock:
                if found.st_ino not in self._failed:
                    known = self._durable.get(found.st_ino, 0)
                    self._durable[found.st_ino] = max(known, found.st_size)

    def durable_lines(self, directory: Path) -> set[bytes]:
        kept: set[bytes] = set()
        for path in files_of(directory):
            size = self._durable.get(path.stat().st_ino, 0)
            kept.update(path.read_bytes()[:size].splitlines(keepends=True))
        return kept


@pytest.mark.parametrize("seed", range(4))
def test_what_was_acknowledged_outlives_a_power_cut(tmp_path: Path, seed: int) -> None:
    """Whoever is refused comes again, until the disk takes it; nothing else is promised."""
    disk = Disk(seed)
    spool = opened(tmp_path, SMALL_SEGMENTS, fsync=disk.fsync)
    disk.well = False
    acknowledged: set[bytes] = set()

    def post(worker: int) -> None:
        for request in range(REQUESTS):
            first = (worker * REQUESTS + request) * LINES
            lines = [line(first + n) for n in range(LINES)]
            for _ in range(20):
                try:
                    spool.append(lines)
                except SpoolFullError:
                    continue
                acknowledged.update(lines)
                break

    threads = [threading.Thread(target=post, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(disk.failures) == {errno.EIO, errno.ENOSPC, errno.EROFS}
    assert len(acknowledged) > THREADS * REQUESTS * LINES // 2
    assert acknowledged <= disk.durable_lines(tmp_path)
    disk.well = True
    last = line(10**6)
    spool.append([last])
    assert last in disk.durable_lines(tmp_path)
    assert not spool.trouble
