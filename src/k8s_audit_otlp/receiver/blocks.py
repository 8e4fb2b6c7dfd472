"""Reads segments in blocks of whole lines, and says what of them is lost.

Boundaries are a function of the segment alone: the first line start at or after a multiple of
256 KiB, or the end of what is written. So consumers at the same place ask for the same block and
share it.
"""

import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock

from k8s_audit_otlp.event.times import unix_ns
from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.lines import Stretch, find_block
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.marks import extended, last_lines
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.source import GzipSource, Source
from k8s_audit_otlp.state.manifest import SegmentState

BLOCKS_KEPT = 4 * 1024 * 1024  # bytes of them, for other exporters
_STAGE_TIME = b'"stageTimestamp":"'
_UNVERIFIED = "lacks its checksum or length; all its lines are read, and nothing verifies them"


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a segment that nobody can have any more. `reason` is one of a closed set.

    deleted, let_go, truncated, zeroed, corrupt_gzip: the bytes are lost. unseen: something may be
    missing between two segments; nobody knows how much, and one byte stands for it.
    """

    span: Span
    reason: str
    why: str = ""
    open_end: bool = False  # how much followed nobody has seen: the span is the least of it
    since_ns: int = 0  # time of an event that is not behind its start, 0 where none is known
    until_ns: int = 0  # and of the first one after it


class BlockReader:
    """Reads the blocks of one log; the newest are kept for other consumers.

    The cache is bounded in bytes. A consumer that lags far behind reads past it: the tail stays.
    """

    def __init__(
        self, log: AuditLog, *, cache_bytes: int = BLOCKS_KEPT, with_path: bool = False
    ) -> None:
        """*with_path*: blocks say where their file is."""
        self._log = log
        self._on_read: Callable[[Segment, Block], None] = lambda _segment, _block: None
        self._with_path = with_path
        self._cache: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._cached = 0
        self._bound = cache_bytes
        self._lock = Lock()  # guards the cache

    def listen(self, on_read: Callable[[Segment, Block], None]) -> None:
        """Call *on_read* with every block that is read from a file."""
        self._on_read = on_read

    def read(self, segment: Segment, offset: int) -> Block | Gap | None:
        """Return what begins at *offset*: a block, a gap, or None when nothing is there yet."""
        with self._lock:
            kept = self._cache.get((segment.seq, offset))
        if kept is not None:
            return kept
        found = self._read(segment, offset)
        if isinstance(found, Block):
            self._on_read(segment, found)
            self._keep(found)
        elif found is None:
            self._log.ask_again_later(segment)
        return found

    def before(self, seq: int, offset: int, size: int) -> bytes:
        """Return up to *size* bytes that lie before *offset*; none where they are out of reach.

        What lies before 0 are the last bytes of the segments that it follows.
        """
        known = self._log.segments()
        if offset:
            return next((_tail(s, offset, size) for s in known if s.seq == seq), b"")
        found = b""
        for segment in reversed([s for s in known if s.seq < seq]):
            tail = _tail(segment, segment.state.size, size - len(found))
            found = tail + found
            if len(found) >= size or len(tail) < segment.state.size:
                break
        return found

    def _keep(self, block: Block) -> None:
        key = (block.span.segment, block.span.start)
        if len(block.data) > self._bound:
            return
        with self._lock:
            if key not in self._cache:
                self._cache[key] = block
                self._cached += len(block.data)
            while self._cached > self._bound:
                _, old = self._cache.popitem(last=False)
                self._cached -= len(old.data)

    def _read(self, segment: Segment, offset: int) -> Block | Gap | None:
        source, state = segment.source, segment.state
        if 0 < state.cut <= offset or (source is None and state.gone):
            return self._missing(segment, offset)
        if source is None:
            return None
        try:
            return self._read_from(source, segment, offset)
        except OSError as error:
            self._log.failed(segment, error)
            return None
        except CorruptGzipError as damage:
            return self._torn(source, segment, offset, damage.offset, str(damage))

    def _read_from(self, source: Source, segment: Segment, offset: int) -> Block | Gap | None:
        found = self._find(source, segment, offset)
        if not segment.is_still_in(source):
            return None  # cut and written anew: these may be bytes of another segment
        if source.end and not segment.state.complete:  # a compressed one, read so far now
            self._log.ended(segment, source.end)
        if found.end == offset:
            return self._nothing(source, segment, found)
        state = segment.state
        span = Span(segment.seq, offset, found.end)
        if found.hole:
            never = self._never_was(segment, offset)
            if never <= offset:
                return self._zeroed(segment, span, found.after_ns)
            span = Span(segment.seq, offset, min(never, found.end))
        self._note(segment, span, found.data)
        path = str(segment.path or "") if self._with_path else ""
        return Block(span, state.identity, state.name, found.data, self._log.clock_ns(), path)

    def _never_was(self, segment: Segment, offset: int) -> int:
        """Return up to where NULs at *offset* are no loss: where what was copied and cut ended.

        A writer that keeps its offset leaves them in front of its next line, as many at least. All
        others were lines that a power cut took; before the first file of all, nobody knows.
        """
        state = segment.state
        if not segment.begins_at(offset):
            return 0
        if (before := self._before(segment)) is None:
            return sys.maxsize
        size = before.likely_size
        return 0 if state.head_start < size and not state.begin else size

    def _before(self, segment: Segment) -> SegmentState | None:
        before = [s.state for s in self._log.segments() if s.seq < segment.seq and not s.state.lost]
        return before[-1] if before else None

    def _find(self, source: Source, segment: Segment, offset: int) -> Stretch:
        state, limits = segment.state, self._log.limits
        last = self._last_counts(source, segment)
        found = find_block(
            source,
            offset,
            longest=limits.max_line_bytes,
            last=last,
            upto=state.cut or None,
            useful=limits.useful_line_bytes,
        )
        if 0 < offset == state.torn:  # told as lost: the rest of that line is no line
            return found._replace(data=b"", end=offset + found.data.find(b"\n") + 1)
        return found

    def _last_counts(self, source: Source, segment: Segment) -> bool:
        """Say whether a last line without its newline is one: nothing will be added to it."""
        if source.compressed:
            return source.has_end
        closed = segment.state.complete and not segment.live
        return closed and self._log.unchanged_for(segment, self._log.limits.settle_s)

    def _note(self, segment: Segment, span: Span, data: bytes) -> None:
        """Remember what was read farthest, so that the file is known by it."""
        state = segment.state
        whole = len(data) == span.end - span.start  # not of a line that was shortened
        if data and whole and span.end > state.farthest:
            at = data.rfind(_STAGE_TIME) + len(_STAGE_TIME)
            last = data[at : at + 40].partition(b'"')[0] if at >= len(_STAGE_TIME) else b""
            last_ns = unix_ns(last.decode("utf-8", "replace")) or 0
            lines = last_lines(state.lines if state.farthest == span.start else b"", data)
            marks = extended(state.marks, span.start, data)
            self._log.read_up_to(segment, marks, lines, last_ns)

    # -- what is not there ---------------------------------------------------------------------

    def _nothing(self, source: Source, segment: Segment, found: Stretch) -> Gap | None:
        """Say whether what should follow is lost: the file ends for good before the segment."""
        state, offset = segment.state, found.end
        if not source.has_end:
            seen = offset + found.unfinished
            return self._torn(source, segment, offset, seen, "the file has no end")
        if segment.live or not state.complete or offset >= state.size:
            return None
        if not source.compressed:  # the rest of a copy may be under way
            limits = self._log.limits
            if source.stat().st_size > offset or not self._log.unchanged_for(
                segment, limits.settle_s
            ):
                return None
        return self._gap(segment, offset, "truncated")

    def _missing(self, segment: Segment, offset: int) -> Gap | None:
        state = segment.state
        cut = "truncated" if state.truncated or state.cut else "deleted"
        reason = state.lost or ("let_go" if state.let_go else cut)
        return self._gap(segment, offset, reason) if state.size > offset else None

    def _zeroed(self, segment: Segment, span: Span, after_ns: int) -> Gap:
        """Tell of NULs that stand where lines were, before an event of *after_ns*, 0 for none."""
        until_ns = after_ns or self._first_after(segment)
        since_ns = segment.state.first_ns
        if segment.begins_at(span.start) or 0 < until_ns <= since_ns:  # none of it before
            before = self._before(segment)
            since_ns = before.since_ns if before else 0
        since_ns = 0 if since_ns > until_ns > 0 else since_ns  # it was found behind newer ones
        return Gap(span, "zeroed", "", since_ns=since_ns, until_ns=until_ns)

    def _gap(self, segment: Segment, offset: int, reason: str) -> Gap:
        """Tell that everything from *offset* on is lost, as far as it is known and beyond."""
        state = segment.state
        span = Span(segment.seq, offset, state.size)
        until_ns = state.last_ns if state.lost else self._first_after(segment)
        open_end = state.open_end or bool(state.lost)
        return Gap(span, reason, state.detail, open_end, state.first_ns, until_ns)

    def _first_after(self, segment: Segment) -> int:
        """Return the time of the first event of what follows, 0 where none is known."""
        later = (s.state for s in self._log.segments() if s.seq > segment.seq and not s.state.lost)
        first_ns = next((state.first_ns for state in later), 0)
        return first_ns if first_ns >= segment.state.first_ns else 0

    def _torn(
        self, source: Source, segment: Segment, offset: int, end: int, why: str
    ) -> Gap | None:
        """Give up on a compressed file that will not get better; until then wait."""
        if not self._log.unchanged_for(segment, self._log.limits.torn_s):
            return None
        if isinstance(source, GzipSource) and source.ends_without_trailer():
            self._log.ended(segment, source.end or 0, _UNVERIFIED)
            return None
        self._log.torn(segment, max(end, offset + 1))
        return replace(self._gap(segment, offset, "corrupt_gzip"), why=why)


def _tail(segment: Segment, end: int, size: int) -> bytes:
    """Return up to *size* bytes of *segment* before *end*, none where it cannot be read."""
    start = max(0, end - size)
    try:
        source = segment.file()
        return source.read_at(start, end - start) if source else b""
    except (OSError, ValueError, CorruptGzipError):
        return b""
