"""Where an exporter without a position begins."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from k8s_audit_otlp.receiver.blocks import BlockReader, Gap
from k8s_audit_otlp.receiver.lines import last_line_end
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment

EVERYTHING = 1 << 62  # an offset after any segment
_WHEN = rb"([0-9]{4}-[0-9T:.Z+-]{15,30})"
_LEADING = re.compile(_WHEN + b" ")  # the legacy format, and CRI's frame
# Within other JSON, as docker and clouds frame an event, quotes have backslashes before them.
_NAMED = re.compile(rb'(?:stageT|ReceivedT|"t)imestamp\\*"[ \t]*:[ \t]*\\*"' + _WHEN)


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
    since = datetime.fromtimestamp(since_ns / 1e9, UTC)
    return _skip(_until(log.segments(), reader, since))


def _skip(ends: Sequence[tuple[Segment, int]]) -> Skipped:
    skipped = sum(min(offset, segment.state.likely_size) for segment, offset in ends)
    estimated = any(offset == EVERYTHING and segment.state.is_estimated for segment, offset in ends)
    return Skipped({segment.seq: offset for segment, offset in ends}, skipped, estimated)


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
    return next(filter(None, map(_time_of, block.data.splitlines())), None)


def _first_line_from(segment: Segment, reader: BlockReader, start: datetime) -> int:
    """Return the offset behind the last older line before the first that is not older.

    Lines are not quite in the order of their times: the first one counts, nothing after it is
    skipped. Nor is a line that tells no time, unless an older one follows.
    """
    offset = older = 0
    while True:
        block = reader.read(segment, offset)
        if block is None or isinstance(block, Gap):
            return older
        for line in block.data.splitlines(keepends=True):
            when = _time_of(line)
            if when is not None and when >= start:
                return older
            offset += len(line)
            older = older if when is None else offset
        offset = block.span.end


def _time_of(line: bytes) -> datetime | None:
    """Return the latest time that a line tells: bodies may tell others, and are older."""
    found = _LEADING.match(line)
    times = map(_parse, [*([found[1]] if found else ()), *_NAMED.findall(line)])
    return max(filter(None, times), default=None)


def _parse(text: bytes) -> datetime | None:
    try:
        when = datetime.fromisoformat(text.decode())
    except ValueError:
        return None
    return when if when.tzinfo else None
