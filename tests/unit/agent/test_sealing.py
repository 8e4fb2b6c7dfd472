"""When seals are made: at once for what is new, every ten minutes, and at a stop."""

import json
from pathlib import Path

import pytest

from k8s_audit_otlp.agent.sealing import Sealing
from k8s_audit_otlp.config.service import EvidenceBlock
from k8s_audit_otlp.evidence.evidence import Evidence
from k8s_audit_otlp.evidence.seal import make_key
from k8s_audit_otlp.exporter.subscription import Subscription
from k8s_audit_otlp.receiver.log import AuditLog
from k8s_audit_otlp.state.ledger import Ledger
from k8s_audit_otlp.state.outbox import Chain
from tests.kit.agent import NobodyListens


class Node:
    """An agent's seals with a clock of their own."""

    def __init__(self, folder: Path) -> None:
        make_key(folder / "key")
        self.now = 50.0  # s since the machine began
        self.file = folder / "seals"
        log = AuditLog("k8s_audit", folder / "audit.log", NobodyListens())
        self.subscription = Subscription(log, "siem", Ledger(), stored_chain=Chain("one", 3, "00"))
        evidence = Evidence(lambda: int(self.now * 1e9))
        evidence.add(self.subscription)
        block = EvidenceBlock(key_file=str(folder / "key"), seal_file=str(self.file))
        self.sealing = Sealing(evidence, block, monotonic=lambda: self.now)
        self.sealing.begin()

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.sealing.look()
            self.now += 1

    def seals(self) -> list[tuple[int, int, str]]:
        """Return number, second and what is said of the agent, of every seal of the file."""
        lines = map(json.loads, self.file.read_text().splitlines())
        return [
            (
                line["k8s.audit.chain.number"],
                line["k8s.audit.seal.time_ns"] // 10**9,
                line.get("k8s.audit.seal.agent", ""),
            )
            for line in lines
        ]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_what_has_nothing_new_is_sealed_every_ten_minutes(node: Node) -> None:
    node.run(1300)
    assert node.seals() == [(3, 50, ""), (3, 650, ""), (3, 1250, "")]


def test_a_new_link_is_sealed_at_once_and_puts_off_no_other_seal(node: Node) -> None:
    node.run(400)
    node.subscription.stored_chain = Chain("one", 4, "11")
    node.run(400)
    assert node.seals() == [(3, 50, ""), (4, 450, ""), (4, 650, "")]


def test_a_stop_is_sealed_whatever_was_sealed_before_and_says_so(node: Node) -> None:
    node.run(5)
    node.sealing.last(lambda: None, [])
    assert node.seals() == [(3, 50, ""), (3, 55, "stopped")]
