"""Missing, repeated and foreign are what they are called, for any loss and any repeats."""

from array import array
from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from k8s_audit_otlp.tools.verify.compare import Comparison
from k8s_audit_otlp.tools.verify.disk import NOTHING, DiskSegment
from k8s_audit_otlp.tools.verify.exports.record import ExportRecord, Receipt
from k8s_audit_otlp.tools.verify.exports.uids import place_of, read_uid, uid_of
from k8s_audit_otlp.tools.verify.report import VerifyReport

A, B = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"


def segment(
    identity: str, offsets: list[int], begin: int = 0, *, live: bool = False
) -> DiskSegment:
    places = array("Q", [place_of(offset) for offset in offsets])
    return DiskSegment("audit.log", identity, live, 1000, places, begin)


def compare(items: list[ExportRecord], *segments: DiskSegment) -> VerifyReport:
    comparison = Comparison()
    for item in items:
        comparison.take(item)
    for each in segments:
        comparison.compare(each)
    return comparison.report()


def uids(identity: str, offsets: list[int]) -> list[ExportRecord]:
    return [ExportRecord(uid_of(identity, place_of(offset))) for offset in offsets]


def receipt(identity: str, number: int = 1, **said: Any) -> ExportRecord:
    return ExportRecord(
        f"receipt-{identity}-{number}", Receipt(identity, "e", number=number, **said)
    )


offsets = st.lists(st.integers(0, 50), max_size=40)


@given(on_disk=st.sets(st.integers(0, 50)), arrived=offsets, elsewhere=offsets)
def test_the_counts_are_those_of_a_plain_comparison(
    on_disk: set[int], arrived: list[int], elsewhere: list[int]
) -> None:
    """Against multisets."""
    report = compare(uids(A, arrived) + uids(B, elsewhere), segment(A, sorted(on_disk)))
    (found,) = report.segments
    here = Counter(arrived)
    assert found.missing == len(on_disk - set(here))
    assert found.arrived == len(on_disk & set(here))
    assert found.repeated == sum(here[o] - 1 for o in on_disk & set(here))
    assert found.foreign == sum(n for o, n in here.items() if o not in on_disk)
    assert report.elsewhere == len(elsewhere)
    assert report.complete == (not found.missing)


@given(st.integers(0, (1 << 40) - 1), st.integers(-1, 9_999_999))
def test_a_uid_is_read_back_as_it_was_written(offset: int, item: int) -> None:
    """With the index of a list and without."""
    place = place_of(offset, item)
    assert read_uid(uid_of(A, place)) == (A, place)


def test_what_the_policy_dropped_is_not_missing() -> None:
    """The receipt says how many it were."""
    dropped = receipt(A, delivered=1, dropped=2, bytes=1000)
    report = compare([*uids(A, [0]), dropped], segment(A, [0, 1, 2]))
    assert report.complete
    assert report.total("dropped") == 2
    assert not compare([*uids(A, [0]), dropped], segment(A, [0, 1, 2, 3])).complete


def test_a_segment_that_is_deleted_is_held_by_its_receipt() -> None:
    """So a night can be checked after its files are gone."""
    said = receipt(A, delivered=3, bytes=10)
    assert compare([*uids(A, [0, 5, 5, 9]), said]).complete
    report = compare([*uids(A, [0, 5]), said])
    assert report.total("missing") == 1
    assert "says 3 delivered, 2 arrived" in report.segments[0].remarks[0]


def test_a_gap_in_a_deleted_segment_is_a_loss_that_nobody_can_count() -> None:
    """By its notice or by the receipt; more may have arrived than the receipt knows."""
    gap = ExportRecord(f"gap-otlp_http/a-b-{A}-0-1")
    for items in ([gap], [receipt(A, delivered=0, gaps=1)], [gap, receipt(A, delivered=0, gaps=1)]):
        report = compare([*uids(A, [0, 5]), *items])
        assert not report.complete
        assert (report.total("gaps"), report.total("missing"), report.foreign) == (1, 0, 0)
    assert compare(uids(B, [0, 5])).elsewhere == 2


def test_a_stretch_of_which_nothing_is_proven_is_no_loss() -> None:
    """Nobody knows that an event lay in it: it is said, and what is asked stays unproven."""
    said = {"k8s.audit.segment.identity": A, "k8s.audit.gap.reason": "unseen", "body": "may be"}
    report = compare([ExportRecord(f"gap-otlp_http-{A}-0-1", None, said)])
    assert (report.lacks, report.unproven) == (False, True)
    assert report.unjudged == [f"{A}: may be"]
    gone = ExportRecord(f"gap-otlp_http-{B}-0-1", None, {**said, "k8s.audit.gap.reason": "deleted"})
    assert compare([gone]).lacks


def test_what_was_refused_or_dead_lettered_is_missing() -> None:
    """It is named in the receipt; the back end does not have it."""
    report = compare([*uids(A, [0]), receipt(A, delivered=1, refused=2, dead_lettered=3)])
    assert report.total("missing") == 5
    assert not report.complete


def test_of_two_receipts_of_a_segment_the_one_that_covers_more_counts() -> None:
    """A file that grows after its rotation gets another one."""
    later = receipt(A, 2, delivered=2, bytes=1000)
    report = compare([later, receipt(A, 1, delivered=1, bytes=500), *uids(A, [0, 1])])
    assert report.complete


def test_a_missing_number_of_a_receipt_shows() -> None:
    """Then a whole segment may be missing although no file of it is left."""
    items = [receipt(f"{n:016x}", n, delivered=0, bytes=0) for n in (3, 4, 6, 9)]
    report = compare(items)
    assert report.missing_receipts == ["e: receipt 5", "e: receipt 7 to 8"]
    assert not report.complete


def test_a_gap_that_was_told_explains_what_is_missing_in_it() -> None:
    """The notice's uid names the bytes; missing it stays."""
    gap = ExportRecord(f"gap-otlp_http-{A}-1-3")
    report = compare([*uids(A, [0]), gap], segment(A, [0, 1, 2, 3]))
    assert (report.total("missing"), report.total("told")) == (3, 2)
    assert not report.complete


def test_the_newest_events_of_the_live_file_may_be_on_their_way() -> None:
    """They are pending, and older ones are missing; where nothing arrived, nobody delivers."""
    newest = compare(uids(A, [0, 1]), segment(A, [0, 1, 2, 3], live=True))
    assert (newest.total("missing"), newest.total("pending")) == (0, 2)
    assert (newest.lacks, newest.unproven, newest.complete) == (False, True, False)
    older = compare(uids(A, [0, 2]), segment(A, [0, 1, 2, 3], live=True))
    assert (older.total("missing"), older.total("pending"), older.lacks) == (1, 1, True)
    assert older.segments[0].missing_uids == [uid_of(A, place_of(1))]
    gap = ExportRecord(f"gap-otlp_http-{A}-2-3")
    told = compare([*uids(A, [0, 1]), gap], segment(A, [0, 1, 2, 3], live=True))
    assert (told.total("missing"), told.total("told"), told.total("pending")) == (1, 1, 1)
    nothing = compare([], segment(A, [0, 1], live=True))
    assert (nothing.total("missing"), nothing.total("pending"), nothing.lacks) == (2, 0, True)


def lost_since(**of: Any) -> DiskSegment:
    return replace(segment(A, [0, 1], live=bool(of.pop("live", False))), size=2, **of)


def test_an_event_of_no_file_and_no_receipt_was_put_in() -> None:
    """Where the file may have lost it since, and where two logs may look alike, nobody knows."""
    arrived, gap = uids(A, [0, 1, 7]), ExportRecord(f"gap-a-{A}-5-9")
    report = compare(arrived, lost_since())
    assert report.foreign == 1
    assert f"{A}-7" in report.put_in[0]
    of_more = receipt(A, delivered=3, bytes=9)
    of_less = receipt(A, delivered=2, bytes=9)
    for items, on_disk in (
        ([gap], lost_since()),
        ([], lost_since(live=True)),
        ([], lost_since(begins_with_event=False)),
        ([of_more], lost_since()),
        ([receipt(A, delivered=2, bytes=2, gaps=1)], lost_since()),
    ):
        report = compare([*arrived, *items], on_disk)
        assert (report.foreign, report.put_in, report.unproven) == (0, [], True)
        assert "1 record that are not in it" in report.unjudged[0]
    assert compare([*arrived, of_less], lost_since()).put_in
    assert compare([*uids(A, [0, 1, 2]), of_less], segment(A, [0, 1], live=True)).put_in


def test_more_than_a_receipt_speaks_of_was_put_in_unless_it_was_sent_again() -> None:
    """A replay may have another policy than the exporter had."""
    said, again = receipt(A, delivered=2), receipt(A, 2, delivered=3, replayed=True)
    assert compare([*uids(A, [0, 1, 2]), said]).put_in
    assert not compare([*uids(A, [0, 1, 2]), said, again]).put_in
    assert not compare(uids(B, [0, 1, 2])).put_in, "of another log, for all that is known"


def test_an_event_under_no_uid_of_an_agent_was_put_in() -> None:
    event = {"event.name": "k8s.audit.event"}
    report = compare([ExportRecord("6f1c", None, event), ExportRecord("", None, event)])
    assert report.put_in == [
        (
            "2 audit events under no uid that an agent gives, put in or sent by another program: "
            "6f1c, one without a uid"
        )
    ]


def test_what_is_not_asked_for_is_neither_missing_nor_foreign() -> None:
    """Before --since, or in a live file that is left out."""
    report = compare(uids(A, [0, 1, 2]), segment(A, [2], begin=place_of(2)))
    assert report.complete
    assert report.foreign == 0
    whole = [*uids(A, [0, 1, 2]), receipt(A, delivered=3)]
    report = compare(whole, segment(A, [2], begin=place_of(2)))
    assert report.complete, "the receipt of a part says nothing"
    assert len(report.segments) == 1
    report = compare([*uids(A, [0]), receipt(A, delivered=9)], segment(A, [], begin=NOTHING))
    assert not report.segments
    assert report.elsewhere == 0


def test_notices_are_known_and_anything_else_is_not() -> None:
    """They are counted apart; a uid that this program never makes may be another program's."""
    known = ["agent-started-1f", "silence-1-begin", "skipped-a-1", "missed-a-1", "refused-a-1"]
    known += [f"gap-a-{A}-0-1", f"receipt-{A}-9"]
    known += [f"{A}-gap-0-1", f"{A}-receipt-9"]  # of older versions
    report = compare(
        [*(ExportRecord(uid) for uid in known), ExportRecord("6f1c"), ExportRecord("AAAA-1")]
    )
    assert (report.notices, report.unknown, report.foreign) == (9, 2, 0)


def test_a_file_that_was_cut_and_written_on_is_one_here() -> None:
    """Its later records are `<id>.2` to the agent; the receipts of both parts are added up."""
    items = [
        *uids(A, [0, 100]),
        *uids(f"{A}.2", [200, 300]),
        receipt(A, 1, delivered=2, bytes=200),
        receipt(f"{A}.2", 2, delivered=2, bytes=400),
    ]
    report = compare(items, segment(A, [0, 100, 200, 300]))
    assert report.complete
    [found] = report.segments
    assert (found.arrived, found.foreign, report.elsewhere) == (4, 0, 0)
    assert found.receipt is not None
    assert found.receipt.delivered == 4
    assert not any("receipt" in remark for remark in found.remarks if "bytes" not in remark)
    lost = [item for item in items if item.uid != f"{A}.2-c8"]
    [found] = compare(lost, segment(A, [0, 100, 200, 300])).segments
    assert found.missing_uids == [f"{A}-c8"]


def test_what_a_cut_took_from_the_file_was_not_put_in() -> None:
    """As after a power cut: delivered before it, gone from the disk, and written over since."""
    cut = [*uids(A, [0, 100, 150]), *uids(f"{A}.2", [120])]
    report = compare(cut, segment(A, [0, 100, 120]))
    assert (report.put_in, report.unproven) == ([], True)
    before = compare([*cut, *uids(A, [50])], segment(A, [0, 100, 120]))
    assert f"{A}-32" in before.put_in[0]


def test_records_of_the_log_in_no_file_and_under_no_receipt_are_not_proven() -> None:
    """Somebody made up a segment; what another log or node has not rotated yet is not asked for."""
    here = {"log.file.path": "/var/log/audit.log", "k8s.node.name": "cp-1"}
    items = [item._replace(beside=here) for item in uids(A, [0, 100])]
    for other, unproven in [
        (here, True),
        ({**here, "log.file.path": "/var/log/audit-2026-01-02T03-04-05.000.log"}, True),
        ({**here, "k8s.node.name": "cp-2"}, False),
        ({**here, "log.file.path": "/var/log/another.log"}, False),
        ({}, False),
    ]:
        more = [item._replace(beside=other) for item in uids(B, [0, 100])]
        report = compare([*items, *more], segment(A, [0, 100]))
        assert report.unproven == unproven, other
        assert report.elsewhere == 2
        assert compare([*items, *more, receipt(B, delivered=2)], segment(A, [0, 100])).complete


def test_another_segment_with_the_same_first_event_is_no_part_of_it() -> None:
    """Its records begin where a file does."""
    items = [*uids(A, [0, 100]), *uids(f"{A}.2", [0, 100])]
    report = compare(items, segment(A, [0, 100]), segment(f"{A}.2", [0, 100]))
    assert [found.arrived for found in report.segments] == [2, 2]
    assert not report.total("repeated")


def test_a_gap_of_another_back_end_is_no_lack_of_this_one() -> None:
    """Every exporter is told of it, and it is a link of the chain of the one that it is about."""
    identity = "00000000000000aa"
    told = {"k8s.audit.exporter": "b", "k8s.audit.gap.bytes": 255}
    linked = {**told, "k8s.audit.chain.id": "c"}
    own_receipt = ExportRecord(
        f"receipt-{identity}-1",
        Receipt(identity, "a", number=1, delivered=0, bytes=10),
        {"k8s.audit.chain.id": "d"},
    )
    for own, complete in ((told, True), (linked, False)):
        comparison = Comparison()
        comparison.take(own_receipt)
        comparison.take(ExportRecord(f"gap-b-{identity}-0-ff", None, own))
        assert comparison.report().complete == complete
    old = Comparison()  # before there were chains
    old.take(ExportRecord(f"gap-b-{identity}-0-ff", None, told))
    assert not old.report().complete
