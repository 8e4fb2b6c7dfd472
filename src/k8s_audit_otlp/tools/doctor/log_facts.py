"""Gathers what can be seen of a log: files, growth, the times of its events.

Reads the first and the last megabytes of the live file, never the whole log.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.event.decode import read_line
from k8s_audit_otlp.event.times import stage_ns, unix_ns
from k8s_audit_otlp.receiver.listing import Entry, list_log

HEAD_BYTES = 1 << 20
TAIL_BYTES = 16 << 20  # thousands of events, and hundreds where most have large bodies
YOUNG_S = 30.0  # a shorter stretch says little about a day
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a fifo must not hang the doctor


@dataclass(frozen=True, slots=True)
class LogFacts:
    """One log as it is now. `trouble` says why its live file cannot be opened."""

    path: Path
    root: Path
    receiver: K8sAudit | None = None
    trouble: OSError | None = None
    entries: Sequence[Entry] = ()
    size: int = 0
    grown: int = 0  # bytes, in `waited_s`
    waited_s: float = 0.0
    written_s: float = 0.0  # since the last write
    first_line: bytes = b""
    first_ns: int = 0
    times: Sequence[int] = field(default_factory=list)  # of the last events, in their order
    now_ns: int = 0

    @property
    def rate(self) -> float | None:
        """Bytes a second: of the live file, and where that has just begun, of the last backup."""
        span_s = (max(self.times) - self.first_ns) / 1e9 if self.times and self.first_ns else 0.0
        if span_s < YOUNG_S and (backup := _rate_of_backups(self.entries)) is not None:
            return backup
        return self.size / span_s if span_s > 0 else None


def _rate_of_backups(entries: Sequence[Entry]) -> float | None:
    """Read the time that the newest backup took to fill from the names; None if compressed."""
    dated = [(e, unix_ns(_time_in(e.name.age[1]))) for e in entries if not e.name.live]
    known = [(e, ns) for e, ns in dated if ns is not None]
    if len(known) < 2 or known[-1][0].name.compressed or known[-1][1] <= known[-2][1]:
        return None
    return known[-1][0].size / ((known[-1][1] - known[-2][1]) / 1e9)


def _time_in(age: str) -> str:
    """Turn the digits of a date and time into a time that can be read."""
    t = age.partition(" ")[0]
    return f"{t[:4]}-{t[4:6]}-{t[6:8]}T{t[8:10]}:{t[10:12]}:{t[12:14]}.{t[14:] or 0}Z"


def look_at_log(
    path: Path,
    root: Path,
    receiver: K8sAudit | None,
    *,
    wait_s: float,
    sleep: Callable[[float], None] = time.sleep,
) -> LogFacts:
    """Look at a log; wait up to *wait_s* seconds for it to grow."""
    fd = -1
    try:
        fd = os.open(path, _OPEN)
        before, waited = os.fstat(fd).st_size, 0.0
        while waited < wait_s and path.is_file() and os.fstat(fd).st_size == before:
            sleep(min(0.1, wait_s))
            waited += min(0.1, wait_s)
        info, now_ns = os.fstat(fd), time.time_ns()
        head = os.pread(fd, HEAD_BYTES, 0)
        tail = os.pread(fd, TAIL_BYTES, max(0, info.st_size - TAIL_BYTES))
    except OSError as error:  # a directory opens, and cannot be read
        return LogFacts(path, root, receiver, error, _entries(path), now_ns=time.time_ns())
    finally:
        if fd >= 0:
            os.close(fd)
    first_line = head.partition(b"\n")[0]
    times = _times(tail, whole=info.st_size <= TAIL_BYTES)
    return LogFacts(
        path,
        root,
        receiver,
        None,
        _entries(path),
        info.st_size,
        info.st_size - before,
        waited,
        max(0.0, (now_ns - info.st_mtime_ns) / 1e9),
        first_line,
        next(iter(_times(first_line + b"\n", whole=True)), 0),
        times,
        now_ns,
    )


def _entries(path: Path) -> list[Entry]:
    try:
        return list_log(path)
    except OSError:
        return []


def _times(data: bytes, *, whole: bool) -> list[int]:
    """Return the times of the events in *data*; unless it is *whole*, its first line is torn."""
    lines = data.split(b"\n")[0 if whole else 1 : -1]
    events = (item.event for line in lines for item in read_line(line) if not item.is_unread)
    return [ns for event in events if (ns := stage_ns(event))]
