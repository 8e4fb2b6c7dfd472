"""Places of a segment that are known by their bytes, not only by their number.

A mark names the bytes before a place. A file may be cut and written on, restored from a copy or
packed: only where the marks still hold do offsets mean what they meant. Marks of the places that
were read last are kept close together, older ones ever farther apart.
"""

from collections.abc import Iterable, Sequence

from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.source import Source
from k8s_audit_otlp.state.ledger import MARK_BYTES, mark_length, mark_of

Marks = Sequence[tuple[int, str]]  # (offset, mark of the bytes before it), the farthest first

_UNIT = 4 * 1024  # bytes between the two farthest marks


def extended(marks: Marks, start: int, data: bytes) -> list[tuple[int, str]]:
    """Add the ends of lines in *data*, which begins at *start*; a few near its end, its end too."""
    found = []
    end, distance = len(data), _UNIT
    while end > 0:
        found.append((start + end, mark_of(data[max(0, end - MARK_BYTES) : end])))
        end = data.rfind(b"\n", 0, max(0, len(data) - distance)) + 1
        distance *= 2
    return _thinned([*found, *marks])


def merged(*several: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return all marks, the farthest first; places without a mark are left out."""
    every = {pair for marks in several for pair in marks if pair[1]}
    return sorted(every, reverse=True)


def verified(source: Source, marks: Marks) -> tuple[int, bool]:
    """Return the farthest place in *source* that is what it was, and whether all of them are.

    Places after the end of the source say nothing about what is there.
    """
    farthest, intact = 0, True
    for offset, mark in sorted(marks):  # forward: a compressed file is read once
        length = min(offset, mark_length(mark))
        found = _read(source, offset - length, length)
        if mark_of(found) == mark:
            farthest = offset
        elif len(found) == length:
            intact = False
    return farthest, intact


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
