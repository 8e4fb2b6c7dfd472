"""Audit directories as nobody would make them on purpose, by seed: odd names, kinds, contents."""

import contextlib
import gzip
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

from tests.kit.log.events import EventSource
from tests.kit.log.lumberjack import backup_name

FIRST_MS = 1_767_323_045_000
MB = 1 << 20


class OddDirectory:
    """A log with sound files and odd ones between them. `sound`: ids of events that must arrive."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir()
        self.live = folder / "audit.log"
        self.sound: set[str] = set()
        self._rng = random.Random(seed)  # noqa: S311 - a seed makes a directory repeatable
        self._events = EventSource(seed)
        for number in range(self._rng.randint(1, 5)):
            data = self._lines(self._rng.randint(1, 40))
            if self._rng.random() < 0.5:
                self._backup(number).with_suffix(".log.gz").write_bytes(gzip.compress(data))
            else:
                self._backup(number).write_bytes(data)
        self.live.write_bytes(self._lines(self._rng.randint(0, 40)))
        for odd in self._rng.sample(ODD_FILES, self._rng.randint(1, 4)):
            path = self._odd_path()
            if not os.path.lexists(path) and not os.path.lexists(_packed(path)):
                odd(self, path)

    def _backup(self, number: int) -> Path:
        return Path(backup_name(self.live, FIRST_MS + 1000 * number))

    def _lines(self, count: int, *, sound: bool = True) -> bytes:
        made = [self._events.event() for _ in range(count)]
        if sound:
            self.sound |= {audit_id for audit_id, _ in made}
        return b"".join(line + b"\n" for _, line in made)

    def _odd_path(self) -> Path:
        """Return a name that is free, and is one of a backup or nearly so."""
        later = self._backup(self._rng.randint(10, 90)).name
        name = self._rng.choice(
            [
                *(later, later + ".gz", later + ".1", later + ".1.gz", later + ".bz2"),
                *("audit.log.1", "audit.log.1.gz", "audit.log.999999", "audit.log.007"),
                *("audit.log-20260102", "audit.log-1767323045.gz", "audit-20269999.log"),
                *("audit.log.gz", "audit.log.bak", "audit.log~", "audit-x.log", "audit.log.1.tmp"),
                *("audit-9999-99-99T99-99-99.999.log", "audit-0000-00-00T00-00-00.000.log.gz"),
                os.fsdecode(b"audit-\xff\xfe.log"),
                *(
                    "audit.log.1\n2",
                    "audit.log." + "9" * 200,
                    "audit.log-" + "1" * 10,
                    "\u202eaudit",
                ),
            ]
        )
        return self.live.with_name(name)

    # -- kinds -----------------------------------------------------------------------------------

    def fifo(self, path: Path) -> None:
        os.mkfifo(path)

    def socket(self, path: Path) -> None:
        here = os.open(path.parent, os.O_RDONLY)
        with socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.bind(f"/proc/self/fd/{here}/{path.name}")  # whose paths are short
        os.close(here)

    def directory(self, path: Path) -> None:
        path.mkdir()
        (path / "audit.log").write_bytes(self._lines(3, sound=False))

    def link(self, path: Path) -> None:
        targets = ("audit.log", path.name, "gone", ".", "/dev/null", "/dev/zero", "/proc/self/mem")
        path.symlink_to(self._rng.choice(targets))

    def hard_link(self, path: Path) -> None:
        path.hardlink_to(self._rng.choice([p for p in path.parent.iterdir() if p.is_file()]))

    def closed(self, path: Path) -> None:
        path.write_bytes(self._lines(3, sound=False))
        path.chmod(0)

    # -- contents --------------------------------------------------------------------------------

    def damaged_gz(self, path: Path) -> None:
        packed = bytearray(gzip.compress(self._lines(60, sound=False)))
        match self._rng.randint(0, 5):
            case 0:
                packed = packed[: self._rng.randint(0, len(packed))]
            case 1:
                packed[: self._rng.randint(1, 40)] = bytes(30)
            case 2:
                packed += self._rng.randbytes(200)
            case 3:
                packed = bytearray(gzip.compress(bytes(packed)))
            case 4:
                packed[self._rng.randrange(len(packed))] ^= 0xFF
            case _:
                packed = bytearray(self._lines(5, sound=False))
        _packed(path).write_bytes(packed)

    def bomb(self, path: Path) -> None:
        blank = self._rng.choice([b"\0", b"\n", b" ", b"x", b"[", b'{"a":'])
        with gzip.open(_packed(path), "wb", 1) as file:
            for _ in range(100):
                file.write(blank * (MB // len(blank)))
            file.write(b"\n" + self._lines(2, sound=False))

    def hole(self, path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(self._rng.choice([1, 4096, 300 * MB]))
            file.seek(0, os.SEEK_END)
            file.write(self._lines(2, sound=False))

    def noise(self, path: Path) -> None:
        path.write_bytes(self._rng.randbytes(self._rng.choice([1, 100, MB])))

    def same_again(self, path: Path) -> None:
        source = self._rng.choice([p for p in path.parent.iterdir() if p.is_file()])
        data = source.read_bytes()
        path.write_bytes(data[: self._rng.choice([len(data), len(data) // 2])])

    def odd_lines(self, path: Path) -> None:
        line = self._lines(1, sound=False)
        odd = [b"\xef\xbb\xbf" + line, line.replace(b"\n", b"\r\n"), b"\xff" + line, line[:-40]]
        odd += [b"[" * 5000 + b"\n", b'{"auditID":' * 900 + b"\n", b"null\n", b"[]\n", b'"x"\n']
        self._rng.shuffle(odd)
        path.write_bytes(b"".join(odd))

    def odd_time(self, path: Path) -> None:
        path.write_bytes(self._lines(2, sound=False))
        when = self._rng.choice([0, 1 << 33, 1])
        os.utime(path, (when, when))


def _packed(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".gz")[:200] + ".gz")


ODD_FILES: list[Callable[[OddDirectory, Path], None]] = [
    *(OddDirectory.fifo, OddDirectory.socket, OddDirectory.directory, OddDirectory.link),
    *(OddDirectory.hard_link, OddDirectory.closed, OddDirectory.damaged_gz, OddDirectory.bomb),
    *(OddDirectory.hole, OddDirectory.noise, OddDirectory.same_again, OddDirectory.odd_lines),
    OddDirectory.odd_time,
]
