"""Writes a log that grows and rotates as kube-apiserver's lumberjack does it.

One write per event, newline included. On overflow the live file is closed and renamed to
`<stem>-<UTC time><ext>` and a new one is made; a background thread compresses backups at their
final name, unlinks the plain twin and deletes the oldest.

    python -m tests.kit.log.lumberjack --path audit.log --rate 500 --seconds 10
"""

import errno
import os
import re
import signal
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Self

import click

from tests.kit.log.events import EventSource

MIB = 1 << 20
GZIP_CHUNK_BYTES = 64 << 10  # small, so that a half-written .gz is there to be seen
FULL_DISK_PAUSE = 0.02  # seconds; a full disk must not spin
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way of asking for the gzip format


class LumberjackLog:
    """The live file and its backups, written by this object alone."""

    def __init__(
        self,
        path: Path,
        max_bytes: int = 100 * MIB,
        max_backups: int = 0,
        *,
        compress: bool = False,
        chunk_pause: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Continue a file that is there. `max_backups` 0 keeps all; `chunk_pause` slows gzip."""
        self.path = path
        self.rotations = 0
        self._max_bytes, self._max_backups = max_bytes, max_backups
        self._compress, self._chunk_pause = compress, chunk_pause
        self._now = now
        self._used: set[int] = set()  # times in names of backups, also of those since deleted
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        self._size = os.lseek(self._fd, 0, os.SEEK_END)
        self._mill: SimpleQueue[bool] = SimpleQueue()  # False ends the thread
        self._mill.put(True)  # what a writer before this one left half done
        self._thread = Thread(target=self._mill_backups, name="lumberjack", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<LumberjackLog {self.path} size={self._size} rotations={self.rotations}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, line: bytes) -> None:
        """Append one event, given without its newline, in a single system call.

        A full disk is an OSError and may leave part of the line, as it does for kube-apiserver.
        """
        data = line + b"\n"
        if self._size and self._size + len(data) > self._max_bytes:
            self.rotate()
        written = os.write(self._fd, data)
        self._size += written
        if written < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def rotate(self) -> Path:
        """Make the live file a backup, begin a new one, and say what the backup is called."""
        os.close(self._fd)
        backup = self._free_backup_name()
        self.path.rename(backup)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._size = 0
        self.rotations += 1
        self._mill.put(True)
        return backup

    def close(self) -> None:
        """Finish the background work, then close."""
        if self._fd >= 0:
            self._mill.put(False)
            self._thread.join()
            os.close(self._fd)
            self._fd = -1

    def backups(self) -> list[Path]:
        """List the backups on disk, oldest first; a plain file comes before its .gz twin."""
        return sorted(p for p in self.path.parent.iterdir() if self._backup_name.fullmatch(p.name))

    @property
    def _backup_name(self) -> re.Pattern[str]:
        stem, ext = re.escape(self.path.stem), re.escape(self.path.suffix)
        return re.compile(rf"{stem}-\d{{4}}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{{3}}{ext}(\.gz)?")

    def _free_backup_name(self) -> Path:
        milliseconds = int(self._now() * 1000)
        # lumberjack would overwrite a backup of the same millisecond; no test means to lose one so
        while milliseconds in self._used or _exists(backup_name(self.path, milliseconds)):
            milliseconds += 1
        self._used.add(milliseconds)
        return backup_name(self.path, milliseconds)

    def _mill_backups(self) -> None:
        while self._mill.get():
            generations = sorted({plain_name(path) for path in self.backups()})
            surplus = len(generations) - self._max_backups if self._max_backups else 0
            for plain in generations[: max(0, surplus)]:
                plain.unlink(missing_ok=True)
                plain.with_name(plain.name + ".gz").unlink(missing_ok=True)
            for plain in generations[max(0, surplus) :]:
                if self._compress and plain.exists():
                    with suppress(OSError):  # a full disk: it stays plain until the next rotation
                        compress_in_place(plain, chunk_pause=self._chunk_pause)


def backup_name(path: Path, milliseconds: int) -> Path:
    """Name a backup of `path` after a time: audit-2026-01-02T03-04-05.678.log."""
    stamp = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H-%M-%S")
    return path.with_name(f"{path.stem}-{stamp}.{milliseconds % 1000:03d}{path.suffix}")


def _exists(plain: Path) -> bool:
    return plain.exists() or plain.with_name(plain.name + ".gz").exists()


def plain_name(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".gz" else path


def compress_in_place(plain: Path, *, chunk_pause: float = 0.0) -> Path:
    """Write `<plain>.gz` at its final name bit by bit, then unlink the plain file.

    If that fails the .gz goes and the plain file stays.
    """
    packed = plain.with_name(plain.name + ".gz")
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    try:
        with plain.open("rb") as source, open(packed, "wb", 0, opener=_private) as target:
            while chunk := source.read(GZIP_CHUNK_BYTES):
                _write_all(target, packer.compress(chunk))
                if chunk_pause:
                    time.sleep(chunk_pause)
            _write_all(target, packer.flush())
    except OSError:
        packed.unlink(missing_ok=True)
        raise
    plain.unlink()
    return packed


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _write_all(target: FileIO, data: bytes) -> None:
    while data:
        data = data[target.write(data) :]


@click.command()
@click.option("--path", required=True, type=click.Path(path_type=Path))
@click.option(
    "--record", type=click.Path(path_type=Path), help="One auditID a line; <path>.written."
)
@click.option("--times", is_flag=True, help="Record after each auditID when it was written, in ns.")
@click.option("--rate", default=500.0, help="Events a second; 0 writes as fast as it can.")
@click.option("--seconds", default=10.0)
@click.option("--count", default=0, help="Stop after so many events; 0 is no bound.")
@click.option("--seed", default=1)
@click.option("--max-bytes", default=MIB)
@click.option("--max-backups", default=0, help="0 keeps all of them.")
@click.option("--compress/--no-compress", default=False)
@click.option("--chunk-pause", default=0.0, help="Seconds between two chunks of a backup's gzip.")
def main(
    *,
    path: Path,
    record: Path | None,
    times: bool,
    rate: float,
    seconds: float,
    count: int,
    seed: int,
    max_bytes: int,
    max_backups: int,
    compress: bool,
    chunk_pause: float,
) -> None:
    """Write a realistic audit log and record the auditID of each event beside it."""
    stop = Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    source = EventSource(seed)
    record = record or path.with_name(path.name + ".written")
    with (
        LumberjackLog(
            path, max_bytes, max_backups, compress=compress, chunk_pause=chunk_pause
        ) as log,
        record.open("ab", buffering=0) as written,
    ):
        started = time.monotonic()
        number = 0
        while not (stop.is_set() or (count and number >= count)):
            elapsed = time.monotonic() - started
            if elapsed > seconds:
                break
            if rate and number > elapsed * rate:
                stop.wait(number / rate - elapsed)
                continue
            audit_id, line = source.event()
            try:
                log.write(line)
            except OSError:  # kube-apiserver serves on and loses the event
                stop.wait(FULL_DISK_PAUSE)
                continue
            # only now: killed between the two, the log holds one event more than the record
            when = f" {time.time_ns()}" if times else ""
            written.write(f"{audit_id}{when}\n".encode())
            number += 1


if __name__ == "__main__":
    main()
