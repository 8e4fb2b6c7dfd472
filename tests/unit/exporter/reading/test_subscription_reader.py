"""Where one exporter reads in one log: ahead of what is sent, which is ahead of what is settled."""

from pathlib import Path

import pytest

from k8s_audit_otlp.exporter.batcher import Batcher, BatchLimits
from k8s_audit_otlp.exporter.shared import EncodedBlocks
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.exporter.subscription_reader import SubscriptionReader
from k8s_audit_otlp.model import Batch
from k8s_audit_otlp.receiver.blocks import BlockReader
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.marks import mark_of
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.ledger import Ledger, Tally, Ticket
from k8s_audit_otlp.state.outbox import Notice
from k8s_audit_otlp.state.positions import PositionFile, read_positions
from tests.kit.agent import NobodyListens, encode_lines

LINES = [b'{"auditID":"%03d"}\n' % n for n in range(10)]


class Reading:
    """A reader on a real log, with a clock that stands still."""

    def __init__(self, folder: Path, limits: BatchLimits) -> None:
        self.path = folder / "audit.log"
        self.path.write_bytes(b"".join(LINES))
        self.log = AuditLog("k8s_audit", self.path, NobodyListens())
        self.subscription = Subscription(self.log, "siem", Ledger())
        self.log.register(self.subscription.ledger)
        self.log.scan()
        self.now = 100.0
        self.gaps: list[Gap] = []
        self.reader = SubscriptionReader(
            self.subscription,
            BlockReader(self.log),
            EncodedBlocks(encode_lines, sharers=1),
            Batcher("k8s_audit", limits),
            on_gap=self._gap,
            encode_notice=lambda notice: notice.uid.encode(),
            flush_s=5.0,
            monotonic=lambda: self.now,
        )

    def _gap(self, subscription: Subscription, segment: Segment, gap: Gap) -> None:
        self.gaps.append(gap)
        subscription.outbox.add(Notice(f"gap-{segment.seq}", "k8s.audit.gap", 1, 17, "", {}))

    def take(self, *, flush_now: bool = True) -> Batch | None:
        self.reader.read_ahead()
        return self.reader.take(flush_now=flush_now)

    def dispatch(self) -> Batch:
        batch = self.take()
        assert batch is not None
        self.subscription.ledger.open(batch.span, batch.mark)
        return batch


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    return Reading(tmp_path, BatchLimits(max_records=4))


def test_what_goes_out_is_known_by_its_bytes_before(reading: Reading, tmp_path: Path) -> None:
    """Were it cut after a kill, what is written in its place would get its uids."""
    file = PositionFile(tmp_path)
    file.begin()
    reading.subscription.write_to(file)
    reading.dispatch()
    (record,) = read_positions(tmp_path)
    data = reading.path.read_bytes()
    assert (record.place.offset, record.place.near[0]) == (0, (len(data), mark_of(data)))
    assert len(record.place.lines) == 8 * len(LINES)
    file.close()


def test_batches_follow_each_other_and_carry_the_mark_of_their_end(reading: Reading) -> None:
    """The mark names the bytes before the position that the batch will settle."""
    batches = [reading.dispatch() for _ in range(3)]
    assert [list(batch.records) for batch in batches] == [LINES[:4], LINES[4:8], LINES[8:]]
    data = reading.path.read_bytes()
    assert [batch.mark for batch in batches] == [mark_of(data[: b.span.end]) for b in batches]
    assert reading.take() is None
    assert reading.reader.at_end


def test_a_small_rest_waits_while_requests_are_under_way(reading: Reading) -> None:
    """It goes when nothing else does, or when it is due."""
    for _ in range(2):
        reading.dispatch()
    assert reading.take(flush_now=False) is None
    assert reading.reader.flush_in_s() == 5.0
    reading.now += 4.9
    assert reading.take(flush_now=False) is None
    reading.now += 0.2
    batch = reading.take(flush_now=False)
    assert batch is not None
    assert list(batch.records) == LINES[8:]
    assert reading.reader.flush_in_s() is None


def test_after_a_failure_it_reads_again_from_what_is_settled(reading: Reading) -> None:
    """What was read ahead was never sent."""
    first = reading.dispatch()
    ledger = reading.subscription.ledger
    reading.dispatch()
    ledger.rewind()
    reading.reader.rewind()
    again = reading.dispatch()
    assert again.span == first.span
    assert again.records == first.records


def test_a_gap_is_told_after_what_was_read_and_settles_when_it_is_stored(
    reading: Reading,
) -> None:
    """No position passes a gap whose notice could be lost."""
    ledger, before = reading.subscription.ledger, reading.path.stat().st_size
    tickets = [_opened(reading)]
    with reading.path.open("ab") as file:
        file.write(b"nobody will read this\n")
    reading.log.scan()
    reading.log.segments()[0].let_go()
    tickets += [_opened(reading), _opened(reading)]
    assert reading.gaps == []
    assert reading.take() is None
    assert [(gap.reason, gap.span.start) for gap in reading.gaps] == [("let_go", before)]
    for ticket in tickets:
        ledger.settle(ticket, Tally())
    assert ledger.settled_offset(1) == before
    reading.subscription.position()
    reading.subscription.stored()
    assert ledger.settled_offset(1) == before + 22


def _opened(reading: Reading) -> Ticket:
    batch = reading.take()
    assert batch is not None
    return reading.subscription.ledger.open(batch.span, batch.mark)


def test_notices_go_on_their_own_and_stay_until_they_are_acknowledged(reading: Reading) -> None:
    """A position does not move with them."""
    outbox = reading.subscription.outbox
    assert reading.reader.notices() is None
    outbox.add(Notice("n1", "k8s.audit.gap", 1, 17, "", {}))
    outbox.stored(outbox.snapshot())
    request = reading.reader.notices()
    assert request is not None
    assert (list(request.batch.records), request.notices) == ([b"n1"], True)
    assert reading.reader.notices() is None
    assert len(outbox) == 1
    request.decided(delivered=1)
    assert len(outbox) == 0
    assert reading.subscription.ledger.settled_offset(1) == 0
