"""What a subscription stores, and what it settles only once that is stored."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.exporter.subscription import Subscription, forget_finished
from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.marks import Farthest, mark_of
from k8s_audit_otlp.receiver.start_at import EVERYTHING
from k8s_audit_otlp.state.ledger import Ledger, Place, Tally
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.state.outbox import Notice, Outbox
from k8s_audit_otlp.state.positions import PositionFile, read_positions
from tests.kit.agent import NobodyListens


def subscription_to(log: Path) -> Subscription:
    return Subscription(AuditLog("k8s_audit", log, NobodyListens()), "siem", Ledger())


def lose(subscription: Subscription, end: int) -> None:
    """Lose the first bytes of segment 1, and tell of it."""
    ticket = subscription.ledger.open(Span(1, 0, end))
    subscription.outbox.add(Notice(f"gap-{end}", "k8s.audit.gap", 1, 17, "lost"))
    subscription.settle_when_stored(ticket, Tally(gaps=1))


def test_a_gap_settles_only_when_the_checkpoint_with_its_notice_is_on_disk(tmp_path: Path) -> None:
    """A crash before that tells it again; a position beyond it would be silence."""
    subscription = subscription_to(tmp_path / "audit.log")
    lose(subscription, 100)
    assert subscription.ledger.settled_offset(1) == 0
    first = subscription.position()
    assert first.settled.get(1, 0) == 0
    assert [notice.uid for notice in first.notices] == ["gap-100"]
    subscription.stored()
    assert subscription.ledger.settled_offset(1) == 100
    assert subscription.ledger.place(1).tally.gaps == 1


def test_a_gap_that_came_while_the_checkpoint_was_written_waits_for_the_next(
    tmp_path: Path,
) -> None:
    """Its notice is not in that one."""
    subscription = subscription_to(tmp_path / "audit.log")
    subscription.position()
    lose(subscription, 100)
    subscription.stored()
    assert subscription.ledger.settled_offset(1) == 0
    subscription.position()
    subscription.stored()
    assert subscription.ledger.settled_offset(1) == 100


class InTheMiddle(Outbox):
    """Lets something happen right after it was asked what is pending."""

    then: Callable[[], None] = staticmethod(lambda: None)

    def snapshot(self) -> list[Notice]:
        pending = super().snapshot()
        self.then()
        return pending


def test_a_gap_that_came_while_a_checkpoint_was_put_together_waits_for_the_next(
    tmp_path: Path,
) -> None:
    """The reading thread does not stand still meanwhile."""
    subscription = subscription_to(tmp_path / "audit.log")
    subscription.outbox = outbox = InTheMiddle()
    outbox.then = partial(lose, subscription, 100)
    assert subscription.position().notices == []
    subscription.stored()
    assert subscription.ledger.settled_offset(1) == 0


@pytest.mark.parametrize(
    ("mark", "offset"),
    [(mark_of(b"one\n"), 4), ("", 0)],
    ids=["the same bytes", "unknown bytes"],
)
def test_a_place_that_no_checkpoint_names_is_taken_up_by_its_bytes(
    tmp_path: Path, mark: str, offset: int
) -> None:
    """A number alone proves nothing: the file may have been cut and written on."""
    log = tmp_path / "audit.log"
    log.write_bytes(b"one\nthree\n")
    subscription = subscription_to(log)
    subscription.log.register(subscription.ledger)
    subscription.log.scan()
    (segment,) = subscription.log.segments()
    subscription.unplaced = {segment.state.identity: Place(4, mark, Tally(read=1, delivered=1))}
    subscription.resume_new_segments()
    assert subscription.ledger.next_offset(segment.seq) == offset
    assert subscription.ledger.place(segment.seq).tally.read == bool(offset)
    assert subscription.unplaced == {}


def test_no_uid_of_a_file_that_no_checkpoint_names_is_given_again_after_a_cut(
    tmp_path: Path,
) -> None:
    """The power failed within a second of a rotation: what is in the file now is another part."""
    log = tmp_path / "audit.log"
    log.write_bytes(b"one\nother\n")
    os.utime(tmp_path, (0, 0))  # nobody renames files just now
    subscription = subscription_to(log)
    subscription.log.register(subscription.ledger)
    subscription.log.scan()
    (segment,) = subscription.log.segments()
    near = [(8, mark_of(b"one\ntwo\n")), (4, mark_of(b"one\n"))]
    place = Place(8, near[0][1], Tally(read=2, delivered=2), near=near)
    subscription.unplaced = {segment.state.identity: place}
    subscription.resume_new_segments()
    part = subscription.log.next_segment(subscription.ledger)
    lost = part and subscription.log.segments()[1]
    assert lost
    assert lost.state.lost == "unseen"
    last = subscription.log.segments()[-1]
    assert last.state.identity == f"{segment.state.identity}.2"
    assert subscription.ledger.next_offset(last.seq) == last.state.begin == len(b"one\n")


def test_what_goes_out_while_a_checkpoint_is_written_is_known_after_a_kill(tmp_path: Path) -> None:
    """That checkpoint does not name these bytes: if their file is gone, nothing else tells of them.

    Other segments are written meanwhile, which take the slots that are free.
    """
    file = PositionFile(tmp_path)
    file.begin()
    texts = [b"one\ntwo\n", b"three\n", b"four\n", b"five\n"]
    for n, text in enumerate(texts):
        (tmp_path / f"audit-2026-01-02T03-04-0{n}.000.log").write_bytes(text)
    subscription = subscription_to(tmp_path / "audit.log")
    subscription.log.register(subscription.ledger)
    subscription.log.scan()
    subscription.write_to(file)
    first, *others = subscription.log.segments()
    ticket = subscription.ledger.open(Span(first.seq, 0, 4), mark_of(b"one\n"))
    subscription.ledger.settle(ticket, Tally(read=1, delivered=1))
    subscription.position()
    assert first.source is not None
    near = [(8, mark_of(b"one\ntwo\n"))]
    subscription.log.was_read(first, first.source, Farthest(near, b"", 0))
    subscription.write_place(first.seq)
    subscription.stored()
    for other in others:
        subscription.write_place(other.seq)
        subscription.ledger.settle(subscription.ledger.open(Span(other.seq, 0, 5)), Tally())
    file.close()
    found = {r.identity: r.place for r in read_positions(tmp_path)}
    assert found[first.state.identity].near == near


def test_a_place_is_the_end_only_where_nothing_was_written_that_nobody_saw(tmp_path: Path) -> None:
    """What comes next follows an end, after a kill too; a file that was torn had another one."""
    file = PositionFile(tmp_path)
    file.begin()
    for n in range(2):
        (tmp_path / f"audit-2026-01-02T03-04-0{n}.000.log").write_bytes(b"line %d\n" % n)
    (tmp_path / "audit.log").write_bytes(b"line 2\n")
    subscription = subscription_to(tmp_path / "audit.log")
    subscription.log.register(subscription.ledger)
    subscription.log.scan()
    subscription.write_to(file)
    whole, torn, live = subscription.log.segments()
    torn.state.open_end = True
    for segment in (whole, torn, live):
        subscription.ledger.settle(subscription.ledger.open(Span(segment.seq, 0, 7)), Tally())
    file.close()
    ended = {r.identity: r.ended for r in read_positions(tmp_path)}
    assert [ended[s.state.identity] for s in (whole, torn, live)] == [True, False, False]


def test_it_says_how_it_is(tmp_path: Path) -> None:
    subscription = subscription_to(tmp_path / "audit.log")
    lose(subscription, 100)
    assert repr(subscription) == (
        f"<Subscription siem of k8s_audit:{tmp_path}/audit.log <Ledger 1:0+1> 1 notices>"
    )


def test_what_start_at_leaves_out_has_no_receipt(tmp_path: Path) -> None:
    """A receipt promises records of the whole segment."""
    subscription = subscription_to(tmp_path / "audit.log")
    for seq, settled in ((1, 10), (2, EVERYTHING), (3, 9)):
        subscription.ledger.begin(seq, settled)
    states = [SegmentState(seq, "id", "", 0, size=10, complete=True) for seq in (1, 2, 3)]
    assert [subscription.needs_receipt(state) for state in states] == [True, False, False]


class FinishedLog:
    """A log whose only segment is gone from the disk, and settled by everyone."""

    def __init__(self) -> None:
        self.state = SegmentState(1, "id", "", 0, size=10, complete=True, gone=True)
        self.forgotten: list[int] = []

    def finished(self) -> list[SegmentState]:
        return [self.state]

    def forget(self, seqs: list[int]) -> None:
        self.forgotten += seqs


def test_a_segment_is_forgotten_once_every_exporter_has_its_receipt() -> None:
    """Its counts go to the totals then, and not before: the receipt needs them."""
    log: Any = FinishedLog()
    subscriptions = [Subscription(log, name, Ledger()) for name in ("siem", "lake")]
    for one in subscriptions:
        one.ledger.settle(one.ledger.open(Span(1, 0, 10), read=2), Tally(delivered=2))
    subscriptions[0].receipted[1] = 10
    forget_finished([log], subscriptions)
    assert log.forgotten == []
    assert subscriptions[0].ledger.settled_offset(1) == 10
    subscriptions[1].receipted[1] = 10
    forget_finished([log], subscriptions)
    assert log.forgotten == [1]
    assert [(one.total.delivered, one.receipted) for one in subscriptions] == [(2, {})] * 2
