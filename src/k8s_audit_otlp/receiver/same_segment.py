"""A file that begins as a known segment does in, what it is to that segment out.

Equal first lines prove little: the apiserver packs a backup beside the plain file, logrotate
copies a log before it cuts it, an editor puts a copy in its place, and a line of no event may
begin two files. What is in doubt is another segment: sent again rather than skipped.
"""

from enum import Enum

from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource

_COMPARED = 1024 * 1024  # bytes at the beginning that must agree
_COMPARED_LAST = 64 * 1024  # and, in plain files, before the end of the shorter one


class SegmentMatch(Enum):
    SAME = "read the segment from it"
    COMPRESSED = "its compressed form; what is open is read on"
    COPY = "the same bytes once more; the segment has a better file"
    DIFFERENT = "another segment"


def match(
    segment: Segment,
    own: PlainSource | GzipSource | None,
    other: PlainSource | GzipSource,
    *,
    elsewhere: bool,
    live: bool,
) -> SegmentMatch:
    """Compare *other*, a file that begins as *segment* does, with what holds the segment.

    *own* is the segment's file where it can be opened. *elsewhere*: that file is in the directory
    under another name. *live*: the other file is the live one.
    """
    if own is None:
        holds = isinstance(other, GzipSource) or _continues(segment, other, live=live)
        return SegmentMatch.SAME if holds and not elsewhere else SegmentMatch.DIFFERENT
    if not same_content(own, other):
        return SegmentMatch.DIFFERENT
    if elsewhere:
        return _beside(segment, own, other, live=live)
    if isinstance(other, GzipSource):
        return SegmentMatch.COMPRESSED
    return SegmentMatch.SAME if _holds_all(segment, own, other) else SegmentMatch.DIFFERENT


def _beside(
    segment: Segment,
    own: PlainSource | GzipSource,
    other: PlainSource | GzipSource,
    *,
    live: bool,
) -> SegmentMatch:
    """Compare two files of the same content that are both in the directory.

    Of a log and its copy the log goes on; of two backups, the one that was put back and written to
    holds more. A log with more than the open file but less than was known goes its own way.
    """
    longer = _length(other) > _length(own)
    if live and _holds_all(segment, own, other):
        return SegmentMatch.SAME
    if not longer or segment.live:
        return SegmentMatch.COPY
    return SegmentMatch.DIFFERENT if live else SegmentMatch.SAME


def _holds_all(
    segment: Segment, own: PlainSource | GzipSource, other: PlainSource | GzipSource
) -> bool:
    if not isinstance(other, PlainSource):
        return False
    # The length counts, not what is known: it may have grown since, or nobody has read it yet.
    return other.stat().st_size >= max(segment.state.size, _length(own))


def _length(source: PlainSource | GzipSource) -> int:
    """Return how many bytes a file holds; a compressed one without an end has none to offer."""
    if isinstance(source, PlainSource):
        return source.stat().st_size
    offset = 0
    try:
        while data := source.read_at(offset, _COMPARED):
            offset += len(data)
    except CorruptGzipError:
        return 0
    return source.end or 0


def _continues(segment: Segment, other: PlainSource, *, live: bool) -> bool:
    """Say whether a plain file may hold a segment that no known file holds any more.

    A shorter one does only as a copy that was made before the log was cut.
    """
    state = segment.state
    size = other.stat().st_size
    if state.complete and (state.device, state.inode) != (other.device, other.inode):
        return size == state.size
    return size >= state.size or not live


def same_content(one: PlainSource | GzipSource, other: PlainSource | GzipSource) -> bool:
    """Say whether two files agree as far as both go."""
    if not _agree(one, other, 0, _COMPARED):
        return False
    if isinstance(one, GzipSource) or isinstance(other, GzipSource):
        return True
    shorter = min(one.stat().st_size, other.stat().st_size)
    return _agree(one, other, max(0, shorter - _COMPARED_LAST), _COMPARED_LAST)


def _agree(
    one: PlainSource | GzipSource, other: PlainSource | GzipSource, offset: int, length: int
) -> bool:
    ours, theirs = one.read_at(offset, length), other.read_at(offset, length)
    shared = min(len(ours), len(theirs))
    return ours[:shared] == theirs[:shared]
