"""Encodes line by line where a whole block fails: one bad line must not stop the others.

`FallbackEncoder` handles a line that raises an unexpected error: it is sent without its bodies,
and if that fails too as one unparsable record. `SafeModeEncoder` handles a line that kills the
process: each line is marked before it is encoded, so the next process knows which one it was, and
degrades it in the same way.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from k8s_audit_otlp.exporter.reasons import describe
from k8s_audit_otlp.exporter.shared import Encode, concatenate
from k8s_audit_otlp.model import Block, EncodedBlock, Span
from k8s_audit_otlp.receiver.long_lines import without_bodies
from k8s_audit_otlp.state.marker import Marker

SAFE_MODE_BYTES = 16 * 1024 * 1024  # more than can be in flight: the crash lies before it
# Crashes in one line. A process may be killed for another reason while it works on a line: that
# happens once in the same line, hardly ever twice.
WITHOUT_BODIES_AFTER = 2  # then the line goes without its bodies
LEFT_OUT_AFTER = 3
_UNREADABLE = b"\x01"  # what stands for a line that is left out: no JSON, one unparsable record


class FallbackEncoder:
    """Encodes a block as a whole, and only where that raises line by line."""

    def __init__(self, encode: Encode, on_failure: Callable[[str], None]) -> None:
        """*on_failure* is told of every line that loses something, and why."""
        self._encode = encode
        self._on_failure = on_failure

    def __call__(self, block: Block) -> EncodedBlock:
        try:
            return self._encode(block)
        except Exception:  # noqa: BLE001 - whatever it is, it costs one line and not the trail
            return concatenate(block.span, [self._line(line) for line in _lines(block)])

    def _line(self, line: Block) -> EncodedBlock:
        for data in (line.data, without_bodies(line.data, line.data)):
            try:
                return self._encode(replace(line, data=data))
            except Exception as error:  # noqa: BLE001 - as above
                place = f"{line.identity}-{line.span.start:x}"
                self._on_failure(f"the event {place} loses its bodies: {describe(error)}")
        return self._encode(replace(line, data=_UNREADABLE))


@dataclass(eq=False, repr=False)
class SafeModeEncoder:
    """Encodes the first bytes of a log line by line, and what follows as always."""

    encode: Encode
    marker: Marker
    on_passed: Callable[[], None]

    def __post_init__(self) -> None:
        self._left = SAFE_MODE_BYTES

    def __call__(self, block: Block) -> EncodedBlock:
        if self._left <= 0:
            return self.encode(block)
        self._left -= block.span.end - block.span.start
        encoded = concatenate(block.span, [self._line(line) for line in _lines(block)])
        if self._left <= 0:
            self.on_passed()
        return encoded

    def _line(self, line: Block) -> EncodedBlock:
        crash_count = self.marker.crash_count(line.identity, line.span.start)
        if crash_count >= LEFT_OUT_AFTER:
            line = replace(line, data=_UNREADABLE)
        elif crash_count >= WITHOUT_BODIES_AFTER:
            line = replace(line, data=without_bodies(line.data, line.data))
        self.marker.enter(line.identity, line.span.start)
        encoded = self.encode(line)
        self.marker.leave()
        return encoded


def _lines(block: Block) -> Iterator[Block]:
    start = block.span.start
    for data in block.data.splitlines(keepends=True):
        end = start + len(data)
        yield replace(block, span=Span(block.span.segment, start, end), data=data)
        start = end
