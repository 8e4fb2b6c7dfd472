"""Reads segments in blocks of whole lines, and says what of them is lost.

Boundaries are a function of the segment alone: the first line start at or after a multiple of
256 KiB, or the end of what is written. So consumers at the same place ask for the same block and
share it.
"""

import sys
from collections.abc import Callable

from k8s_audit_otlp.model import Block, Span
from k8s_audit_otlp.receiver.block_cache import BlockCache
from k8s_audit_otlp.receiver.gaps import Gap, Losses
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.lines import Lines, Stretch
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.log_file import LogFile
from k8s_audit_otlp.receiver.marks import read_on
from k8s_audit_otlp.receiver.segment import Segment

BLOCKS_KEPT = 4 * 1024 * 1024  # bytes of them, for other exporters


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
        self._cache = BlockCache(cache_bytes)

    def listen(self, on_read: Callable[[Segment, Block], None]) -> None:
        """Call *on_read* with every block that is read from a file."""
        self._on_read = on_read

    def read(self, segment: Segment, offset: int) -> Block | Gap | None:
        """Return what begins at *offset*: a block, a gap, or None when nothing is there yet."""
        return self._cache.get(segment.seq, offset, lambda: self._read(segment, offset))

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

    def _read(self, segment: Segment, offset: int) -> Block | Gap | None:
        found = self._find(segment, offset)
        if isinstance(found, Block):
            self._on_read(segment, found)
        elif found is None:
            self._log.ask_again_later(segment)
        return found

    def _find(self, segment: Segment, offset: int) -> Block | Gap | None:
        source, state = segment.source, segment.state
        if 0 < state.cut <= offset or (source is None and state.gone):
            return Losses(state, self._log.states()).missing(offset)
        if source is None:
            return None
        try:
            return self._read_from(source, segment, offset)
        except OSError as error:
            self._log.failed(segment, error)
            return None

    def _read_from(self, source: LogFile, segment: Segment, offset: int) -> Block | Gap | None:
        lines, state = self._lines(source, segment), segment.state
        found = lines.block_at(offset)
        if not segment.is_still_in(source):
            return None  # cut and written anew: these may be bytes of another segment
        if 0 < offset == state.torn:  # told as lost: the rest of that line is no line
            found = found._replace(data=b"", end=offset + found.data.find(b"\n") + 1)
        self._log.was_read(segment, source, read_on(state, offset, found.data, found.end))
        if found.end == offset:
            return self._nothing(lines, segment, found)
        span = Span(segment.seq, offset, found.end)
        if found.hole:
            losses = Losses(state, self._log.states())
            never_was = losses.never_was(offset)
            if never_was <= offset:
                return losses.zeroed(span, found.after_ns)
            span = Span(segment.seq, offset, min(never_was, found.end))
        path = str(segment.path or "") if self._with_path else ""
        return Block(span, state.identity, state.name, found.data, self._log.clock_ns(), path)

    def _lines(self, source: LogFile, segment: Segment) -> Lines:
        """Return the lines of a segment; a last one without its newline is one in what is final."""
        limits, upto = self._log.limits, segment.state.cut or sys.maxsize
        final = source.has_end
        if not source.compressed:
            closed = segment.state.complete and not segment.live
            final = closed and self._log.unchanged_for(segment, limits.settle_s)
        return Lines(source, limits.max_line_bytes, final, upto, limits.useful_line_bytes)

    def _nothing(self, lines: Lines, segment: Segment, found: Stretch) -> Block | Gap | None:
        """Say whether what should follow is lost: the file ends for good before the segment."""
        source, state, offset = lines.source, segment.state, found.end
        if not source.has_end:
            return self._torn(source, segment, found)
        if not state.complete or offset >= state.size:
            return None
        if not source.compressed and (not lines.last or source.stat().st_size > offset):
            return None  # the rest of a copy may be under way
        return Losses(state, self._log.states()).from_here(offset, "truncated")

    def _torn(self, source: LogFile, segment: Segment, found: Stretch) -> Block | Gap | None:
        """Give up on a compressed file that will not get better; until then wait."""
        if not self._log.unchanged_for(segment, self._log.limits.torn_s):
            return None
        if source.ends_without_trailer():
            return self._read_from(source, segment, found.end)
        self._log.torn(segment, found.end + max(found.unfinished, 1))
        why = found.damage or "the file has no end"
        return Losses(segment.state, self._log.states()).from_here(found.end, "corrupt_gzip", why)


def _tail(segment: Segment, end: int, size: int) -> bytes:
    """Return up to *size* bytes of *segment* before *end*, none where it cannot be read."""
    start = max(0, end - size)
    try:
        source = segment.file()
        return source.read_at(start, end - start) if source else b""
    except (OSError, ValueError, CorruptGzipError):
        return b""
