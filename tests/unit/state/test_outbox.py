"""Notices wait until they are acknowledged, and become fewer where they say the same."""

from typing import Any, cast

import msgspec

from k8s_audit_otlp.state.outbox import COUNT, EXPORTER, GAP, MAX_PENDING, SINCE, Notice, Outbox


def notice(uid: str, event: str = "k8s.audit.refused", **attributes: Any) -> Notice:
    return Notice(uid, event, 1, 9, "body", {**attributes})


def refused(uid: str, exporter: str, count: int = 1) -> Notice:
    return notice(uid, **cast("Any", {EXPORTER: exporter, COUNT: count}))


def sent(outbox: Outbox) -> list[Notice]:
    """Store what is there, and take what may be sent then."""
    outbox.stored(outbox.snapshot())
    return outbox.take(10)


def told(outbox: Outbox) -> list[tuple[str, object, object]]:
    return [(n.uid, n.attributes.get(EXPORTER), n.attributes.get(COUNT)) for n in outbox.snapshot()]


def test_refusals_of_one_exporter_become_one_with_their_number() -> None:
    outbox = Outbox()
    outbox.add(refused("a", "siem", 2))
    outbox.add(refused("b", "siem", 3))
    assert told(outbox) == [("b", "siem", 5)]


def test_refusals_of_different_exporters_are_different_news() -> None:
    outbox = Outbox()
    for uid, exporter in (("a", "siem"), ("b", "lake"), ("c", "siem"), ("d", "lake")):
        outbox.add(refused(uid, exporter))
    assert told(outbox) == [("c", "siem", 2), ("d", "lake", 2)]


def test_what_is_on_its_way_is_not_changed() -> None:
    outbox = Outbox()
    outbox.add(refused("a", "siem"))
    on_the_way = sent(outbox)
    outbox.add(refused("b", "siem"))
    assert told(outbox) == [("a", "siem", 1), ("b", "siem", 1)]
    outbox.acknowledged(on_the_way)
    assert told(outbox) == [("b", "siem", 1)]
    assert sent(outbox) == outbox.snapshot()
    assert sent(outbox) == []


def test_a_notice_leaves_only_when_a_checkpoint_holds_it() -> None:
    """What a back end has must be what the next process knows of."""
    outbox = Outbox([notice("old", "k8s.audit.gap")])
    outbox.add(notice("new", "k8s.audit.gap"))
    assert [n.uid for n in outbox.take(10)] == ["old"]
    assert [n.uid for n in sent(outbox)] == ["new"]


def test_what_a_failed_sender_had_is_sent_again() -> None:
    outbox = Outbox([notice("a")])
    assert outbox.take(10)
    assert not outbox.take(10)
    outbox.resend_all()
    assert [n.uid for n in outbox.take(10)] == ["a"]


def test_merged_gaps_keep_their_sum_and_their_outer_span() -> None:
    """1,300 at once, of one exporter: what they tell together is what is lost."""
    outbox = Outbox()
    for n in range(1300):
        attributes: dict[str, Any] = {EXPORTER: "siem", GAP + "reason": "deleted", GAP + "start": n}
        span: dict[str, Any] = {GAP + "since_ns": 100 + n, GAP + "until_ns": 200 + n}
        size: dict[str, Any] = {GAP + "bytes": n, GAP + "estimated_records": 1}
        if n == 1100:
            size[GAP + "open_end"] = True  # nobody knows how much more it was
        outbox.add(notice(f"g{n}", "k8s.audit.gap", **attributes, **span, **size))
    told_of = outbox.snapshot()
    assert len(told_of) == MAX_PENDING
    assert sum(int(n.attributes.get(GAP + "bytes", 0)) for n in told_of) == sum(range(1300))
    assert sum(int(n.attributes.get(COUNT, 1)) for n in told_of) == 1300
    merged = told_of[-1]
    assert merged.attributes[GAP + "since_ns"] == 100 + 999
    assert merged.attributes[GAP + "until_ns"] == 200 + 1299
    assert merged.attributes[GAP + "estimated_records"] == 301
    assert merged.attributes[GAP + "open_end"] is True
    assert GAP + "start" not in merged.attributes
    assert f"{merged.attributes[GAP + 'bytes']} bytes in 301 places" in merged.body


def test_gaps_of_other_exporters_or_reasons_are_not_merged_with_it() -> None:
    outbox = Outbox()
    for n in range(MAX_PENDING):
        outbox.add(notice(f"g{n}", "k8s.audit.gap", **{EXPORTER: "siem", GAP + "reason": "let_go"}))
    assert outbox.full
    for n, (exporter, reason) in enumerate([("lake", "let_go"), ("siem", "deleted")]):
        named: dict[str, Any] = {EXPORTER: exporter, GAP + "reason": reason, GAP + "bytes": 1}
        outbox.add(notice(f"x{n}", "k8s.audit.gap", **named))
    assert [n.uid for n in outbox.snapshot()][-2:] == ["x0", "x1"]
    assert len(outbox) == MAX_PENDING + 2


def test_the_same_notice_is_not_doubled() -> None:
    outbox = Outbox()
    for _ in range(2):
        outbox.add(notice("a", "k8s.audit.gap"))
    assert len(outbox) == 1


def test_it_is_bounded() -> None:
    outbox = Outbox()
    for n in range(MAX_PENDING + 300):
        outbox.add(notice(str(n), "k8s.audit.silence"))
    assert len(outbox) == MAX_PENDING


def test_what_one_of_two_merged_notices_does_not_count_is_nothing() -> None:
    """Not one."""
    outbox = Outbox()
    for n in range(MAX_PENDING + 1):
        estimated: dict[str, Any] = {GAP + "estimated_records": 7} if n == MAX_PENDING else {}
        attributes: dict[str, Any] = {EXPORTER: "siem", GAP + "reason": "deleted", GAP + "bytes": 1}
        outbox.add(notice(f"g{n}", "k8s.audit.gap", **attributes, **estimated))
    assert outbox.snapshot()[-1].attributes[GAP + "estimated_records"] == 7


def test_a_notice_that_was_acknowledged_and_comes_again_waits_for_its_checkpoint() -> None:
    """That an earlier one of its name was stored says nothing about this one."""
    outbox = Outbox()
    outbox.add(notice("a", "k8s.audit.gap"))
    outbox.acknowledged(sent(outbox))
    outbox.add(notice("a", "k8s.audit.gap"))
    assert outbox.take(10) == []
    assert [n.uid for n in sent(outbox)] == ["a"]


def test_what_others_are_linked_to_is_never_merged() -> None:
    """A chain without one of its links looks as if somebody had taken it out."""
    outbox = Outbox()
    outbox.add(msgspec.structs.replace(refused("a", "siem"), kept=True))
    outbox.add(refused("b", "siem"))
    outbox.add(msgspec.structs.replace(refused("c", "siem"), kept=True))
    assert [uid for uid, *_ in told(outbox)] == ["a", "b", "c"]


def test_the_newest_seal_of_a_chain_replaces_those_that_nobody_was_sent() -> None:
    """It says all that they did; an exporter that answers nothing collects no others."""

    def seal(uid: str, chain: str) -> Notice:
        attributes = {"k8s.audit.chain.id": chain}
        return Notice(uid, "k8s.audit.seal", 1, 9, "body", {**attributes}, kept=True)

    outbox = Outbox([seal("a1", "a"), seal("a2", "a"), seal("b1", "b")])
    assert [n.uid for n in outbox.snapshot()] == ["a2", "b1"]
    outbox.add(seal("a3", "a"))
    assert [n.uid for n in outbox.snapshot()] == ["b1", "a3"]
    assert [n.uid for n in sent(outbox)] == ["b1", "a3"]
    for uid in ("a4", "a5"):
        outbox.add(seal(uid, "a"))
    assert [n.uid for n in outbox.snapshot()] == ["b1", "a3", "a5"]


def test_a_merged_notice_has_the_later_of_both_times() -> None:
    """Where a back end orders a stream by time the older one may be refused."""
    outbox = Outbox()
    outbox.add(msgspec.structs.replace(refused("a", "siem"), time_ns=9))
    outbox.add(msgspec.structs.replace(refused("b", "siem"), time_ns=5))
    assert [n.time_ns for n in outbox.snapshot()] == [9]


def test_a_start_that_nobody_was_told_of_says_how_often_and_since_when() -> None:
    outbox = Outbox()
    for number in range(3):
        told = notice(f"s{number}", "k8s.audit.agent.started")
        outbox.add(msgspec.structs.replace(told, time_ns=(60 + number) * 10**9))
    [merged] = outbox.snapshot()
    assert (merged.attributes[COUNT], merged.attributes[SINCE]) == (3, 60 * 10**9)
    assert merged.body.count("times since") == 1
    assert "(3 times since 1970-01-01T00:01:00+00:00, " in merged.body


def test_of_a_notice_that_changed_meanwhile_the_older_form_stores_nothing() -> None:
    """A checkpoint holds the one; another one of the same name took its place in between."""
    outbox = Outbox()
    outbox.add(refused("a", "siem"))
    in_checkpoint = outbox.snapshot()
    outbox.acknowledged(in_checkpoint)
    outbox.add(refused("a", "siem", 2))
    outbox.stored(in_checkpoint)
    assert outbox.take(10) == []
    assert [n.attributes[COUNT] for n in sent(outbox)] == [2]


def test_a_seal_replaces_no_receipt_of_its_chain() -> None:
    """It says how far the chain is, and not what its links say."""
    link = {"k8s.audit.chain.id": "one"}
    outbox = Outbox()
    outbox.add(notice("receipt", "k8s.audit.segment", **link))
    outbox.add(notice("seal-1", "k8s.audit.seal", **link))
    outbox.add(notice("seal-2", "k8s.audit.seal", **link))
    assert [n.uid for n in outbox.snapshot()] == ["receipt", "seal-2"]
