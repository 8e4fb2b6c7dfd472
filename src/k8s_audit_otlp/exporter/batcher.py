"""Makes batches within the limits from encoded blocks. Pure.

A batch never leaves its segment, and its span ends where a line ends. A line (an EventList) whose
records do not fit into one request goes apart from what stands before it: all its batches but the
last have a span of no bytes, and the ledger settles them together with that one.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from k8s_audit_otlp.exporter.learned_limits import LearnedLimit
from k8s_audit_otlp.model import Batch, EncodedBlock, Span
from k8s_audit_otlp.otlp.wire import time_of
from k8s_audit_otlp.state.content_hash import ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Limits of one request: `max_bytes` counts before compression."""

    max_bytes: int = 900_000
    max_records: int = 0  # 0: no limit
    min_bytes: int = 0
    min_records: int = 0
    max_span_ns: int = 0  # between the earliest and the latest event; 0: no limit
    part_ns: int = 0  # events of each such span have a resource of their own; 0: all have one


class Batcher:
    """Collects the records of one segment until a request is full or reaches its minimum."""

    def __init__(
        self,
        receiver: str,
        limits: BatchLimits,
        *,
        learned: LearnedLimit | None = None,
        overhead: int = 0,
    ) -> None:
        """*overhead*: bytes of a request beside its records, and of each further part of it."""
        self.receiver = receiver
        self._limits = limits
        self._learned = learned or LearnedLimit(limits.max_bytes)
        self._overhead = overhead
        self.clear()

    @property
    def _room(self) -> int:
        return max(1, self._learned.bytes - self._overhead)

    def clear(self) -> None:
        """Drop everything that is held."""
        self._segment = -1
        self._start = self._end = 0
        self._records: list[bytes] = []
        self._ends: list[int] = []
        self._digests = bytearray()
        self._dropped: list[tuple[int, str]] = []
        self._times: list[int] = []  # of the records, where their span is limited
        self._first_ns = self._last_ns = 0
        self._parts: set[int] = set()
        self.bytes = 0

    @property
    def empty(self) -> bool:
        """Nothing is held, not even a stretch of log without records."""
        return self._segment < 0

    @property
    def full(self) -> bool:
        """At least one batch can be taken that the limits would close."""
        most = self._limits.max_records
        if self.bytes >= self._room or (most and len(self._records) >= most):
            return True
        return self._count_in_span() < len(self._times)

    @property
    def reached_minimum(self) -> bool:
        """The configured minimum of a batch is reached, so it need not wait for more."""
        limits = self._limits
        if limits.min_bytes or limits.min_records:
            return self.bytes >= limits.min_bytes and len(self._records) >= limits.min_records
        return self.full

    def add(self, block: EncodedBlock) -> None:
        """Take the next block of the segment.

        Raise ValueError where it does not follow what is held.
        """
        segment, start, end = block.span
        if self.empty:
            self._segment, self._start = segment, start
        elif (segment, start) != (self._segment, self._end):
            raise ValueError(f"block {block.span} does not follow {self._segment}:{self._end}")
        self._end = end
        self._records += block.records
        self._ends += block.ends
        self._digests += block.digests
        self._dropped += block.dropped
        if self._limits.max_span_ns:
            self._times += map(time_of, block.records)
        self.bytes += sum(self._sizes(block.records, self._parts))
        if block.first_ns and (not self._first_ns or block.first_ns < self._first_ns):
            self._first_ns = block.first_ns
        self._last_ns = max(self._last_ns, block.last_ns)

    def take(self) -> Batch | None:
        """Return the first batch of what is held, None when nothing is."""
        if self.empty:
            return None
        count = self._whole_lines(self._count_that_fits())
        records, ends = self._records[:count], self._ends[:count]
        rest = len(self._records) > count
        inside = rest and self._ends[count] == ends[-1]
        end = self._start if inside else ends[-1] if rest else self._end
        dropped_count = bisect_right(self._dropped, end, key=lambda d: d[0])
        dropped = self._dropped[:dropped_count]
        batch = Batch(
            self.receiver,
            Span(self._segment, self._start, end),
            records,
            dict(Counter(rule for _, rule in dropped)),
            len({*ends, *(e for e, _ in dropped)}) - inside,
            self._first_ns,
            (time_of(records[-1]) or self._first_ns) if rest else self._last_ns,
            digests=bytes(self._digests[: count * ENTRY_BYTES]),
        )
        if not rest:
            self.clear()
        else:
            del self._records[:count], self._ends[:count], self._dropped[:dropped_count]
            del self._times[:count], self._digests[: count * ENTRY_BYTES]
            self._start, self._first_ns = end, time_of(self._records[0])
            if self._limits.part_ns:
                self._parts = set()
                self.bytes = sum(self._sizes(self._records, self._parts))
            else:
                self.bytes -= sum(map(len, records))
        return batch

    def _sizes(self, records: Sequence[bytes], parts: set[int]) -> Iterator[int]:
        """Yield the bytes that each record adds to a request with *parts*, and put its own there.

        The first part is in the overhead of the request.
        """
        return self._in_parts(records, parts) if self._limits.part_ns else map(len, records)

    def _in_parts(self, records: Sequence[bytes], parts: set[int]) -> Iterator[int]:
        for record in records:
            part = time_of(record) // self._limits.part_ns
            further = part not in parts and bool(parts)
            parts.add(part)
            yield len(record) + further * self._overhead

    def _count_that_fits(self) -> int:
        """Return how many records go into one request; one that is too large goes alone."""
        count = len(self._records)
        if self.bytes > self._room:
            count = max(
                1, bisect_right(list(accumulate(self._sizes(self._records, set()))), self._room)
            )
        if self._times:
            count = min(count, self._count_in_span())
        most = self._limits.max_records
        return min(count, most) if most else count

    def _count_in_span(self) -> int:
        """Return how many records lie within the longest span; one that tells no time does."""
        first = last = 0
        for index, time in enumerate(self._times):
            if not time:
                continue
            first, last = min(first or time, time), max(last, time)
            if last - first > self._limits.max_span_ns:
                return index
        return len(self._times)

    def _whole_lines(self, count: int) -> int:
        """Return how many of *count* records make whole lines; all of them where none does."""
        ends, whole = self._ends, count
        if count < len(ends) and ends[count] == ends[count - 1]:
            whole = bisect_left(ends, ends[count])
        return whole or count
