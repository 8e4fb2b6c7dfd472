"""Finds where the lines of a block end. Reads a source, has no state.

A block ends at the first line start at or after a multiple of 256 KiB, or where the data ends. A
line over 1 MiB is a block of its own.
"""

import re
import sys
from typing import NamedTuple

from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.receiver.long_lines import END_KEPT, without_bodies
from k8s_audit_otlp.receiver.source import Source

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


class Stretch(NamedTuple):
    """What begins at an offset of a segment, and where it ends; at the offset if nothing does yet.

    `data` are whole lines, or one that was shortened; none of blanks and of NULs. `hole`: NULs that
    stand where lines were, and `after_ns` the time of the first event after them, 0 where none is
    known. `unfinished`: where nothing ends yet, the bytes that are there.
    """

    data: bytes
    end: int
    hole: bool = False
    unfinished: int = 0
    after_ns: int = 0


def find_block(
    source: Source,
    offset: int,
    *,
    longest: int,
    last: bool,
    upto: int | None = None,
    useful: int = sys.maxsize,
) -> Stretch:
    """Return the lines that begin at *offset*, or what else stands there.

    *longest*: bytes that a line may have; *useful*: nobody can send a longer event with its bodies.
    *last*: a line at the end of the data counts without its newline. *upto*: nothing from there on
    belongs to the segment.
    """
    want = BLOCK_BYTES - offset % BLOCK_BYTES
    length = want + _LOOK_AHEAD
    data = _read(source, offset, length, upto)
    if data.startswith(b"\0"):
        end = _behind_nuls(source, offset, upto, last=last)
        if end - offset < len(HOLE):
            return Stretch(b"", end, unfinished=len(data))
        return Stretch(b"", end, True, len(data), first_time_after(source, end, 0, upto))
    if blank := _blank(data, offset):
        return Stretch(b"", offset + blank)
    end = data.find(b"\n", want - 1) + 1
    if not end and len(data) == length:
        length = min(want + _LONG_LINE, longest)
        data = _read(source, offset, length, upto)
        end = data.find(b"\n", want - 1) + 1
    end = end or data.rfind(b"\n") + 1  # a long line is a block of its own
    if not end and len(data) == length and HOLE not in data:
        return _long_line(source, offset, data, (longest, useful), upto, last=last)
    end = end or (len(data) if last or len(data) == length else 0)
    hole = data.find(HOLE, 0, end) if b"\0" in data else -1  # one byte is soon searched for
    if hole > 0:  # the line that it tore ends there
        end = data.rfind(b"\n", 0, hole) + 1 or hole
    return Stretch(data[:end], offset + end, unfinished=len(data))


def _long_line(
    source: Source,
    offset: int,
    data: bytes,
    limits: tuple[int, int],
    upto: int | None,
    *,
    last: bool,
) -> Stretch:
    """Return a line that begins with *data*, which holds no end of it; nothing while it grows."""
    longest, useful = limits
    whole, ended = length_of_line(source, offset, len(data), upto=upto)
    if not ended and not last:
        return Stretch(b"", offset, unfinished=whole)  # none of it is held
    if whole > min(longest, useful):
        head = data[:END_KEPT]
        tail = _read(source, offset + max(0, whole - END_KEPT), min(whole, END_KEPT), upto)
        short = without_bodies(head, tail)
        if whole > longest or short is not head:
            return Stretch(short, offset + whole)
    return Stretch(_read(source, offset, whole, upto), offset + whole)


def _behind_nuls(source: Source, offset: int, upto: int | None, *, last: bool) -> int:
    """Return where the NULs at *offset* end; *offset* where what they stand for may still come."""
    passed = offset
    while not last or passed - offset < _PASSED:
        passed = min(max(passed, source.next_data(passed)), upto or sys.maxsize)
        data = _read(source, passed, BLOCK_BYTES, upto)
        rest = data.lstrip(b"\0")
        passed += len(data) - len(rest)
        if rest or not data:
            return passed if rest or last or passed == upto else offset
    return passed


def length_of_line(
    source: Source, offset: int, searched: int, *, most: int = sys.maxsize, upto: int | None = None
) -> tuple[int, bool]:
    """Return how long the line at *offset* is, of which *searched* bytes have no end.

    And whether it has an end; nothing of it is kept. It is searched up to *most* bytes and a step.
    """
    while searched <= most:
        chunk = _read(source, offset + searched, _STEP, upto)
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


def _read(source: Source, offset: int, length: int, upto: int | None) -> bytes:
    return source.read_at(offset, length if upto is None else min(length, upto - offset))


def _blank(data: bytes, offset: int) -> int:
    """Return how many bytes without a line come first: a byte order mark, only blanks."""
    if offset == 0 and data.startswith(b"\xef\xbb\xbf"):
        return 3
    return len(data) if len(data) >= BLOCK_BYTES and not data.strip(BLANKS) else 0


def last_line_end(source: Source, end: int, begin: int = 0) -> int:
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


def first_line_since(source: Source, begin: int, when_ns: int) -> tuple[int, bool]:
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


def first_time_after(source: Source, offset: int, since_ns: int, upto: int | None = None) -> int:
    """Return the time of the first event at or after *offset* that is later than *since_ns*.

    0 where the next few blocks have none.
    """
    times = map(line_time_ns, _read(source, offset, _STEP, upto).splitlines())
    return next((when for when in times if when > since_ns), 0)
