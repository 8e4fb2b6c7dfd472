"""Where an exporter without a position begins."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

from k8s_audit_otlp.model import Block
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.inflate import CorruptGzipError
from k8s_audit_otlp.receiver.lines import (
    first_line_since,
    first_time_after,
    last_line_end,
    line_time_ns,
)
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment

EVERYTHING = 1 << 62  # an offset after any segment
_NEAR_END = 1024 * 1024  # bytes that hold the last event of a segment, as a rule


@dataclass(frozen=True, slots=True)
class Skipped:
    """What an exporter is not going to send, and where it starts: offsets by sequence number."""

    offsets: dict[int, int]
    bytes: int
    estimated: bool  # some of it is packed, and nobody has unpacked it yet


def start_at_end(log: AuditLog) -> Skipped:
    """Skip everything that is known now; a line that is not whole yet is sent."""
    return _skip([(s, _last_line_start(s) if s.live else EVERYTHING) for s in log.segments()])


def _last_line_start(segment: Segment) -> int:
    """Return where the last line of a live file begins that has no end yet, or the end."""
    state = segment.state
    if segment.source is None:
        return state.size
    return last_line_end(segment.source, state.size, state.begin)


def start_since(log: AuditLog, reader: BlockReader, since_ns: int) -> Skipped:
    """Skip what was written before *since_ns*, nanoseconds since the epoch."""
    return _skip(_until(log.segments(), reader, since_ns))


def _skip(ends: Sequence[tuple[Segment, int]]) -> Skipped:
    skipped = sum(min(offset, segment.state.likely_size) for segment, offset in ends)
    estimated = any(offset == EVERYTHING and segment.state.is_estimated for segment, offset in ends)
    return Skipped({segment.seq: offset for segment, offset in ends}, skipped, estimated)


def _until(
    segments: list[Segment], reader: BlockReader, since_ns: int
) -> list[tuple[Segment, int]]:
    """Skip whole segments that end before *since_ns*, and the lines of the next one that do."""
    firsts = [time_at(segment, reader) for segment in segments]
    ends: list[tuple[Segment, int]] = []
    for i, segment in enumerate(segments):
        if not 0 < next(filter(None, firsts[i + 1 :]), 0) <= since_ns:
            return [*ends, (segment, _first_line_since(segment, since_ns))]
        ends.append((segment, EVERYTHING))
    return ends


def _first_line_since(segment: Segment, since_ns: int) -> int:
    source, state = segment.file(), segment.state
    try:
        offset = first_line_since(source, state.begin, since_ns)[0] if source else state.begin
    except (OSError, CorruptGzipError):
        return state.begin  # nothing of it is skipped
    return min(offset, state.cut or offset)


def times_on_disk(logs: Iterable[AuditLog]) -> list[int]:
    """Return the times of the first and the last event of each segment, where they can be read.

    Of logs that are closed, too. To find the last one, all of a packed file is unpacked.
    """
    times: list[int] = []
    for segment in chain.from_iterable(log.segments() for log in logs):
        source, state = segment.file(), segment.state
        if source is not None:
            with suppress(OSError, CorruptGzipError):
                times.append(first_time_after(source.read_at, state.begin, 0))
                end = source.read_at(max(state.begin, state.likely_size - _NEAR_END), _NEAR_END)
                times += map(line_time_ns, end.splitlines())
    return [*filter(None, times)]


def time_at(segment: Segment, reader: BlockReader, offset: int = 0) -> int:
    """Return the time of the first event at or after *offset*, in ns; 0 where none is there."""
    block = reader.read(segment, offset)
    lines = block.data.splitlines() if isinstance(block, Block) else ()
    return next(filter(None, map(line_time_ns, lines)), 0)
