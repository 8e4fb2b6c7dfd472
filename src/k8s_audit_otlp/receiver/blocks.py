"""A segment and an offset in, a block of whole lines out.

Boundaries are a function of the segment alone: the first line start at or after a multiple of
256 KiB, or the end of what is written. So consumers at the same place ask for the same block and
share it.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.oversized import envelope_of
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.receiver.source import GzipSource, PlainSource

BLOCK_BYTES = 256 * 1024
_LOOK_AHEAD = 8 * 1024  # more than most lines: one read finds the end of the block
_LONG_LINE = 1024 * 1024  # a longer one goes alone
_STEP = 1024 * 1024  # how a longer line is fetched
_TAIL_KEPT = 256 * 1024  # of a line over the limit: the timestamps come last
_NULS = re.compile(rb"\x00+")


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a segment that nobody can have any more. `reason` is one of a closed set."""

    span: Span
    reason: str  # deleted | let_go | truncated | corrupt_gzip
    why: str = ""
    open_end: bool = False  # how much followed nobody has seen: the span is the least of it


class BlockReader:
    """Reads the blocks of one log; the newest are kept for other consumers.

    The cache is bounded in bytes. A consumer that lags far behind reads past it: the tail stays.
    """

    def __init__(self, log: AuditLog, *, cache_bytes: int = 4 * 1024 * 1024) -> None:
        self._log = log
        self._cache: OrderedDict[tuple[int, int], Block] = OrderedDict()
        self._cached = 0
        self._bound = cache_bytes
        self._lock = Lock()  # guards the cache

    def read(self, segment: Segment, offset: int) -> Block | Gap | None:
        """Return what begins at *offset*: a block, a gap, or None when nothing is there yet."""
        key = (segment.seq, offset)
        with self._lock:
            if (kept := self._cache.get(key)) is not None:
                return kept
        found = self._read(segment, offset)
        if isinstance(found, Block):
            self._keep(key, found)
        elif found is None:
            self._log.waited_for(segment)
        return found

    def _keep(self, key: tuple[int, int], block: Block) -> None:
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
        source = segment.source
        if source is None:
            return self._missing(segment, offset)
        with segment.lock:
            try:
                found = self._from(source, segment, offset)
            except (OSError, ValueError):
                return None  # closed or replaced meanwhile; the next look finds out
            except CorruptGzipError as damage:
                found = self._torn(segment, offset, damage.offset, str(damage))
            if isinstance(found, Block) and segment.live and not segment.begins_as_known(source):
                return None  # cut and written anew: these may be bytes of another segment
            end = source.end if isinstance(source, GzipSource) else None
        # Only now: the log's lock comes before the segment's, never after it.
        if isinstance(found, Gap):
            self._log.ended(segment, found.span.end)
        elif end is not None and not segment.state.complete:
            # More was known of it than this copy holds: the rest becomes a gap.
            self._log.ended(segment, max(end, segment.state.size))
        return found

    def _missing(self, segment: Segment, offset: int) -> Gap | None:
        state = segment.state
        if not state.gone:
            return None
        # Where the end was never seen, something may be missing even after all that is known.
        end = max(state.size, offset if state.complete else offset + 1)
        open_end = not state.complete
        self._log.ended(segment, end)
        reason = "let_go" if state.let_go else "truncated" if state.truncated else "deleted"
        span = Span(segment.seq, offset, end)
        return Gap(span, reason, open_end=open_end) if end > offset else None

    def _torn(self, segment: Segment, offset: int, end: int, why: str) -> Gap | None:
        """Give up on a compressed file that will not get better; until then wait."""
        if not self._unchanged_for(segment, self._log.limits.torn_s):
            return None
        end = max(end, offset + 1, segment.state.size)
        return Gap(Span(segment.seq, offset, end), "corrupt_gzip", why)

    def _unchanged_for(self, segment: Segment, seconds: float) -> bool:
        now_ns = self._log.clock_ns()
        segment.changed_ns = min(segment.changed_ns, now_ns)  # the clock may have been set back
        return now_ns - segment.changed_ns >= seconds * 1e9

    def _from(
        self, source: PlainSource | GzipSource, segment: Segment, offset: int
    ) -> Block | Gap | None:
        want = BLOCK_BYTES - offset % BLOCK_BYTES
        length = want + _LOOK_AHEAD
        data = source.read_at(offset, length)
        if data[:1] == b"\0" or (offset == 0 and data.startswith(b"\xef\xbb\xbf")):
            return self._skipped(source, segment, offset, data)
        end = data.find(b"\n", want - 1) + 1
        while not end and len(data) == length:
            longest = self._log.limits.max_line_bytes
            if length > min(want + _LONG_LINE, longest) and (before := data.rfind(b"\n") + 1):
                end = before  # a long line is a block of its own
                break
            if length > longest:
                return self._oversized(source, segment, offset, data[:_TAIL_KEPT])
            searched, length = length, length + _STEP
            data = source.read_at(offset, length)
            end = data.find(b"\n", searched) + 1
        if end:
            return self._block(segment, offset, data[:end])
        return self._last(source, segment, offset, data)

    def _last(
        self, source: PlainSource | GzipSource, segment: Segment, offset: int, data: bytes
    ) -> Block | Gap | None:
        """Take what is there before the data ends, for now or for good."""
        end = data.rfind(b"\n") + 1
        if end:
            return self._block(segment, offset, data[:end])
        if not data and self._cut_short(source, segment, offset):
            return Gap(Span(segment.seq, offset, segment.state.size), "truncated")
        if isinstance(source, GzipSource):
            if source.end is not None:
                return self._block(segment, offset, data) if data else None
            segment.look(self._log.clock_ns())
            return self._torn(segment, offset, offset + len(data), "the file has no end")
        closed = segment.state.complete and not segment.live
        if data and closed and self._unchanged_for(segment, self._log.limits.settle_s):
            return self._block(segment, offset, data)
        return None

    @staticmethod
    def _cut_short(source: PlainSource | GzipSource, segment: Segment, offset: int) -> bool:
        """Say whether the file ends for good before the segment does: the rest is lost."""
        state = segment.state
        if segment.live or not state.complete or offset >= state.size:
            return False
        if isinstance(source, GzipSource):
            return source.end is not None
        return source.stat().st_size <= offset

    def _block(self, segment: Segment, offset: int, data: bytes, end: int = 0) -> Block:
        state = segment.state
        return Block(
            Span(segment.seq, offset, end or offset + len(data)),
            state.identity,
            state.name,
            data,
            self._log.clock_ns(),
        )

    def _skipped(
        self, source: PlainSource | GzipSource, segment: Segment, offset: int, data: bytes
    ) -> Block:
        """Pass a byte order mark or a run of NULs: bytes without a line."""
        if data[:1] != b"\0":
            return self._block(segment, offset, b"", offset + 3)
        run = _NULS.match(data)
        end = offset + (run.end() if run else 1)
        if end == offset + len(data) and isinstance(source, PlainSource):
            end = max(end, source.next_data(end))
        return self._block(segment, offset, b"", end)

    def _oversized(
        self, source: PlainSource | GzipSource, segment: Segment, offset: int, head: bytes
    ) -> Block | None:
        """Make a record without bodies of a line over the limit; its envelope comes first."""
        position = offset + len(head)
        tail = head
        while True:
            chunk = source.read_at(position, _STEP)
            end = chunk.find(b"\n") + 1
            if not end and not chunk:
                if not segment.state.complete:
                    return None
                break
            tail = (tail + (chunk[:end] or chunk))[-_TAIL_KEPT:]
            position += end or len(chunk)
            if end:
                break
        return self._block(segment, offset, envelope_of(head, tail), position)
