"""Where an exporter without a position begins."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from k8s_audit_otlp.receiver.blocks import BlockReader, Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment

EVERYTHING = 1 << 62  # an offset after any segment
_STEP = 64 * 1024  # bytes read at once to find the beginning of a line
_TIME = re.compile(rb'"(?:stageTimestamp|timestamp)"[ \t]*:[ \t]*"([0-9T:.Z+-]{20,35})"')


@dataclass(frozen=True, slots=True)
class Skipped:
    """What an exporter is not going to send, and where it starts: offsets by sequence number."""

    offsets: dict[int, int]
    bytes: int


def start_at_end(log: AuditLog) -> Skipped:
    """Skip everything that is known now; a line that is not whole yet is sent."""
    return _skip([(s, _last_line_start(s) if s.live else EVERYTHING) for s in log.segments()])


def _last_line_start(segment: Segment) -> int:
    """Return where the last line of a live file begins that has no end yet, or the end."""
    end = before = segment.state.size
    while segment.source is not None and before > segment.state.begin:
        length = min(before, _STEP)
        newline = segment.source.read_at(before - length, length).rfind(b"\n")
        if newline >= 0:
            return before - length + newline + 1
        before -= length
    return segment.state.begin if segment.source is not None else end


def start_since(log: AuditLog, reader: BlockReader, since_ns: int) -> Skipped:
    """Skip what was written before *since_ns*, nanoseconds since the epoch."""
    since = datetime.fromtimestamp(since_ns / 1e9, UTC)
    return _skip(_until(log.segments(), reader, since))


def _skip(ends: Sequence[tuple[Segment, int]]) -> Skipped:
    skipped = sum(min(offset, segment.state.likely_size) for segment, offset in ends)
    return Skipped({segment.seq: offset for segment, offset in ends}, skipped)


def _until(
    segments: list[Segment], reader: BlockReader, start: datetime
) -> list[tuple[Segment, int]]:
    """Skip whole segments that end before *start*, and the lines of the next one that do."""
    firsts = [time_at(segment, reader) for segment in segments]
    ends: list[tuple[Segment, int]] = []
    for i, segment in enumerate(segments):
        following = next((t for t in firsts[i + 1 :] if t is not None), None)
        if following is not None and following <= start:
            ends.append((segment, EVERYTHING))
            continue
        ends.append((segment, _first_line_from(segment, reader, start)))
        break
    return ends


def time_at(segment: Segment, reader: BlockReader, offset: int = 0) -> datetime | None:
    """Return the time of the first event at or after *offset*, None where none is there."""
    block = reader.read(segment, offset)
    if block is None or isinstance(block, Gap):
        return None
    found = _TIME.search(block.data)
    return _parse(found[1]) if found else None


def _first_line_from(segment: Segment, reader: BlockReader, start: datetime) -> int:
    """Return the offset of the first line with a time at or after *start*.

    Lines are not quite in the order of their times: the first one counts, nothing after it is
    skipped.
    """
    offset = 0
    while True:
        block = reader.read(segment, offset)
        if block is None or isinstance(block, Gap):
            return offset
        for line in block.data.splitlines(keepends=True):
            found = _TIME.search(line)
            when = _parse(found[1]) if found else None
            if when is not None and when >= start:
                return offset
            offset += len(line)
        offset = block.span.end


def _parse(text: bytes) -> datetime | None:
    try:
        when = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return when if when.tzinfo else None
