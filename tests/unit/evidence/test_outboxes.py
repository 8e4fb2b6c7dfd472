"""Whose outboxes a notice is put into."""

from pathlib import Path

import pytest

from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.evidence.seal import SealKey, make_key
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.model import Span
from k8s_audit_otlp.receiver.gaps import Gap
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.receiver.segment import Segment
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.manifest import SegmentState
from k8s_audit_otlp.state.outbox import Chain
from tests.kit.agent import NobodyListens

Told = dict[str, list[str]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Tell a gap of one exporter; return the exporters and logs that have it in their outboxes."""
    one, other = (AuditLog("k8s_audit", tmp_path / name, NobodyListens()) for name in "ab")
    evidence = Evidence(lambda: 7)
    subscriptions = {
        "itself": Subscription(one, "siem", Ledger()),
        "same log": Subscription(one, "archive", Ledger()),
        "same log, own notices": Subscription(one, "lake", Ledger(), wants="own"),
        "other log": Subscription(other, "archive", Ledger()),
        "other log, same exporter": Subscription(other, "siem", Ledger()),
    }
    for subscription in subscriptions.values():
        evidence.add(subscription)
    segment = Segment(SegmentState(1, "0123456789abcdef", "", 0, names=["audit.log"]))
    evidence.gap(subscriptions["itself"], segment, Gap(Span(1, 0, 10), "deleted"))
    return {
        name: [notice.body for notice in subscription.outbox.snapshot()]
        for name, subscription in subscriptions.items()
    }


def test_a_gap_of_one_log_is_told_to_the_exporters_of_that_log_alone(told: Told) -> None:
    said = ["10 bytes of audit.log are missing at siem: the file was deleted before it was read"]
    assert told == {
        "itself": said,
        "same log": said,
        "same log, own notices": [],
        "other log": [],
        "other log, same exporter": [],
    }


def test_an_exporter_gets_a_seal_once_beside_the_log_that_it_is_of(tmp_path: Path) -> None:
    """An exporter of many logs would have it many times; one without that log has it too."""
    make_key(tmp_path / "key")
    one, other = (AuditLog("k8s_audit", tmp_path / name, NobodyListens()) for name in "ab")
    evidence = Evidence(lambda: 7)
    subscriptions = {
        "siem a": Subscription(one, "siem", Ledger(), stored_chain=Chain("one", 3, "00")),
        "siem b": Subscription(other, "siem", Ledger(), stored_chain=Chain("two", 1, "11")),
        "lake b": Subscription(other, "lake", Ledger()),
    }
    for subscription in subscriptions.values():
        evidence.add(subscription)
    evidence.seal(SealKey.read(tmp_path / "key"))
    assert {
        name: [notice.attributes["k8s.audit.chain.id"] for notice in subscription.outbox.snapshot()]
        for name, subscription in subscriptions.items()
    } == {"siem a": ["one"], "siem b": ["two"], "lake b": ["one", "two"]}


def test_what_is_said_of_the_agent_goes_to_each_exporter_once(tmp_path: Path) -> None:
    """However many logs it has; of a refusal those are not told that want only their own."""
    logs = [AuditLog("k8s_audit", tmp_path / name, NobodyListens()) for name in "abc"]
    evidence = Evidence(lambda: 7)
    siem = [Subscription(log, "siem", Ledger()) for log in logs]
    lake = [Subscription(log, "lake", Ledger(), wants="own") for log in logs[1:]]
    for subscription in (*siem, *lake):
        evidence.add(subscription)

    def pending(of: list[Subscription]) -> list[str]:
        return sorted(notice.event for one in of for notice in one.outbox.snapshot())

    evidence.agent("started", "started", {})
    assert pending(siem) == pending(lake) == ["k8s.audit.agent.started"]
    evidence.refused("siem", 2, "too old")
    assert pending(siem) == ["k8s.audit.agent.started", "k8s.audit.refused"]
    assert pending(lake) == ["k8s.audit.agent.started"]
