"""Finds where the lines of a block end. Reads a source, has no state.

A block ends at the first line start at or after a multiple of 256 KiB, or where the data ends. A
line over 1 MiB is a block of its own.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.long_lines import END_KEPT, without_bodies

BLOCK_BYTES = 256 * 1024
_LOOK_AHEAD = 8 * 1024  # more than most lines: one read finds the end of the block
_LONG_LINE = 1024 * 1024  # a longer one goes alone
_STEP = 1024 * 1024  # how a longer line is fetched
_WHEN = rb"([0-9]{4}-[0-9T:.Z+-]{15,30})"
_LEADING_TIME = re.compile(_WHEN + b" ")  # the legacy format, and CRI's frame
# Within other JSON, as docker and clouds frame an event, quotes have backslashes before them.
_NAMED_TIME = re.compile(rb'(?:stageT|ReceivedT|"t)imestamp\\*"[ \t]*:[ \t]*\\*"' + _WHEN)
BLANKS = b" \t\r\n\0"
HOLE = bytes(64)  # at least: what a power cut or a punched hole leaves; fewer are part of a line
_PASSED = 16 * 1024 * 1024  # bytes of a hole that are looked through at once

ReadAt = Callable[[int, int], bytes]  # up to so many bytes at an offset


class Stretch(NamedTuple):
    """What begins at an offset of a segment, and where it ends; at the offset if nothing does yet.

    `data` are whole lines, or one that was shortened; none of blanks and of NULs. `hole`: NULs that
    stand where lines were, and `after_ns` the time of the first event after them, 0 where none is
    known. `unfinished`: where nothing ends yet, the bytes that are there, and `damage`: why no more
    can be read.
    """

    data: bytes
    end: int
    hole: bool = False
    unfinished: int = 0
    after_ns: int = 0
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a source, as far as it holds one segment.

    *longest*: bytes that a line may have; *useful*: nobody can send a longer event with its bodies.
    *last*: a line at the end of the data counts without its newline. *upto*: nothing from there on
    belongs to the segment.
    """

    source: LogFile
    longest: int
    last: bool
    upto: int = sys.maxsize
    useful: int = sys.maxsize

    def block_at(self, offset: int) -> Stretch:
        """Return the lines that begin at *offset*, or what else stands there."""
        try:
            return self._stretch_at(offset)
        except CorruptGzipError as damage:
            return Stretch(b"", offset, unfinished=damage.offset - offset, damage=str(damage))

    def _stretch_at(self, offset: int) -> Stretch:
        want = BLOCK_BYTES - offset % BLOCK_BYTES
        length = want + _LOOK_AHEAD
        data = self._read(offset, length)
        if data.startswith(b"\0"):
            return self._hole(offset, len(data))
        if blank := _blank(data, offset):
            return Stretch(b"", offset + blank)
        end = data.find(b"\n", want - 1) + 1
        if not end and len(data) == length:
            length = min(want + _LONG_LINE, self.longest)
            data = self._read(offset, length)
            end = data.find(b"\n", want - 1) + 1
        end = end or data.rfind(b"\n") + 1  # a long line is a block of its own
        if not end and len(data) == length and HOLE not in data:
            return self._long_line(offset, data)
        end = end or (len(data) if self.last or len(data) == length else 0)
        hole = data.find(HOLE, 0, end) if b"\0" in data else -1  # one byte is soon searched for
        if hole > 0:  # the line that it tore ends there
            end = data.rfind(b"\n", 0, hole) + 1 or hole
        return Stretch(data[:end], offset + end, unfinished=len(data))

    def _long_line(self, offset: int, data: bytes) -> Stretch:
        """Return a line that begins with *data*, which holds no end of it; none while it grows."""
        whole, ended = length_of_line(self._read, offset, len(data))
        if not ended and not self.last:
            return Stretch(b"", offset, unfinished=whole)  # none of it is held
        if whole > min(self.longest, self.useful):
            head = data[:END_KEPT]
            tail = self._read(offset + max(0, whole - END_KEPT), min(whole, END_KEPT))
            short = without_bodies(head, tail)
            if whole > self.longest or short is not head:
                return Stretch(short, offset + whole)
        return Stretch(self._read(offset, whole), offset + whole)

    def _hole(self, offset: int, unfinished: int) -> Stretch:
        """Return what the NULs at *offset* are: a hole, or part of a line that was torn."""
        end = self._behind_nuls(offset)
        if end - offset < len(HOLE):
            return Stretch(b"", end, unfinished=unfinished)
        first = first_time_after(self._read, end, 0)
        return Stretch(b"", end, True, unfinished, first)

    def _behind_nuls(self, offset: int) -> int:
        """Return where the NULs at *offset* end; *offset* where what they hide may still come."""
        passed = offset
        while not self.last or passed - offset < _PASSED:
            passed = min(max(passed, self.source.next_data(passed)), self.upto)
            data = self._read(passed, BLOCK_BYTES)
            rest = data.lstrip(b"\0")
            passed += len(data) - len(rest)
            if rest or not data:
                return passed if rest or self.last or passed == self.upto else offset
        return passed

    def _read(self, offset: int, length: int) -> bytes:
        return self.source.read_at(offset, min(length, self.upto - offset))


def length_of_line(
    read_at: ReadAt, offset: int, searched: int, *, most: int = sys.maxsize
) -> tuple[int, bool]:
    """Return how long the line at *offset* is, of which *searched* bytes have no end.

    And whether it has an end; nothing of it is kept. It is searched up to *most* bytes and a step.
    """
    while searched <= most:
        chunk = read_at(offset + searched, _STEP)
        end = _end_of_line(chunk)
        searched += end
        if end < len(chunk) or chunk.endswith(b"\n"):
            return searched, True
        if not chunk:
            break
    return searched, False


def _end_of_line(chunk: bytes) -> int:
    """Return where a line ends that goes on in *chunk*: there too where a hole tore it."""
    end = chunk.find(b"\n") + 1 or len(chunk)
    hole = chunk.find(HOLE, 0, end) if b"\0" in chunk else -1
    return end if hole < 0 else hole


def _blank(data: bytes, offset: int) -> int:
    """Return how many bytes without a line come first: a byte order mark, only blanks."""
    if offset == 0 and data.startswith(b"\xef\xbb\xbf"):
        return 3
    return len(data) if len(data) >= BLOCK_BYTES and not data.strip(BLANKS) else 0


def last_line_end(source: LogFile, end: int, begin: int = 0) -> int:
    """Return where the last whole line before *end* ends; *begin* where there is none."""
    while end > begin:
        start = max(begin, end - _STEP)
        newline = source.read_at(start, end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return begin


def line_time_ns(line: bytes) -> int:
    """Return the latest time that a line tells, in ns since the epoch; 0 where it tells none.

    Bodies may tell others, and are older.
    """
    found = _LEADING_TIME.match(line)
    times = [*([found[1]] if found else ()), *_NAMED_TIME.findall(line)]
    return max((unix_ns(text.decode()) or 0 for text in times), default=0)


def first_line_since(source: LogFile, begin: int, when_ns: int) -> tuple[int, bool]:
    """Return the end of the last older line before the first whose event is of *when_ns* or later.

    And whether there is such a one. Lines are not quite in the order of their times: the first one
    counts. A line that tells no time is older if an older one follows.
    """
    at = older = begin
    while data := source.read_at(at, _STEP):
        for line in data[: data.rfind(b"\n") + 1].splitlines(keepends=True) or [data]:
            line_ns = line_time_ns(line)
            if line_ns >= when_ns:
                return older, True
            at += len(line)
            older = at if line_ns and line.endswith(b"\n") else older
    return older, False


def first_time_after(read_at: ReadAt, offset: int, since_ns: int) -> int:
    """Return the time of the first event at or after *offset* that is later than *since_ns*.

    0 where the next few blocks have none.
    """
    times = map(line_time_ns, read_at(offset, _STEP).splitlines())
    return next((when for when in times if when > since_ns), 0)
