"""Encodes blocks of lines that something else has framed: each event as if it were a line.

The place of an event is that of its line, of the first one where it came in pieces. What is no
audit event is counted under its own rule and left out.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace

from k8s_audit_otlp.event.wrappers import (
    IN_PIECES,
    NOT_AUDIT,
    detect,
    is_audit,
    unwrap,
)
from k8s_audit_otlp.exporter.encoded import Encode
from k8s_audit_otlp.model import Block, EncodedBlock, Span

LookBack = Callable[[int, int, int], bytes]  # segment, offset, size -> the bytes before the offset
_STREAMS = frozenset({b"stdout", b"stderr"})
_LOOK_BACK = 64 << 10
_MOST_LOOK_BACK = 4 << 20  # an event in pieces that is longer is not put together after a restart
_KEPT = 8  # ends of blocks that consumers may go on from

_Pieces = dict[bytes, list[tuple[int, bytes]]]  # by stream: where each lies, and its text


class UnwrappingEncoder:
    """One for each log and mapping; used by one thread at a time.

    A piece at the end of a block belongs to the block where its text ends. What was pending is
    kept, or found again by looking back.
    """

    def __init__(self, encode: Encode, name: str, look_back: LookBack) -> None:
        """*name*: a format of event/wrappers, `audit`, or `auto` to tell by each block."""
        self._encode = encode
        self._name = name
        self._look_back = look_back
        self._pending: OrderedDict[tuple[int, int], _Pieces] = OrderedDict()

    def __call__(self, block: Block) -> EncodedBlock:
        name = self._name
        if name == "auto":
            name = detect(
                block.data[: block.data.find(b"\n")] if b"\n" in block.data else block.data
            )
        if name == "audit":
            return self._encode(block)
        pending = self._pending_at(block, name)
        out = _Output(block, self._encode)
        at = block.span.start
        for line in block.data.splitlines(keepends=True):
            end = at + len(line)
            framed = unwrap(line.rstrip(b"\r\n"), name)
            if not framed and line.strip():
                out.left_out(end)
            for one in framed:
                place = at + one.at
                if one.more:
                    pending.setdefault(one.stream, []).append((place, one.text))
                    continue
                pieces = [*pending.pop(one.stream, ()), (place, one.text)]
                out.add(pieces[0][0], b"".join(text for _, text in pieces), end)
            out.lines += 1
            at = end
        self._keep(block, pending)
        return out.encoded()

    def _keep(self, block: Block, pending: _Pieces) -> None:
        self._pending[block.span.segment, block.span.end] = pending
        while len(self._pending) > _KEPT:
            self._pending.popitem(last=False)

    def _pending_at(self, block: Block, name: str) -> _Pieces:
        """Return the pieces before *block* that its first lines go on from."""
        segment, start, _ = block.span
        if name not in IN_PIECES or start == 0:
            return {}
        kept = self._pending.get((segment, start))
        if kept is not None:
            return {stream: list(pieces) for stream, pieces in kept.items()}
        size = _LOOK_BACK
        while True:
            data = self._look_back(segment, start, size)
            pending, closed = _pieces_before(data, start - len(data), name)
            if closed or len(data) < size or size >= _MOST_LOOK_BACK:
                return pending
            size *= 4


def _pieces_before(data: bytes, start: int, name: str) -> tuple[_Pieces, bool]:
    """Read lines backwards until each stream has ended one; say whether each has."""
    lines = data.splitlines(keepends=True)
    if start > 0 and lines:
        start += len(lines.pop(0))  # most likely the rest of a line
    places = []
    for line in lines:
        places.append((start, line))
        start += len(line)
    pending: _Pieces = {}
    ended: set[bytes] = set()
    for place, line in reversed(places):
        for one in unwrap(line.rstrip(b"\r\n"), name):
            if one.stream in ended:
                continue
            if one.more:
                pending.setdefault(one.stream, []).insert(0, (place + one.at, one.text))
            else:
                ended.add(one.stream)
        if ended >= _STREAMS:
            return pending, True
    return pending, False


class _Output:
    """The columns of an EncodedBlock while it grows."""

    def __init__(self, block: Block, encode: Encode) -> None:
        self._block = block
        self._encode = encode
        self._records: list[bytes] = []
        self._ends: list[int] = []
        self._dropped: list[tuple[int, str]] = []
        self._redacted: Counter[str] = Counter()
        self._digests: list[tuple[int, bytes]] = []
        self._first_ns = self._last_ns = 0
        self.lines = 0

    def left_out(self, end: int) -> None:
        self._dropped.append((end, NOT_AUDIT))

    def add(self, start: int, text: bytes, end: int) -> None:
        """Encode the events of one text as a line at *start*."""
        text = text.strip(b"\r\n")
        if not is_audit(text):
            if text.strip():
                self.left_out(end)
            return
        block = self._block
        span = Span(block.span.segment, start, start + len(text))
        one = self._encode(replace(block, span=span, data=text))
        self._records += one.records
        self._ends += [end] * len(one.records)
        self._digests += one.digests
        self._dropped += [(end, rule) for _, rule in one.dropped]
        self._first_ns = self._first_ns or one.first_ns
        self._last_ns = one.last_ns or self._last_ns
        self._redacted.update(one.redacted)

    def encoded(self) -> EncodedBlock:
        return EncodedBlock(
            self._block.span,
            self._records,
            self._ends,
            self._dropped,
            self.lines,
            self._first_ns,
            self._last_ns,
            self._redacted,
            self._digests,
        )
