"""Compares a file with the known segment that begins alike: the same one, a copy or another.

Equal first lines prove little: the apiserver packs a backup beside the plain file, logrotate
copies a log before it cuts it, an editor puts a copy in its place, and a line of no event may
begin two files. What is in doubt is another segment: sent again rather than skipped.
"""

import sys
from contextlib import suppress
from enum import Enum

from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.log_file import GzipLogFile, LogFile
from k8s_audit_otlp.receiver.marks import Marks, verified, whole_lines
from k8s_audit_otlp.receiver.segment import Segment

_STEP = 1024 * 1024  # bytes that are compared at once; of a compressed file only its first


class SegmentMatch(Enum):
    SAME = "read the segment from it"
    COMPRESSED = "the same bytes, packed or copied; what is open is read on"
    DUPLICATE = "the same bytes once more; the segment has a better file"
    DIFFERENT = "another segment"


def match(
    segment: Segment,
    own: LogFile | None,
    other: LogFile,
    marks: Marks = (),
    *,
    elsewhere: bool,
    live: bool,
) -> SegmentMatch:
    """Compare *other*, a file that begins as *segment* does, with what holds the segment.

    *own* is the segment's file where it can be opened, *marks* what was read of it. *elsewhere*:
    that file is in the directory under another name. *live*: the other file is the live one.
    """
    if segment.state.cut:
        return SegmentMatch.DIFFERENT  # what follows it in its file has that file
    if own is None:
        same = not elsewhere and _continues(segment, other, marks, live=live)
        return SegmentMatch.SAME if same else SegmentMatch.DIFFERENT
    if not same_content(own, other):
        return SegmentMatch.DIFFERENT
    if elsewhere:
        return _beside(segment, own, other, live=live)
    if not _is_longer(other, own):
        return SegmentMatch.COMPRESSED  # whoever writes may have the open one, as after `sed -i`
    whole = other.compressed or other.stat().st_size >= segment.state.size
    return SegmentMatch.SAME if whole and verified(other, marks)[1] else SegmentMatch.DIFFERENT


def _beside(segment: Segment, own: LogFile, other: LogFile, *, live: bool) -> SegmentMatch:
    """Compare two files of the same content that are both in the directory.

    Of a log and its copy the log goes on; of two backups, the one that was put back and written to
    holds more. A log with more than the open file but less than was known goes its own way.
    """
    # The length counts, too: it may have grown since the last look, or nobody has read it yet.
    if live and other.stat().st_size >= max(segment.state.size, own.length() or 0):
        return SegmentMatch.SAME
    if segment.live or not _is_longer(other, own):
        return SegmentMatch.DUPLICATE
    return SegmentMatch.DIFFERENT if live else SegmentMatch.SAME


def _is_longer(other: LogFile, own: LogFile) -> bool:
    if isinstance(other, GzipLogFile) and not own.compressed and other.promises(own.stat().st_size):
        return False  # it is not unpacked to see that
    return (other.length() or 0) > (own.length() or 0)


def _continues(segment: Segment, other: LogFile, marks: Marks, *, live: bool) -> bool:
    """Say whether a file may hold a segment that no known file holds any more.

    A shorter one does only as a copy that was made before the log was cut, not as what was read
    itself. One that has grown after it was closed must hold what was read of it. The very file of
    a segment that was given up may have been cut: what was told as lost must be in it.
    """
    farthest, intact = verified(other, marks)
    if not intact or other.compressed:
        return intact
    state = segment.state
    size = other.stat().st_size
    copied = segment.key != (other.device, other.inode)
    if live and copied and state.device == other.device and 0 < state.size <= farthest:
        return False  # no move to another disk: who wrote may have gone on in the old one
    if state.complete and (copied or state.gone):
        return (copied and size == state.size) or 0 < state.size <= farthest
    return size >= state.size or (copied and not live)


def same_content(one: LogFile, other: LogFile) -> bool:
    """Say whether two files agree as far as both go.

    Of a compressed one the beginning counts, as to unpack it takes long. Two plain files may be
    read to their ends and part in between, as a spool does that began anew after a failed sync.
    """
    packed = one.compressed or other.compressed
    return not _shared(one, other, _STEP if packed else sys.maxsize)[1]


def shared_place(segment: Segment, other: LogFile, marks: Marks) -> int:
    """Return the farthest of the places in *marks* up to which *other* is what *segment* was.

    Beside the segment's own file it may part from it and meet it again, as a spool after a failed
    sync does: only what both have from the beginning on counts then. A file that does not reach
    every place is not proven to be its own.
    """
    own = segment.file()
    if own is not None and verified(own, marks) == (max((at for at, _ in marks), default=0), True):
        shared, _ = _shared(own, other)
        marks = [(offset, mark) for offset, mark in marks if offset <= shared]
        return verified(other, marks)[0]
    return whole_lines(other, verified(other, marks)[0], segment.state)


def _shared(one: LogFile, other: LogFile, most: int = sys.maxsize) -> tuple[int, bool]:
    """Return how many bytes at the beginning are the same in both, and whether they part there."""
    at = 0
    with suppress(CorruptGzipError):
        while (
            at < most and (ours := one.read_at(at, _STEP)) and (theirs := other.read_at(at, _STEP))
        ):
            shorter = min(len(ours), len(theirs))
            if ours[:shorter] != theirs[:shorter]:
                pairs = enumerate(zip(ours, theirs, strict=False))
                return at + next(n for n, (a, b) in pairs if a != b), True
            at += shorter
    return at, False
