"""Names places in a segment by the bytes before them, and tells where they still hold.

A file may be cut and written on, restored from a copy or packed: only where its marks hold do
offsets mean what they meant. Marks of the places that were read last are kept close together, older
ones ever farther apart; of the last lines each one is known.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from isal.isal_zlib import crc32

from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.receiver.identity import fingerprint
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.log_file import GzipLogFile, LogFile
from k8s_audit_otlp.state.manifest import SegmentState

Marks = Sequence[tuple[int, str]]  # (offset, mark of the bytes before it), the farthest first

_STAGE_TIME = b'"stageTimestamp":"'
_UNIT = 4 * 1024  # bytes between the two farthest marks
_LINES = 64  # of which each is known: more than a power cut takes of most logs
_LINE = Struct("<II")  # its length and its checksum
# Of the log before a place. The last line's end alone is the same in many: annotations.
MARK_BYTES = 1024


def mark_of(before: bytes) -> str:
    """Return what names the bytes *before* a place: how many they are, and a hash over them."""
    before = before[-MARK_BYTES:]
    return f"{len(before)}-{blake2b(before, digest_size=8).hexdigest()}" if before else ""


def mark_length(mark: str) -> int:
    """Return how many bytes before its place a mark names."""
    return int(mark.partition("-")[0] or 0)


class Farthest(NamedTuple):
    """What is known of the bytes before the place up to which a segment was read farthest."""

    marks: list[tuple[int, str]]
    lines: bytes
    last_ns: int  # time of the last event, 0 where it tells none


def read_on(state: SegmentState, start: int, data: bytes, end: int) -> Farthest | None:
    """Return what is known of a segment now that *data* of it was read; None if no more is.

    A hole and a line that was shortened stand for other bytes than they have.
    """
    if not data or len(data) != end - start or end <= state.farthest:
        return None
    at = data.rfind(_STAGE_TIME) + len(_STAGE_TIME)
    last = data[at : at + 40].partition(b'"')[0] if at >= len(_STAGE_TIME) else b""
    lines = last_lines(state.lines if state.farthest == start else b"", data)
    last_ns = unix_ns(last.decode("utf-8", "replace")) or 0
    return Farthest(extended(state.marks, start, data), lines, last_ns)


def extended(marks: Marks, start: int, data: bytes) -> list[tuple[int, str]]:
    """Add the ends of lines in *data*, which begins at *start*; a few near its end, its end too."""
    found = []
    end, distance = len(data), _UNIT
    while end > 0:
        found.append((start + end, mark_of(data[max(0, end - MARK_BYTES) : end])))
        end = data.rfind(b"\n", 0, max(0, len(data) - distance)) + 1
        distance *= 2
    return _thinned([*found, *marks])


def last_lines(before: bytes, data: bytes) -> bytes:
    """Add the lines of *data* to the last ones of a segment, which it follows."""
    if not data.endswith(b"\n"):
        return b""  # a last line without its end is nobody's boundary
    found = b""
    view, end = memoryview(data), len(data)
    while end and len(found) < _LINES * _LINE.size:
        start = data.rfind(b"\n", 0, end - 1) + 1
        found = _LINE.pack(end - start, crc32(view[start : end - 1])) + found
        end = start
    return (before + found)[-_LINES * _LINE.size :]


def whole_lines(source: LogFile, place: int, state: SegmentState) -> int:
    """Return how far the lines behind *place* are what they were, as far as each is known."""
    lines = list(_LINE.iter_unpack(state.lines))
    start = state.farthest - sum(length for length, _ in lines)
    for length, checksum in lines:
        if start >= place:
            line = _read(source, start, length)
            if len(line) < length or line[-1:] != b"\n" or crc32(line[:-1]) != checksum:
                break
            place = start + length
        start += length
    return place


def merged(*several: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return all marks, the farthest first; places without a mark are left out."""
    every = {pair for marks in several for pair in marks if pair[1]}
    return sorted(every, reverse=True)


def verified(source: LogFile, marks: Marks) -> tuple[int, bool]:
    """Return the farthest place in *source* that is what it was, and whether all of them are.

    Places after the end of the source say nothing about what is there; nor do NULs, which stand
    where a disk lost what was read: nobody needs that again.
    """
    farthest = 0
    for offset, mark in sorted(marks):  # forward: a compressed file is read once
        length = min(offset, mark_length(mark))
        found = _read(source, offset - length, length)
        if mark_of(found) == mark:
            farthest = offset
        elif len(found) == length and b"\0" not in found:
            return farthest, False  # what is behind it may be as it was: it is not read from there
    return farthest, True


def begins_with(source: LogFile, data: bytes) -> bool:
    """Say whether *data* stands at the beginning; no where nothing can be read there."""
    try:
        return _read(source, 0, len(data)) == data
    except OSError:
        return False


def begins(source: LogFile, state: SegmentState) -> bool:
    """Say whether *source* begins as a segment does, or goes on so behind a hole."""
    head = _read(source, state.head_start, state.head_length)
    is_same = fingerprint(head) == state.head
    if is_same or b"\0" not in head:
        return is_same
    farthest, intact = verified(source, state.marks)
    return intact and farthest > 0


def holds(source: LogFile, state: SegmentState) -> bool:
    """Say whether *source* begins as a segment does and has what was read of it.

    A file that was written anew or cut and written on does not. Of a packed one as long as the
    segment the beginning is enough: not all of it is unpacked.
    """
    alike = isinstance(source, GzipLogFile) and source.promises(state.size)
    return begins(source, state) and (alike or verified(source, state.marks[:1])[1])


def _read(source: LogFile, offset: int, length: int) -> bytes:
    try:
        return source.read_at(offset, length)
    except CorruptGzipError:
        return b""


def _thinned(marks: Marks) -> list[tuple[int, str]]:
    """Keep two for each doubling of the distance from the farthest, the oldest: they grow old."""
    newest = marks[0][0]
    oldest = {}
    for offset, mark in marks:
        distance = (newest - offset) // _UNIT
        oldest[(distance * distance).bit_length(), offset == newest] = (offset, mark)
    return sorted(oldest.values(), reverse=True)
