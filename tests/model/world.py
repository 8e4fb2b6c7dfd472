"""An audit directory and its writer, one step at a time, and what they wrote as a plain list.

Every line has a number. A `Generation` is what one file of the log ever held; the world knows at
any moment which bytes are on disk under which name, and so which lines nobody can have any more.
"""

import fcntl
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from k8s_audit_otlp.receiver.identity import identify
from k8s_audit_otlp.receiver.lines import HOLE
from tests.kit.log.log_files import shift_numbered
from tests.kit.log.lumberjack import backup_name
from tests.kit.present import present

START_S = 1_767_323_045
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class Line:
    number: int
    text: bytes
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(eq=False)
class Generation:
    """What one file was given. `hole` are the NULs before its first line."""

    hole: int = 0
    lines: list[Line] = field(default_factory=list)
    half: bytes = b""
    seen: bool = False  # the receiver can know of it
    held: bool = False  # and can have its present file open
    known: int = 0  # bytes that the receiver can know of
    first_scan: int | None = None  # when the receiver put it into its manifest
    lost_from: int | None = None  # what lies behind is in no file any more
    late: bool = False  # written to after its rotation or unreadable: may come after newer ones
    muddled: bool = False  # copied or put back: its lines may repeat and come in any order

    @property
    def size(self) -> int:
        return (self.lines[-1].end if self.lines else self.hole) + len(self.half)

    @property
    def identity(self) -> str | None:
        first = self.lines[0].text if self.lines else self.half
        return _identity(first) if first else None

    def seal(self) -> None:
        """Nothing follows: half a line is the last line."""
        if self.half:
            start = self.size - len(self.half)
            self.lines.append(Line(number_of(self.half), self.half, start))
            self.half = b""


class World:
    """The directory, the writer and the clock."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="model-"))
        self.directory.chmod(0o755)  # for the user who may not read one file of it
        self.path = self.directory / "audit.log"
        self.clock_s: float = START_S
        self.files: dict[str, Generation] = {}  # by name, whole or half-written
        self.packing: dict[str, Any] = {}  # name of a plain backup -> its .gz, half-written
        self.excused: set[int] = set()  # numbers of lines that no receiver could have had
        self.tolerated: set[int] = set()  # and of those between a copy and the cut after it
        self.added: set[int] = set()  # numbers of lines that were written to backups
        self.harmed = False  # something was deleted, cut or replaced
        self.unread: Generation | None = None  # its file cannot be read now
        self.copied = False  # a copy took its place: what was not seen before leaves no trace
        self.generations: list[Generation] = []
        self._number = 0
        self._stamps: set[Any] = set()
        self._fd = -1
        self._open()

    def close(self) -> None:
        os.close(self._fd)
        shutil.rmtree(self.directory)

    def now_ns(self) -> int:
        return int(self.clock_s * 1e9)

    @property
    def live(self) -> Generation:
        return self.files["audit.log"]

    def _open(self) -> None:
        self._opened_s = self.clock_s
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        self.files["audit.log"] = self._new()

    def _new(self, hole: int = 0) -> Generation:
        generation = Generation(hole)
        self.generations.append(generation)
        return generation

    # -- what the apiserver does -----------------------------------------------------------------

    def write(self, size: int) -> None:
        if self.live.half:
            self.finish()
        line = self._line(size, self.live.size)
        os.write(self._fd, line.text)
        self.live.lines.append(line)

    def growing(self) -> list[str]:
        """Names of plain backups that a writer who still has them open may write to."""
        return [
            name
            for name in self.backups()
            if name not in self.packing
            and (g := self.files[name]).lost_from is None
            and not g.muddled
            and (not g.lines or g.lines[-1].text.endswith(b"\n"))
        ]

    def grow(self, name: str) -> None:
        """Write to a backup, as who has not noticed the rotation does."""
        generation = self.files[name]
        line = self._line(0, generation.size)
        with (self.directory / name).open("ab") as file:
            file.write(line.text)
        generation.lines.append(line)
        generation.late = True
        self.added.add(line.number)

    def _line(self, size: int, start: int) -> Line:
        self._number += 1
        # An event that makes the log rotate is the first one in the next file.
        when_s = self.clock_s if self.live.lines else self._opened_s
        stamp = datetime.fromtimestamp(when_s, UTC).strftime(
            f"%Y-%m-%dT%H:%M:%S.{self._number:06}Z"
        )
        # The number stands first, so that half a line has it too.
        text = (
            f'{{"n":"{self._number:06}","auditID":"{self._number}","stageTimestamp":"{stamp}",'
            f'"pad":"{"x" * size}"}}\n'
        ).encode()
        return Line(self._number, text, start)

    def write_half(self) -> None:
        if self.live.half:
            return
        self._number += 1
        self.live.half = b'{"n":"%06d"' % self._number
        os.write(self._fd, self.live.half)

    def finish(self) -> None:
        if not self.live.half:
            return
        os.write(self._fd, b"}\n")
        text, start = self.live.half + b"}\n", self.live.size - len(self.live.half)
        self.live.half = b""
        self.live.lines.append(Line(number_of(text), text, start))

    def rotate(self) -> None:
        milliseconds = int(self.clock_s * 1000)
        while milliseconds in self._stamps:
            milliseconds += 1
        self._stamps.add(milliseconds)
        os.close(self._fd)
        backup = backup_name(self.path, milliseconds)
        self.path.rename(backup)
        self.live.seal()
        self.files[backup.name] = self.files.pop("audit.log")
        self._open()

    def begin_packing(self, plain: str) -> None:
        packed = _pack((self.directory / plain).read_bytes())
        (self.directory / f"{plain}.gz").write_bytes(packed[: len(packed) // 2])
        self.packing[plain] = packed

    def end_packing(self, plain: str) -> None:
        packed = self.packing.pop(plain)
        (self.directory / f"{plain}.gz").write_bytes(packed)
        (self.directory / plain).unlink()
        self.files[f"{plain}.gz"] = self.files.pop(plain)

    def backups(self, *, packed: Any = False) -> list[Any]:
        """Names of backups, oldest first: dated ones before numbered ones."""
        names = [n for n in self.files if n != "audit.log" and (packed or not n.endswith(".gz"))]
        return sorted(names, key=lambda n: (n.startswith("audit.log."), _falling(n), n))

    def oldest_first(self) -> list[str]:
        """Names of backups in the order in which a retention deletes them."""
        age = {generation: n for n, generation in enumerate(self.generations)}
        return sorted(self.backups(packed=True), key=lambda name: age[self.files[name]])

    def cut(self, kept: int, read: int) -> None:
        """Take all but some lines from the live file; its writer goes on behind them.

        Bytes that were not *read* by then nobody can miss: the file may be as long as before.
        """
        before, self.harmed = self.live, True
        end = before.lines[kept - 1].end
        os.ftruncate(self._fd, end)
        os.lseek(self._fd, end, os.SEEK_SET)
        after = self._new(before.hole)
        after.lines = before.lines[:kept]
        if end >= read:
            self.tolerated.update(line.number for line in before.lines[kept:])
        before.muddled = after.muddled = True
        before.lost_from, before.held = end, False
        self.excuse(before)
        self.files["audit.log"] = after

    def zero(self, behind: int, lines: int) -> None:
        """Let NULs stand for some lines of the live file, as after a power cut; none before."""
        live, self.harmed = self.live, True
        taken = [line for line in live.lines[1:] if line.start >= behind][:lines]
        if sum(len(line.text) for line in taken) < len(HOLE):
            return  # no disk loses so little
        with self.path.open("r+b") as file:  # what is open may write at the end alone
            for line in taken:
                file.seek(line.start)
                file.write(bytes(len(line.text)))

    def delete(self, name: str) -> None:
        self.harmed = True
        (self.directory / name).unlink()
        (self.directory / f"{name}.gz").unlink(missing_ok=True)
        self.packing.pop(name, None)
        gone = self.files.pop(name)
        gone.lost_from = 0
        self.excuse(gone)

    # -- what disks and administrators do --------------------------------------------------------

    def damageable(self) -> list[str]:
        """Names of packed files that nothing has happened to yet."""
        whole = [n for n, g in self.files.items() if g.lost_from is None and not g.muddled]
        return sorted(name for name in whole if name.endswith(".gz"))

    def damage(self, name: str) -> None:
        """Overwrite the head of a packed file: not a line of it can be read any more."""
        self.harmed = True
        with (self.directory / name).open("r+b") as file:
            file.write(bytes(32))
        damaged = self.files[name]
        damaged.lost_from, damaged.held = 0, False
        self.excuse(damaged)

    @contextmanager
    def unreadable(self, name: str, *, broken: bool) -> Iterator[None]:
        """Deny a file, or let its disk give errors. Who has it open reads on."""
        path, aside = self.directory / name, self.directory / "aside"
        self.unread = self.files[name]
        self.unread.late = True
        if broken:
            path.rename(aside)
            path.symlink_to("/proc/self/mem")  # its first byte is an I/O error
        else:
            path.chmod(0)
        try:
            yield
        finally:
            now = [n for n, generation in self.files.items() if generation is self.unread]
            self.unread = None
            if broken and not now:
                aside.unlink()
            elif broken:
                aside.rename(path)
            for found in now:
                (self.directory / found).chmod(0o644)

    @contextmanager
    def denied(self) -> Iterator[None]:
        """Look at the log as who may not read what is denied: root may."""
        user = os.geteuid()
        os.seteuid(65_534 if user == 0 else user)
        try:
            yield
        finally:
            os.seteuid(user)

    # -- what others do to the log ---------------------------------------------------------------

    def copy(self) -> int:
        """Do the first half of copytruncate; return what was copied."""
        self.copied = True
        if self.live.muddled and not self.live.seen:
            # Cut, written on and copied between two looks: the copy passes for an older one.
            self.tolerated |= {line.number for line in self.live.lines}
        shift_numbered(self.path)
        numbered = {n: g for n, g in self.files.items() if n.startswith("audit.log.")}
        for name in numbered:
            del self.files[name]
        for name, generation in numbered.items():
            plain = name.removesuffix(".gz")
            number = int(plain.rpartition(".")[2])
            self.files[f"audit.log.{number + 1}{name[len(plain) :]}"] = generation
        shutil.copyfile(self.path, self.directory / "audit.log.1")
        return self.live.size

    def truncate(self, copied: int, *, hole: Any) -> None:
        """Do the second half: cut the log; whoever writes it may go on at the old place."""
        cut = self.live
        cut.seal()
        os.ftruncate(self._fd, 0)
        hole = hole and not fcntl.fcntl(self._fd, fcntl.F_GETFL) & os.O_APPEND
        size = os.lseek(self._fd, 0, os.SEEK_CUR if hole else os.SEEK_SET)
        cut.lost_from, cut.held = copied, False
        self.harmed = True
        self.tolerated.update(line.number for line in cut.lines if line.end > copied)
        self.excuse(cut)
        if copied:
            self.files["audit.log.1"] = cut
        else:
            (self.directory / "audit.log.1").unlink()
        self.files["audit.log"] = self._new(size if hole else 0)

    def replace(self, name: str) -> None:
        """Put a copy of a backup in the place of the log, as a restore does."""
        older = self.files[name]
        os.close(self._fd)
        copy = self.directory / "restored"
        copy.write_bytes((self.directory / name).read_bytes())
        copy.rename(self.path)
        replaced, self.harmed, self.copied = self.live, True, True
        replaced.seal()
        self.tolerated.update(line.number for line in replaced.lines)
        replaced.lost_from = 0
        self.excuse(replaced)
        restored = self._new(older.hole)
        restored.lines = list(older.lines)
        older.muddled = restored.muddled = True
        self.files["audit.log"] = restored
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)

    def excuse(self, generation: Generation) -> None:
        """Ask nobody for lines that went before anybody can have known of them.

        A deleted file is read to its end by who has it open.
        """
        if generation.held:
            return
        known = generation.known if generation.seen else 0
        if generation.lines and not generation.lines[0].text.endswith(b"\n"):
            known = 0  # half a line, all there ever was: nobody can name the file that held it
        excused = {
            line.number
            for line in generation.lines
            if line.end > max(known, generation.lost_from or 0)
        }
        self.excused |= excused
        self.tolerated |= excused & self.added  # to a known end: that leaves no trace

    def restorable(self) -> list[Any]:
        """Backups that hold all that they were ever given, in whole lines."""
        return [
            name
            for name in self.backups()
            if self.files[name].lost_from is None
            and self.files[name].lines
            and self.files[name].lines[-1].text.endswith(b"\n")
        ]

    # -- the plain list --------------------------------------------------------------------------

    def lines(self) -> dict[int, tuple[Line, list[Generation]]]:
        """Every line that was finished, or will not be any more, with its generations."""
        found: dict[int, tuple[Line, list[Generation]]] = {}
        for generation in self.generations:
            for line in generation.lines:
                found.setdefault(line.number, (line, []))[1].append(generation)
        return found

    def by_identity(self) -> dict[str | None, Generation]:
        """Return the generations that nobody copied, by what the receiver calls them."""
        return {g.identity: g for g in self.generations if not g.muddled}


@lru_cache(1024)
def _identity(first: bytes) -> str:
    return present(identify(first, finished=True)).name


def number_of(text: bytes) -> int:
    return int(text[6:12])


def _falling(name: str) -> int:
    number = name.removesuffix(".gz").rpartition(".")[2]
    return -int(number) if number.isdigit() else 0


def _pack(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    return packer.compress(data) + packer.flush()
