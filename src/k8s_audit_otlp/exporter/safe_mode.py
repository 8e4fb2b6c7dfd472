"""Blocks in, the same encoded blocks out, a line at a time: for a process that keeps dying.

A line that kills the process must not stop the trail. Each line is marked before it is touched, so
the next process knows which one it was: it leaves out the line's bodies first, and if that is not
enough the line. What is left of it says so.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from k8s_audit_otlp.exporter.encoded import Encode
from k8s_audit_otlp.model import Block, EncodedBlock, Span
from k8s_audit_otlp.receiver.oversized import envelope_of
from k8s_audit_otlp.state.marker import Marker

HORIZON_BYTES = 16 * 1024 * 1024  # more than can be in flight: the place lies before it
# Deaths in one line. A process may be killed for another reason while it works on a line: that
# happens once in the same line, hardly ever twice.
BARE_AFTER = 2  # then the line goes without its bodies
LEFT_OUT_AFTER = 3
_UNREADABLE = b"\x01"  # what stands for a line that is left out: no JSON, one unparsable record


class SafeModeEncoder:
    """Encodes the first bytes of a log line by line, and what follows as always."""

    def __init__(self, encode: Encode, marker: Marker, on_passed: Callable[[], None]) -> None:
        self._encode = encode
        self._marker = marker
        self._on_passed = on_passed
        self._left = HORIZON_BYTES

    def __call__(self, block: Block) -> EncodedBlock:
        if self._left <= 0:
            return self._encode(block)
        self._left -= block.span.end - block.span.start
        encoded = _joined(block, [self._line(line) for line in _lines(block)])
        if self._left <= 0:
            self._on_passed()
        return encoded

    def _line(self, line: Block) -> EncodedBlock:
        crash_count = self._marker.crash_count(line.identity, line.span.start)
        if crash_count >= LEFT_OUT_AFTER:
            line = replace(line, data=_UNREADABLE)
        elif crash_count >= BARE_AFTER:
            line = replace(line, data=envelope_of(line.data, line.data))
        self._marker.enter(line.identity, line.span.start)
        encoded = self._encode(line)
        self._marker.leave()
        return encoded


def _lines(block: Block) -> Iterator[Block]:
    start = block.span.start
    for data in block.data.splitlines(keepends=True):
        end = start + len(data)
        yield replace(block, span=Span(block.span.segment, start, end), data=data)
        start = end


def _joined(block: Block, parts: list[EncodedBlock]) -> EncodedBlock:
    return EncodedBlock(
        block.span,
        [record for part in parts for record in part.records],
        [part.span.end for part in parts for _ in part.records],
        [(part.span.end, rule) for part in parts for _, rule in part.dropped],
        sum(part.lines for part in parts),
        next((part.first_ns for part in parts if part.first_ns), 0),
        max((part.last_ns for part in parts), default=0),
    )
