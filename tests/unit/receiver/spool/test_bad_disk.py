"""A disk that is slow and fails now and then: what was acknowledged outlives a power cut."""

import errno
import os
import random
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest

from k8s_audit_otlp.receiver.spool.segment_files import SpoolFullError, SpoolLimits
from tests.kit.log.spools import files_of, held, line, opened

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


@pytest.mark.parametrize("gone", ["the directory", "the log", "moved away", "a file in its place"])
def test_a_log_that_is_removed_is_begun_anew(tmp_path: Path, gone: str) -> None:
    """What is acknowledged from then on is in its place; what was in it may come again."""
    directory = tmp_path / "spool"
    spool = opened(directory, SMALL_SEGMENTS)
    for number in range(30):
        spool.append([line(number)])
    match gone:
        case "the directory":
            shutil.rmtree(directory)
        case "the log":
            spool.path.unlink()
        case "moved away":
            directory.rename(tmp_path / "elsewhere")
        case _:
            spool.path.unlink()
            spool.path.write_bytes(b"torn")
    assert spool.append([line(29), line(30)]) == (2, 0)
    assert held(directory)[-2:] == [line(29), line(30)]
    assert spool.used_bytes == sum(path.stat().st_size for path in files_of(directory))
    spool.close()
    assert opened(directory).append([line(30)]) == (0, 1)


def test_who_is_synced_while_the_log_is_removed_is_refused(tmp_path: Path) -> None:
    """Its lines are in a file that nobody finds again."""
    directory = tmp_path / "spool"
    remove = [False]

    def fsync(fd: int) -> None:
        os.fsync(fd)
        if remove.pop():
            shutil.rmtree(directory)
        remove.append(False)

    spool = opened(directory, fsync=fsync)
    spool.append([line(1)])
    remove[:] = [True]
    with pytest.raises(SpoolFullError, match="was removed"):
        spool.append([line(2)])
    assert spool.append([line(2), line(3)]) == (2, 0)
    assert held(directory) == [line(2), line(3)]


def test_where_the_directory_cannot_be_made_again_nothing_is_taken(tmp_path: Path) -> None:
    """Once it can, lines are taken without a restart."""
    directory = tmp_path / "parent" / "spool"
    spool = opened(directory)
    shutil.rmtree(directory.parent)
    directory.parent.touch()
    with pytest.raises(SpoolFullError, match="Not a directory"):
        spool.append([line(1)])
    directory.parent.unlink()
    assert spool.append([line(1)]) == (1, 0)
    assert held(directory) == [line(1)]
