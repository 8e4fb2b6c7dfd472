"""Notices wait until they are acknowledged, and become fewer where they say the same."""

from k8s_audit_otlp.state.outbox import COUNT, EXPORTER, MAX_PENDING, Notice, Outbox


def notice(uid: str, event: str = "k8s.audit.refused", **attributes: str | int) -> Notice:
    return Notice(uid, event, 1, 9, "body", {**attributes})


def refused(uid: str, exporter: str, count: int = 1) -> Notice:
    return notice(uid, **{EXPORTER: exporter, COUNT: count})


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
    sent = outbox.take(10)
    outbox.add(refused("b", "siem"))
    assert told(outbox) == [("a", "siem", 1), ("b", "siem", 1)]
    outbox.acknowledged(sent)
    assert told(outbox) == [("b", "siem", 1)]
    assert outbox.take(10) == outbox.snapshot()
    assert outbox.take(10) == []


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
