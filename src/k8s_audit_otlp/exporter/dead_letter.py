"""Keeps the records that a back end will never take, one JSON line each on disk.

    state_dir/dead-letter/<exporter>.jsonl     0600, the exporter's id with `/` and the like escaped

A line is written and fsynced before its record counts as settled. The file is bounded. Whoever
changes it holds a lock for that moment, so that entries can be replayed beside a running agent.
"""

import base64
import contextlib
import fcntl
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Literal
from urllib.parse import quote, unquote

import msgspec

from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.state.files import (
    Fsync,
    make_private_directory,
    open_private,
    replace_file,
    sync_directory,
)

SUFFIX = ".jsonl"
DEFAULT_MAX_BYTES = 1 << 30


class DeadLetterRecord(msgspec.Struct, omit_defaults=True):
    """One line of the file.

    `record` is a LogRecord as a whole protobuf field of ScopeLogs, in base64. A refusal of some
    records among `uids`, when the back end did not say which, has none.
    """

    time: str
    kind: Literal["record", "refused"]
    exporter: str
    receiver: str
    why: str
    uid: str = ""
    record: str = ""
    refused: int = 0
    uids: list[str] = []

    @property
    def record_bytes(self) -> bytes:
        return base64.b64decode(self.record)


def file_name(exporter: str) -> str:
    """Return the name of an exporter's file; ids may hold characters that a path may not."""
    return quote(exporter, safe="") + SUFFIX


def exporter_of(path: Path) -> str:
    """Return the exporter whose entries are in *path*."""
    return unquote(path.name.removesuffix(SUFFIX))


@dataclass(eq=False, repr=False)
class DeadLetterFile:
    directory: Path
    exporter: str
    _: KW_ONLY
    uid_of: Callable[[bytes], str]
    max_bytes: int = DEFAULT_MAX_BYTES
    on_full: Literal["stall", "evict"] = "stall"
    on_evicted: Callable[[int], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    fsync: Fsync = os.fsync

    def __post_init__(self) -> None:
        self.path = self.directory / file_name(self.exporter)
        self._lock = Lock()
        self.error = ""

    def dead_letter(self, in_flight: InFlight, records: Sequence[bytes], why: str) -> bool:
        """Write records; False when there is no room or the disk refuses."""
        return self._append(
            [self._entry("record", in_flight, why, **self._whole(one)) for one in records]
        )

    def note_refused(
        self, in_flight: InFlight, records: Sequence[bytes], count: int, why: str
    ) -> bool:
        """Write where *count* refused records are among *records*; all of them: write them too."""
        said: list[dict[str, Any]] = [{"refused": count, "uids": [*map(self.uid_of, records)]}]
        if count >= len(records):
            said = [{"refused": 1, **self._whole(one)} for one in records]
        return self._append([self._entry("refused", in_flight, why, **one) for one in said])

    def _entry(
        self, kind: Literal["record", "refused"], in_flight: InFlight, why: str, **more: Any
    ) -> DeadLetterRecord:
        when, receiver = self.now().isoformat(timespec="milliseconds"), in_flight.batch.receiver
        return DeadLetterRecord(when, kind, self.exporter, receiver, why, **more)

    def _whole(self, record: bytes) -> dict[str, str]:
        return {"uid": self.uid_of(record), "record": base64.b64encode(record).decode()}

    def _append(self, entries: Sequence[DeadLetterRecord]) -> bool:
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in entries)
        with self._lock:
            try:
                return self._write(lines)
            except OSError as error:
                self.error = f"{self.path}: {error.strerror}"
                return False

    def _write(self, lines: bytes) -> bool:
        make_private_directory(self.path.parent)
        evicted = 0
        with locked(self.path):
            size = self.path.stat().st_size if self.path.exists() else 0
            if size + len(lines) > self.max_bytes:
                if self.on_full == "stall" or len(lines) > self.max_bytes:
                    self.error = f"{self.path}: full at {self.max_bytes} bytes"
                    return False
                evicted = _evict(self.path, self.max_bytes // 2 - len(lines), self.fsync)
            _append_durably(self.path, lines, self.fsync)
        self.error = ""
        if evicted:
            self.on_evicted(evicted)
        return True


def _append_durably(path: Path, lines: bytes, fsync: Fsync) -> None:
    """Append all of *lines* or nothing."""
    is_new = not path.exists()
    fd = open_private(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        end = os.fstat(fd).st_size
        if end and os.pread(fd, 1, end - 1) != b"\n":
            lines = b"\n" + lines  # a crash in the middle of a line must not swallow the next
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(fd, rest) :]
            fsync(fd)  # only then may the record settle
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, end)
            raise
    finally:
        os.close(fd)
    if is_new:
        sync_directory(path.parent, fsync=fsync)


def _evict(path: Path, room: int, fsync: Fsync) -> int:
    """Remove the oldest entries until the others fit in *room* bytes; return how many went."""
    with path.open("rb") as file:
        sizes = [len(line) for line in file]
    kept = 0
    while kept < len(sizes) and sizes[-1 - kept] <= room:
        room -= sizes[-1 - kept]
        kept += 1
    oldest = len(sizes) - kept
    numbers = iter(range(len(sizes)))
    _rewrite(path, lambda _: next(numbers) >= oldest, fsync)
    return oldest


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Lock the entries in *path* against other processes, agent or command."""
    fd = open_private(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def read_lines(path: Path) -> Iterator[tuple[bytes, DeadLetterRecord | None]]:
    """Yield the lines of a file with what they say; a line cut by a crash says nothing."""
    decoder = msgspec.json.Decoder(DeadLetterRecord)
    with path.open("rb") as file:
        for line in file:
            try:
                yield line, decoder.decode(line)
            except msgspec.MsgspecError:
                yield line, None


def read_entries(path: Path) -> Iterator[DeadLetterRecord]:
    return (entry for _, entry in read_lines(path) if entry is not None)


def digest(line: bytes) -> bytes:
    """Return the hash by which a line is found when entries are removed."""
    return hashlib.blake2b(line.rstrip(b"\n"), digest_size=16).digest()


def remove_lines(path: Path, lines: Counter[bytes]) -> int:
    """Remove the lines with these digests, each as often as counted; say how many went.

    What an agent appends meanwhile stays, and a crash leaves the file as it was.
    """
    left = lines.copy()

    def keep_line(line: bytes) -> bool:
        mark = digest(line)
        found = left[mark] > 0
        left[mark] -= found
        return not found

    with locked(path):
        return _rewrite(path, keep_line)


def _rewrite(path: Path, keep_line: Callable[[bytes], bool], fsync: Fsync = os.fsync) -> int:
    """Replace the file by the lines that stay; say how many went."""
    gone = 0

    def write(new: BinaryIO) -> None:
        nonlocal gone
        with path.open("rb") as old:
            for line in old:
                if keep_line(line):
                    new.write(line)
                else:
                    gone += 1

    replace_file(path, write, fsync=fsync)
    return gone
