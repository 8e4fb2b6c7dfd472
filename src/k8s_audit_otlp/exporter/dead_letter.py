"""Records that a back end will never take in, one JSON line each on disk out.

    state_dir/dead-letter/<exporter>.jsonl     0600, the exporter's id with `/` and the like escaped

A line is written and fsynced before its record counts as settled. The file is bounded.
"""

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Literal
from urllib.parse import quote

import msgspec

from k8s_audit_otlp.exporter.flight import Flight


class Letter(msgspec.Struct, omit_defaults=True):
    """One line of the file. `record` is the LogRecord's protobuf bytes; a refusal has none."""

    time: str
    kind: Literal["record", "refused"]
    exporter: str
    receiver: str
    why: str
    uid: str = ""
    record: str = ""  # base64
    refused: int = 0  # of `uids`, when the back end did not say which
    uids: list[str] = []


def file_name(exporter: str) -> str:
    """Return the name of an exporter's file; ids may hold characters that a path may not."""
    return quote(exporter, safe="") + ".jsonl"


class DeadLetterFile:
    """The dead letter of one exporter."""

    def __init__(  # noqa: PLR0913 - edges and bounds, each named
        self,
        directory: Path,
        exporter: str,
        *,
        uid_of: Callable[[bytes], str],
        max_bytes: int = 1 << 30,
        on_full: Literal["stall", "evict"] = "stall",
        on_evicted: Callable[[int], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = directory / file_name(exporter)
        self._exporter = exporter
        self._uid_of = uid_of
        self._max_bytes = max_bytes
        self._on_full = on_full
        self._on_evicted = on_evicted
        self._now = now
        self._lock = Lock()
        self.error = ""

    def bury(self, flight: Flight, record: bytes, why: str) -> bool:
        """Write one record; False when there is no room or the disk refuses."""
        return self._append(
            Letter(
                self._now().isoformat(timespec="milliseconds"),
                "record",
                self._exporter,
                flight.batch.receiver,
                why,
                self._uid_of(record),
                base64.b64encode(record).decode(),
            )
        )

    def note_refused(self, flight: Flight, records: Sequence[bytes], count: int, why: str) -> bool:
        """Write where *count* refused records are among *records*."""
        return self._append(
            Letter(
                self._now().isoformat(timespec="milliseconds"),
                "refused",
                self._exporter,
                flight.batch.receiver,
                why,
                refused=count,
                uids=[self._uid_of(r) for r in records],
            )
        )

    def _append(self, letter: Letter) -> bool:
        line = msgspec.json.encode(letter) + b"\n"
        with self._lock:
            try:
                return self._write(line)
            except OSError as error:
                self.error = f"{self.path}: {error.strerror}"
                return False

    def _write(self, line: bytes) -> bool:
        self.path.parent.mkdir(mode=0o700, exist_ok=True)
        size = self.path.stat().st_size if self.path.exists() else 0
        if size + len(line) > self._max_bytes:
            if self._on_full == "stall":
                self.error = f"{self.path}: full at {self._max_bytes} bytes"
                return False
            self._evict(len(line))
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            end = os.fstat(fd).st_size
            if end and os.pread(fd, 1, end - 1) != b"\n":
                line = b"\n" + line  # a crash in the middle of a line must not swallow the next
            os.write(fd, line)
            os.fsync(fd)  # only then may the record settle
        finally:
            os.close(fd)
        self.error = ""
        return True

    def _evict(self, need: int) -> None:
        """Let the oldest lines go until *need* bytes fit in half of the bound."""
        lines = self.path.read_bytes().splitlines(keepends=True)
        room = max(0, self._max_bytes // 2 - need)
        kept: list[bytes] = []
        for line in reversed(lines):
            room -= len(line)
            if room < 0:
                break
            kept.append(line)
        temporary = self.path.with_suffix(".tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.writelines(reversed(kept))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
        self._on_evicted(len(lines) - len(kept))


def read_letters(path: Path) -> Iterator[Letter]:
    """Yield the letters of a file; a half-written line at a crash is passed over."""
    decoder = msgspec.json.Decoder(Letter)
    with path.open("rb") as file:
        for line in file:
            try:
                yield decoder.decode(line)
            except msgspec.MsgspecError:
                continue
