"""A log whose writer does one system call at a time, so that others can come in between.

Time passes by a fraction of a millisecond with every step, on the files too.
"""

import gzip
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.kit.log.lumberjack import backup_name

START_NS = 1_767_323_045_000_000_000
_PADS = (0, 10, 200, 200, 4000)  # bytes
_LINES = (0, 1, 1, 2, 5, 20)  # between two rotations
_PACKED = 0.5  # of the rotations
_MIXED = {
    "mixed": ("copytruncate", "numbered", "lumberjack"),
    "dated": ("dateext", "lumberjack"),
    "again": ("lumberjack", "lumberjack", "nightly"),
}


class StepwiseLog:
    """Writes and rotates after *scheme*, 'mixed' for any, and keeps so many backups; 0 for all.

    'dated': in the two ways that give backups dates. 'again': what lumberjack made is taken up.

    `written`: the time of every line by its number, in ns.
    """

    def __init__(self, path: Path, dice: random.Random, scheme: str, kept: int) -> None:
        self.path = path
        self.written: dict[int, int] = {}
        self.rotating = False
        self._dice, self._scheme, self._kept = dice, scheme, kept
        self._now_ns = START_NS
        self._times: set[int] = set()  # that files have by this clock
        self._fd = self._open()
        self._steps = self._all_steps()

    def now_ns(self) -> int:
        return self._now_ns

    def wait(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)

    def step(self) -> None:
        self.rotating = next(self._steps) != "idle"
        self.wait(self._dice.choice((0.0001, 0.001, 0.02)))
        self._times.add(self._now_ns)
        changed: list[Path | int] = [*self.path.parent.iterdir(), self.path.parent]
        for each in changed + [self._fd] * (self._fd >= 0):  # it may have no name any more
            if os.stat(each).st_mtime_ns not in self._times:  # noqa: PTH116 - a descriptor
                os.utime(each, ns=(self._now_ns, self._now_ns))

    def finish(self) -> None:
        """Complete the rotation that is under way, and write one line more."""
        while next(self._steps) != "idle":
            pass
        self._write()

    def close(self) -> None:
        os.close(self._fd)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _stamp(self) -> int:
        self._now_ns += 1000
        return self._now_ns // 1000 * 1000

    def _write(self, when_ns: int = 0) -> None:
        number = len(self.written) + 1
        self.written[number] = when_ns = when_ns or self._stamp()
        seconds, rest_ns = divmod(when_ns, 1_000_000_000)
        stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        pad = "x" * self._dice.choice(_PADS)
        line = (
            f'{{"n":"{number:06}","auditID":"{number}",'
            f'"stageTimestamp":"{stamp}.{rest_ns // 1000:06}Z","pad":"{pad}"}}\n'
        )
        os.write(self._fd, line.encode())

    def _all_steps(self) -> Iterator[str]:
        """Yield after every system call, 'idle' where no rotation is under way."""
        self._write()  # what no look has shown yet nobody can know the beginning of
        while True:
            yield "idle"
            for _ in range(self._dice.choice(_LINES)):
                self._write()
                yield "idle"
            scheme = self._dice.choice(_MIXED.get(self._scheme, (self._scheme,)))
            yield from getattr(self, f"_{scheme}")()

    def _copytruncate(self) -> Iterator[str]:
        yield from self._shifted()
        with self._backup(1).open("xb", buffering=0) as copy, self.path.open("rb") as log:
            yield "created"
            while chunk := log.read(self._dice.choice((4096, 1 << 20))):
                copy.write(chunk)
                yield "copied"
        os.truncate(self.path, 0)
        yield "cut"

    def _lumberjack(self) -> Iterator[str]:
        self._now_ns = (self._now_ns // 1_000_000 + 1) * 1_000_000  # names have milliseconds
        stamp = self._stamp()  # of the event that has no room any more
        os.close(self._fd)
        self._fd = -1
        self.path.rename(backup_name(self.path, self._now_ns // 1_000_000))
        yield "renamed"
        self._fd = self._open()
        yield "made"
        self._write(stamp)
        yield "written"
        own = {p.name.removesuffix(".gz") for p in self._dated("*")}
        for name in sorted(n for n in own if n.endswith(".log"))[: -self._kept]:
            for packed in ("", ".gz"):
                self.path.with_name(name + packed).unlink(missing_ok=True)
            yield "deleted"
        for plain in self._dated("*.log") if self._dice.random() < _PACKED else ():
            whole = gzip.compress(plain.read_bytes())
            for length in (len(whole) // 2, len(whole)):
                plain.with_name(plain.name + ".gz").write_bytes(whole[:length])
                yield "packed"
            plain.unlink()
            yield "deleted"

    def _dated(self, pattern: str) -> list[Path]:
        return list(self.path.parent.glob(f"audit-{pattern}"))

    def _backup(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _shifted(self) -> Iterator[str]:
        """Make room for number 1, and delete those over the bound: logrotate does so last."""
        numbers = []
        for path in self.path.parent.glob(f"{self.path.name}.*"):
            with suppress(ValueError):
                numbers.append(int(path.suffix[1:]))
        for number in sorted(numbers, reverse=True):
            self._backup(number).rename(self._backup(number + 1))
            yield "renamed"
        for number in numbers:
            if 0 < self._kept <= number:
                self._backup(number + 1).unlink()
                yield "deleted"

    def _nightly(self) -> Iterator[str]:
        """Take up all that is called `audit*.log`, as logrotate may be told."""
        for plain in sorted(self._dated("*.log")):
            plain.rename(plain.with_name(plain.name + ".1"))
            yield "renamed"
        for old in sorted(self._dated("*.1"))[: -self._kept]:
            old.unlink()
            yield "deleted"
        yield from self._numbered()

    def _dateext(self) -> Iterator[str]:
        self._now_ns = (self._now_ns // 1_000_000_000 + 1) * 1_000_000_000  # names have seconds
        when = datetime.fromtimestamp(self._now_ns // 1_000_000_000, UTC)
        yield from self._replaced(f"{self.path.name}-{when:%Y%m%d-%H%M%S}")
        for old in sorted(self.path.parent.glob(f"{self.path.name}-*"))[: -self._kept]:
            old.unlink()
            yield "deleted"

    def _numbered(self) -> Iterator[str]:
        yield from self._shifted()
        yield from self._replaced(self._backup(1).name)

    def _replaced(self, name: str) -> Iterator[str]:
        """Rename the log, and have another one made, as logrotate does."""
        self.path.rename(self.path.with_name(name))
        yield "renamed"
        old, self._fd = self._fd, self._open()
        new = self._fd
        yield "made"
        for _ in range(self._dice.choice((0, 0, 1, 2))):  # nobody has told the writer yet
            self._fd = old
            self._write()
            self._fd = new
            yield "late"
        os.close(old)
