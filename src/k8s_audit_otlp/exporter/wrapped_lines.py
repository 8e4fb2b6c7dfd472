"""Encodes blocks whose lines are framed by another program (CRI, syslog, ...): unwraps each event.

The offset of an event is that of its line, of the first one where it came in pieces. What is no
audit event is counted as dropped under its own rule. An event that a rotation has split lies where
its first piece in the later segment does.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from k8s_audit_otlp.event.formats import (
    IN_PIECES,
    NOT_AUDIT,
    detect,
    is_audit,
    is_part_of_event,
    unwrap,
)
from k8s_audit_otlp.event.partial_lines import MOST_BYTES, Piece, Pieces
from k8s_audit_otlp.event.partial_lines import joined as text_of
from k8s_audit_otlp.exporter.shared import Encode, concatenate
from k8s_audit_otlp.model import Block, EncodedBlock, Span
from k8s_audit_otlp.otlp.fast_path import QUICKEST

# segment, offset, size -> the bytes before the offset; before 0, the last ones of what it follows
LookBack = Callable[[int, int, int], bytes]
_STREAMS = frozenset({b"stdout", b"stderr"})
_LOOK_BACK = 64 << 10
_MOST_LOOK_BACK = 4 << 20  # for a stream of which nothing was seen; MOST_BYTES where one goes on
_KEPT = 8  # ends of blocks that consumers may go on from
IN_EARLIER_SEGMENT = -1  # the offset of a piece that lies in the segment before


@dataclass(eq=False, repr=False)
class UnwrappingEncoder:
    """One for each log and mapping; used by one thread at a time.

    A piece at the end of a block belongs to the block where its event ends, be that in the next
    segment. Pending pieces are kept, or read again from the bytes before the block.

    *name*: a format of event/formats, `audit`, or `auto` to tell by each line.
    """

    encode: Encode
    name: str
    look_back: LookBack

    def __post_init__(self) -> None:
        self._pending: OrderedDict[tuple[int, int], Pieces] = OrderedDict()

    def __call__(self, block: Block) -> EncodedBlock:
        if self.name == "audit" or (self.name == "auto" and QUICKEST.all_begin_so(block.data)):
            return self.encode(block)
        lines = block.data.removesuffix(b"\n").split(b"\n")
        names = [self._name_of(line) for line in lines]
        if all(name == "audit" for name in names):
            return self.encode(block)
        pieces = self._pending_at(block, names)
        out = _EncodedEvents(block, self.encode)
        at = block.span.start
        for line, name in zip(lines, names, strict=True):
            end = min(at + len(line) + 1, block.span.end)
            framed = unwrap(line, name)
            if not framed and line.strip():
                out.not_event(at, line, end)
            for one in framed:
                out.add(pieces.add(at + one.at, one), end)
            out.lines += 1
            at = end
        self._keep(block, pieces)
        return out.encoded()

    def begun_before(self, segment: int, end: int) -> int:
        """Return how many bytes there are of events that go on behind *end*, after a whole line."""
        if self._name_of(self._last_line(segment, end)) not in IN_PIECES:
            return 0
        texts = map(text_of, self._pieces_before(segment, end).end_all())
        return sum(len(text) for text in texts if text[:1] == b"{" or is_part_of_event(text))

    def _last_line(self, segment: int, end: int) -> bytes:
        line = b""
        for most in (_LOOK_BACK, _MOST_LOOK_BACK):
            data = self.look_back(segment, end, most).removesuffix(b"\n")
            _, begins, line = data.rpartition(b"\n")
            if begins:
                break
        return line

    def _name_of(self, line: bytes) -> str:
        return detect(line) if self.name == "auto" else self.name

    def _keep(self, block: Block, pieces: Pieces) -> None:
        self._pending[block.span.segment, block.span.end] = pieces
        while len(self._pending) > _KEPT:
            self._pending.popitem(last=False)

    def _pending_at(self, block: Block, names: Sequence[str]) -> Pieces:
        """Return the pieces before *block* that its first lines go on from."""
        segment, start, _ = block.span
        kept = self._pending.get((segment, start)) if start else None
        if kept is None:
            framed = any(name in IN_PIECES for name in names)
            kept = self._pieces_before(segment, start) if framed else Pieces()
        return kept.moved(None if start else IN_EARLIER_SEGMENT)

    def _known_before(self, segment: int) -> Pieces:
        """Return what the farthest block of the segment before left, though its file is gone."""
        earlier = [place for place in self._pending if place[0] < segment]
        return self._pending[max(earlier)] if earlier else Pieces()

    def _pieces_before(self, segment: int, start: int) -> Pieces:
        """Read from farther back each time, until the beginning of every pending piece is found."""
        size = _LOOK_BACK
        while True:
            data = self.look_back(segment, start, size)
            if not data and not start:
                return self._known_before(segment)
            pieces = self._pieces_in(data, start - len(data), cut=len(data) >= size)
            most = _MOST_LOOK_BACK if pieces.begun <= pieces.ended else MOST_BYTES
            if len(data) < size or size >= most or pieces.begun | _STREAMS <= pieces.ended:
                return pieces
            size *= 4

    def _pieces_in(self, data: bytes, at: int, *, cut: bool) -> Pieces:
        """Return what goes on behind *data*, which lies at *at*; *cut*: it may begin in a line."""
        pieces = Pieces()
        for number, line in enumerate(data.removesuffix(b"\n").split(b"\n")):
            for one in () if cut and not number else unwrap(line, self._name_of(line)):
                pieces.add(at + one.at, one)
            at += len(line) + 1
        return pieces


class _EncodedEvents:
    """What the events of a block were encoded to, one after the other."""

    def __init__(self, block: Block, encode: Encode) -> None:
        self._block = block
        self._encode = encode
        self._parts: list[EncodedBlock] = []
        self.lines = 0

    def not_event(self, start: int, text: bytes, end: int) -> None:
        """Count a text that is no event; a part of an event becomes an unparsable record."""
        if is_part_of_event(text):
            self._take(start, text, end)
        else:
            span = Span(self._block.span.segment, start, end)
            self._parts.append(EncodedBlock(span, (), (), [(end, NOT_AUDIT)]))

    def add(self, texts: Iterable[Sequence[Piece]], end: int) -> None:
        """Encode the events of texts that end before *end*, each as a line where it begins."""
        elsewhere = end
        for pieces in texts:
            start = next((piece.at for piece in pieces if piece.at >= 0), IN_EARLIER_SEGMENT)
            if start < 0:  # torn in the segment before, and found to be here
                start = elsewhere = elsewhere - 1
            text = text_of(pieces).strip(b"\r\n")
            if is_audit(text):
                self._take(start, text, end)
            elif text.strip():
                self.not_event(start, text, end)

    def _take(self, start: int, text: bytes, end: int) -> None:
        span = Span(self._block.span.segment, start, start + len(text))
        one = self._encode(replace(self._block, span=span, data=text))
        self._parts.append(replace(one, span=span._replace(end=end)))

    def encoded(self) -> EncodedBlock:
        return replace(concatenate(self._block.span, self._parts), lines=self.lines)
