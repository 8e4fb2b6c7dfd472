"""Identifies segments and positions by their bytes, not by names, inodes or numbers.

A segment is known by its first line: names change, and inodes are used again. A mark names the
bytes before a place. A file may be cut and written on, restored from a copy or packed: only where
the marks still hold do offsets mean what they meant. Marks of the places that were read last are
kept close together, older ones ever farther apart; of the last lines each one is known.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from struct import Struct

import msgspec
from isal.isal_zlib import crc32

from k8s_audit_otlp.event.lenient_json import REFUSED
from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.lines import BLANKS, length_of_line
from k8s_audit_otlp.receiver.source import Source
from k8s_audit_otlp.state.ledger import MARK_BYTES, mark_length, mark_of
from k8s_audit_otlp.state.manifest import SegmentState

HEAD_BYTES = 1024  # the fingerprint: enough to cover the first event's audit id
_FIRST_READ = 64 * 1024  # enough for most first lines

# What may stand before the first line: a byte order mark, the hole that a truncating tool leaves,
# empty lines. One repetition takes a whole run: an engine remembers each, and holes are large.
_LEADING = re.compile(rb"(?:\xef\xbb\xbf|[\x00\n]+)*")


class _First(msgspec.Struct):
    auditID: str | None = None  # noqa: N815 - the event's own names
    stage: str | None = None
    requestReceivedTimestamp: str | None = None  # noqa: N815
    stageTimestamp: str | None = None  # noqa: N815


_decode_first = msgspec.json.Decoder(_First).decode


@dataclass(frozen=True, slots=True)
class Identity:
    """`name` is 16 hex digits; `head` is a fingerprint of `head_length` bytes at `head_start`.

    What stands before the first line is left out: all holes look alike. `when_ns` is the time of
    the first event, 0 where it has none.
    """

    name: str
    head: str
    head_length: int
    head_start: int
    when_ns: int = 0


def fingerprint(data: bytes) -> str:
    return blake2b(data, digest_size=8).hexdigest()


def identify(data: bytes, *, finished: bool) -> Identity | None:
    """Return the identity of the segment that begins with *data*.

    None while its first line is not complete. *finished* says that nothing will be added, so an
    unterminated line counts.
    """
    leading = _LEADING.match(data)
    start = leading.end() if leading else 0
    end = data.find(b"\n", start)
    if end < 0:
        if not finished or start >= len(data):
            return None
        end = len(data)
    line = data[start:end]
    head = line[:HEAD_BYTES]
    name, when_ns = _name(line)
    return Identity(name, fingerprint(head), len(head), start, when_ns)


def read_identity(source: Source, *, finished: bool, max_line_bytes: int) -> Identity | None:
    """Identify an open file. Memory is bounded whatever stands before the first line.

    *finished*: nothing is added to it; that of a compressed one counts once its end is known.

    Raise OSError or CorruptGzipError where it cannot be read as far as that.
    """
    start, known = _first_byte(source), False
    read = source.read_at(start, _FIRST_READ)
    if len(read) == _FIRST_READ and b"\n" not in read:
        length, ended = length_of_line(source, start, len(read), most=max_line_bytes)
        known = ended or length > max_line_bytes  # nobody waits for the end of that
        if length <= max_line_bytes and (ended or finished):
            read = source.read_at(start, length)
    identity = identify(read, finished=known or (finished and source.has_end))
    return replace(identity, head_start=identity.head_start + start) if identity else None


def _first_byte(source: Source) -> int:
    """Return where something stands that is no blank line, hole or byte order mark."""
    offset = 0
    while True:
        offset = source.next_data(offset)
        read = source.read_at(offset, _FIRST_READ)
        if len(read) == _FIRST_READ and not read.strip(BLANKS):
            offset += len(read)
            continue
        leading = _LEADING.match(read)
        skipped = leading.end() if leading else 0
        if skipped < len(read) or len(read) < _FIRST_READ:
            return offset + skipped
        offset += skipped


def _name(line: bytes) -> tuple[str, int]:
    """Return the name of a segment with this first line, and when that event happened."""
    try:
        first = _decode_first(line)
    except REFUSED:
        return fingerprint(line), 0
    when_ns = unix_ns(first.stageTimestamp) or unix_ns(first.requestReceivedTimestamp) or 0
    parts = (first.auditID, first.stage, first.requestReceivedTimestamp, first.stageTimestamp)
    if not first.auditID or not any(parts[2:]):
        return fingerprint(line), when_ns
    whole = "\0".join(p or "" for p in parts)
    return fingerprint(whole.encode("utf-8", "surrogatepass")), when_ns


Marks = Sequence[tuple[int, str]]  # (offset, mark of the bytes before it), the farthest first

_UNIT = 4 * 1024  # bytes between the two farthest marks
_LINES = 64  # of which each is known: more than a power cut takes of most logs
_LINE = Struct("<II")  # its length and its checksum


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


def whole_lines(source: Source, place: int, state: SegmentState) -> int:
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


def verified(source: Source, marks: Marks) -> tuple[int, bool]:
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


def _read(source: Source, offset: int, length: int) -> bytes:
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
