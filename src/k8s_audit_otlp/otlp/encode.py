"""Encodes a block of lines as LogRecords.

A line that is one plain event goes the fast way. Any other goes the general way, through
`read_line`, to the same records.
"""

import sys
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from itertools import chain
from typing import NamedTuple

from k8s_audit_otlp.event.decode import REFUSED, UNREAD, decode, leave_out_wide_code, read_line
from k8s_audit_otlp.event.memory_bounds import check_utf8
from k8s_audit_otlp.event.stages import (
    Clean,
    Dropped,
    Shrink,
    Transform,
    Transformed,
    marks_of_shrinking,
)
from k8s_audit_otlp.model import AuditEvent, Block, EncodedBlock
from k8s_audit_otlp.otlp import plain_line, wire
from k8s_audit_otlp.otlp.event_record import NotPlainError, RecordEncoder
from k8s_audit_otlp.otlp.fast_path import QUICKEST, FastEncoder
from k8s_audit_otlp.otlp.mapping import MappingOptions
from k8s_audit_otlp.otlp.parts import TRUNCATED
from k8s_audit_otlp.otlp.plain_line import Lines, Run
from k8s_audit_otlp.otlp.record_place import RecordPlace, record_uid
from k8s_audit_otlp.state.content_hash import entry_of

SHRINK_TRIES = 8
_BODIES = ("responseObject", "requestObject")


class _Marked(NamedTuple):
    """An event with what else its record must say."""

    event: AuditEvent
    body: bytes
    offset: int  # of its line, or of where it begins in that
    item: int  # in a list, else -1
    times: bytes  # encoded already, as are place and fault in the next
    around: bytes
    marks: Mapping[str, wire.Value] = {}
    faulty: bool = False


class _Output:
    """The columns of an EncodedBlock while it grows."""

    def __init__(self, identity: str, *, digests: bool) -> None:
        self._identity = identity
        self._with_digests = digests
        self.records: list[bytes] = []
        self.ends: list[int] = []
        self.dropped: list[tuple[int, str]] = []
        self.fired: list[tuple[str, ...]] = []  # the rules, for each line that was changed
        self.digests = bytearray()

    def put(self, record: bytes, body: bytes, end: int, offset: int, item: int = -1) -> None:
        """Add the record of the event at *offset*; its line ends at *end*."""
        self.records.append(record)
        self.ends.append(end)
        if self._with_digests:
            uid = record_uid(self._identity, offset, item)
            self.digests += entry_of(offset, uid.encode(), body)

    def encoded(self, block: Block, lines: int) -> EncodedBlock:
        end = block.span.end  # the last line may have no newline
        ends = [min(each, end) for each in self.ends[-1:]]
        return EncodedBlock(
            block.span,
            self.records,
            self.ends[:-1] + ends,
            [(min(each, end), rule) for each, rule in self.dropped],
            lines,
            next(filter(None, map(wire.time_of, self.records)), 0),
            next(filter(None, map(wire.time_of, reversed(self.records))), 0),
            Counter(chain.from_iterable(self.fired)),
            bytes(self.digests),
        )


class Encoder:
    """Turns blocks into records, one way for one mapping; one block at a time.

    `shrunk` counts what was made smaller.
    """

    lines: Lines = QUICKEST  # what encodes plain ones

    def __init__(
        self,
        options: MappingOptions | None = None,
        *,
        transform: Transform | None = None,
        clean: Clean | None = None,
        shrink: Shrink | None = None,
        max_record_bytes: int = 0,
        digests: bool = False,
    ) -> None:
        """*digests*: make those that receipts are made of."""
        self._digests = digests
        self.options = options or MappingOptions()
        self.shrunk = 0
        self._transform = transform
        self._shrink = shrink
        self._max_bytes = max_record_bytes or sys.maxsize
        self._records = RecordEncoder(self.options)
        # Without verdicts on parts, a transform must see every event whole.
        fast = transform is None or clean is not None
        self._fast = FastEncoder(self._records, clean, self.lines) if fast else None

    def encode_block(self, block: Block) -> EncodedBlock:
        """Encode every event of a block, in file order."""
        out = _Output(block.identity, digests=self._digests)
        place = RecordPlace(block, self._records.parts)
        data, start = block.data, block.span.start
        size = block.span.end - start
        if 0 < len(data) < size:  # a line that was too long: its bodies are gone already
            self._general(data.partition(b"\n")[0], start, block.span.end, place, out, size)
            return out.encoded(block, 1)
        run = self._begin_run(self._fast, block, out) if self._fast else None
        at = lines = 0
        while at < len(data):
            if run:
                frame = place.frame(start + at)
                lines -= len(out.ends)
                at = self.lines.run(run, at, frame)
                lines += len(out.ends)
                if at >= len(data) or start + at >= frame.until:
                    continue
            begin, at = at, (data.find(b"\n", at) + 1) or len(data) + 1
            line = data[begin : at - 1].removesuffix(b"\r")
            self._whole(line, start + begin, start + at, place, out)
            lines += 1
        return out.encoded(block, lines)

    def _begin_run(self, fast: FastEncoder, block: Block, out: _Output) -> Run:
        return Run(
            fast.read(block.data),
            block.span.start,
            fast.tables,
            self._max_bytes,
            self._records.most_beside,
            REFUSED,
            fast.bodies_stay,
            fast.judge,
            f"{block.identity}-".encode(),
            sha256 if self._digests else None,
            out.records,
            out.ends,
            out.digests,
            out.fired,
        )

    def _whole(self, line: bytes, start: int, end: int, place: RecordPlace, out: _Output) -> None:
        """Encode one plain event that is decoded whole, for who must see all of it."""
        records, transform = self._records, self._transform
        try:
            check_utf8(line)
            event = decode(line)
            if leave_out_wide_code(event):
                raise NotPlainError
            times, around = records.plain_times(event), place.at(start)
            change = None if transform is None else transform(event, line)
            record = records.encode(event, line, times, around) if change is None else b""
            if change is None and len(record) <= self._max_bytes:
                out.put(record, line, end, start)
            else:
                self._put(_Marked(event, line, start, -1, times, around), change, end, out)
        except REFUSED:
            self._general(line, start, end, place, out)

    def _general(
        self,
        line: bytes,
        start: int,
        end: int,
        place: RecordPlace,
        out: _Output,
        size: int = 0,
    ) -> None:
        """Encode what is in a line, of *size* where it was longer: its bodies are gone."""
        said = marks_of_shrinking(self.options.prefix, _BODIES, size) if size else {}
        for read in read_line(line):
            body, unread = read.body, UNREAD.fullmatch(read.body) if size else None
            if unread and read.at + int(unread[1]) >= len(line):  # it goes on
                body = body.replace(unread[1], b"%d" % (size - read.at))
            times = self._records.general_times(read.event)
            offset = start + read.at
            around = place.item(offset, read.item)
            around += self._records.parts["fault"](read.fault)
            faulty = bool(read.fault)
            marked = _Marked(read.event, body, offset, read.item, times, around, said, faulty)
            transform = None if read.is_unread else self._transform
            self._put(marked, transform and transform(read.event, body), end, out)

    def _put(
        self, marked: _Marked, change: Transformed | Dropped | None, end: int, out: _Output
    ) -> None:
        match change:
            case Dropped(rule):
                out.dropped.append((end, rule))
                return
            case Transformed(event, body, marks, redacted):
                out.fired.append(redacted)
                marks = {**marked.marks, **marks}
                marked = marked._replace(event=event, body=body, marks=marks)
            case None:
                pass
        record, body = self._encode(marked), marked.body
        if len(record) > self._max_bytes and self._shrink is not None:
            record, body = self._shrunk_to_fit(marked, record, self._shrink)
        out.put(record, body, end, marked.offset, marked.item)

    def _encode(self, marked: _Marked) -> bytes:
        event, body, _, _, times, around, marks, faulty = marked
        if (event.annotations or {}).get(TRUNCATED) == "true":
            key = self.options.prefix + "truncated"  # the event's own annotation says it already
            marks = {k: v for k, v in marks.items() if k != key}
        around += self._records.marks(marks)
        return self._records.encode(event, body, times, around, faulty=faulty)

    def _shrunk_to_fit(self, marked: _Marked, record: bytes, shrink: Shrink) -> tuple[bytes, bytes]:
        """Return the record and its body."""
        self.shrunk += 1
        body = marked.body
        for left in reversed(range(SHRINK_TRIES)):
            allowed = _allowed(len(body), len(record), self._max_bytes) if left else 0
            event, body, said, _ = shrink(marked.event, marked.body, allowed)
            marks = {**marked.marks, **said}
            record = self._encode(marked._replace(event=event, body=body, marks=marks))
            if len(record) <= self._max_bytes:
                break
        return record, body


class PythonEncoder(Encoder):
    """The same without the compiled part: for lines that have killed a process."""

    lines = plain_line


def _allowed(body: int, record: int, most: int) -> int:
    """Return how large a body may be whose record is too large.

    Attributes repeat parts of the event and shrink with it, so a body is given its share of the
    limit; where little stands beside the body, what is left of the limit.
    """
    beside = record - body
    return min(body - 1, most - beside if beside <= most // 4 else body * most // record)
