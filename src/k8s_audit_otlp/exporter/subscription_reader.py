"""Reads one log for one exporter: blocks of segments in order, encoded, as batches to send.

Its offset is ahead of what is dispatched, which is ahead of what is settled in the ledger.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace

from k8s_audit_otlp.exporter.batcher import Batcher
from k8s_audit_otlp.exporter.in_flight import InFlight
from k8s_audit_otlp.exporter.shared import EncodedBlocks
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import Batch, Block, Span
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.marks import MARK_BYTES, mark_of
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.outbox import Notice

_MAX_NOTICES = 50  # in one request
_MAX_BLOCKS = 64  # that one call reads before another log gets a turn

OnGap = Callable[[Subscription, Segment, Gap], None]


@dataclass(eq=False, repr=False)
class SubscriptionReader:
    """Where one exporter reads in one log. Used by the exporter's consumer thread alone.

    *on_gap* puts the notice of a gap into the outboxes.

    *on_redacted* gets how many events each redaction rule has changed. *flush_s*: longest wait for
    more records while requests are under way.
    """

    subscription: Subscription
    blocks: BlockReader
    encoded: EncodedBlocks
    batcher: Batcher
    _: KW_ONLY
    on_gap: OnGap
    on_redacted: Callable[[Mapping[str, int]], None] = lambda _rules: None
    encode_notice: Callable[[Notice], bytes]
    flush_s: float = 0.2
    monotonic: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.log = self.subscription.log
        self.ledger = self.subscription.ledger
        self._segment: Segment | None = None
        self._offset = 0  # where the next block starts
        self._version = -1
        self._read: list[Block] = []  # what the batcher holds comes from these
        self._rewinds = self.ledger.rewinds
        self._since = 0.0  # when the oldest record came that is held
        self.at_end = False  # the last call found nothing more to read

    def read_ahead(self) -> None:
        """Read and encode until a request is full or nothing more is there."""
        self.at_end = False
        if self._rewinds != self.ledger.rewinds:
            self.rewind()
        for _ in range(_MAX_BLOCKS):
            if self.batcher.full:
                return
            found = self._next()
            if found is None:
                self.at_end = True
                return
            if isinstance(found, Gap):
                continue  # what follows may be there
            if self.batcher.empty:
                self._since = self.monotonic()
            encoded = self.encoded.encode(found)
            if encoded.redacted:
                self.on_redacted(encoded.redacted)
            self.batcher.add(encoded)
            self._read.append(found)
            self._offset = found.span.end

    def take(self, *, flush_now: bool) -> Batch | None:
        """Return a batch if one is full, or what is there if *flush_now* or it is due."""
        batcher = self.batcher
        due = self.at_end and (
            flush_now or self._segment_done() or self.monotonic() - self._since >= self.flush_s
        )
        batch = batcher.take() if due or batcher.full or batcher.reached_minimum else None
        if batch is None:
            return None
        # Before it goes out: a cut after a kill would give other lines the uids of these.
        self.subscription.write_place(batch.span.segment)
        return replace(batch, mark=self._mark(batch.span.end))

    def _mark(self, end: int) -> str:
        """Return the mark of *end*, up to which batches are taken now; '' where it is not known."""
        before = b""
        while self._read:
            block = self._read[0]
            start = block.span.start
            if start >= end:
                break
            if len(block.data) != block.span.end - start:
                before = b""  # it stands for other bytes than it holds: a hole, or a shortened line
            else:
                before += block.data[max(0, end - start - MARK_BYTES) : end - start]
            if block.span.end > end:
                break
            del self._read[0]
        return mark_of(before)

    def rewind(self) -> None:
        """Read again from what the ledger says; what is held here was not dispatched."""
        self._rewinds = self.ledger.rewinds
        self.batcher.clear()
        self._read.clear()
        self._segment = None

    def notices(self) -> InFlight | None:
        """Return a request of pending notices; they stay pending until it is settled."""
        outbox = self.subscription.outbox
        chosen = outbox.take(_MAX_NOTICES)
        if not chosen:
            return None
        records = [self.encode_notice(notice) for notice in chosen]
        return InFlight(
            Batch(self.batcher.receiver, Span(0, 0, 0), records),
            lambda _in_flight, _tally: outbox.acknowledged(chosen),  # no position moves with it
            0,  # nor are they in the budget: what is lost must be told even when it is used up
            notices=True,
        )

    def flush_in_s(self) -> float | None:
        """Return how long what is held may wait, None when nothing is."""
        held_s = self.monotonic() - self._since
        return None if self.batcher.empty else max(0.0, self.flush_s - held_s)

    def _next(self) -> Block | Gap | None:
        segment = self._current()
        if segment is None:
            return None
        found = self.blocks.read(segment, self._offset)
        if not isinstance(found, Gap):
            return found
        if not self.batcher.empty or self.subscription.outbox.full:
            return None  # what was read before goes first, and losses are told one by one
        ticket = self.ledger.open(found.span)
        self.on_gap(self.subscription, segment, found)
        self.subscription.settle_when_stored(ticket, Tally(gaps=1))
        self._offset = found.span.end
        return found

    def _current(self) -> Segment | None:
        """Return the segment to read from: the first one in order that has something left."""
        segment = self._segment
        if segment is not None and not self._segment_done() and self._version == self.log.version:
            return segment
        if not self.batcher.empty:
            return segment if not self._segment_done() else None
        self._version = self.log.version
        self._segment = segment = self.log.next_segment(self.ledger)
        if segment is not None:
            self._offset = self.ledger.next_offset(segment.seq)
        return segment

    def _segment_done(self) -> bool:
        state = self._segment.state if self._segment else None
        return state is not None and state.complete and self._offset >= state.size

    def __repr__(self) -> str:
        where = f"{self._segment.seq}:{self._offset}" if self._segment else "nowhere"
        return f"<SubscriptionReader {self.subscription.name} at {where}>"
