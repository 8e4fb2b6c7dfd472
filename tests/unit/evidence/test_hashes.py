"""What a receipt's hashes say: recomputed by hand from the file and from what arrived."""

import gzip
import json
from hashlib import sha256
from typing import Any

import pytest

from tests.kit.agent import RETRY, Fixture
from tests.kit.backend import Backend
from tests.kit.steps import Limit, PartialSuccess, Poison

RECEIPT = "k8s.audit.segment"
BACKUP = "audit-2026-01-02T03-04-05.000.log"
PRIME = (1 << 61) - 1


def by_hand(records: dict[str, str]) -> tuple[str, str]:
    """Make hash and sums as the page describes them, from uids and bodies."""
    chain, group, sums = bytes(32), b"", [0, 0, 0, 0]
    for uid in sorted(records, key=lambda uid: int(uid.split("-")[1], 16)):
        digest = sha256(f"{uid}\n{records[uid]}".encode()).digest()[:20]
        for k in range(4):
            value = int.from_bytes(digest[:4], "big")
            sums[k] += value * int(uid.split("-")[1], 16) ** k
        group += digest
        if len(group) == 8 * 20:
            chain, group = sha256(chain + group).digest(), b""
    return sha256(chain + group).hexdigest(), "-".join(f"{s % PRIME:x}" for s in sums)


def arrived_at(scene: Fixture, identity: str) -> dict[str, str]:
    return {
        r.uid: r.body for r in scene.backend.received.records if r.uid.startswith(identity + "-")
    }


def said(receipt: dict[str, Any]) -> tuple[str, str]:
    content = "k8s.audit.segment.content."
    assert receipt[content + "version"] == 1
    return receipt[content + "hash"], receipt[content + "sums"]


def test_a_receipt_hashes_the_file_and_what_arrived(scene: Fixture) -> None:
    scene.write(100)
    raw = scene.log.read_bytes()
    scene.rotate(BACKUP)
    scene.write(1)
    scene.once()
    (receipt,) = scene.notices(RECEIPT)
    assert receipt["k8s.audit.segment.sha256"] == sha256(raw).hexdigest()
    identity = receipt["k8s.audit.segment.identity"]
    assert said(receipt) == by_hand(arrived_at(scene, identity))


def test_restarts_in_the_middle_of_a_segment_change_no_hash(scene: Fixture) -> None:
    """And neither does a copy that was packed meanwhile."""
    for _ in range(4):
        scene.write(13)
        scene.once()
    raw = scene.log.read_bytes()
    scene.log.with_name(BACKUP + ".gz").write_bytes(gzip.compress(raw))
    scene.log.unlink()
    scene.write(1)
    scene.once()
    (receipt,) = scene.notices(RECEIPT)
    assert receipt["k8s.audit.segment.sha256"] == sha256(raw).hexdigest()
    identity = receipt["k8s.audit.segment.identity"]
    assert said(receipt) == by_hand(arrived_at(scene, identity))


def test_a_record_in_the_dead_letter_is_not_hashed(scene: Fixture) -> None:
    """The others are, and so is one that went as a smaller one."""
    ids = scene.write(40)
    scene.rotate(BACKUP)
    scene.write(1)
    scene.backend.plan = [Poison(ids[17].encode())]
    scene.exporters = f"otlp_http: {{endpoint: {scene.backend.url}, {RETRY}}}"
    scene.once(deadline_s=20)
    (receipt,) = scene.notices(RECEIPT)
    assert receipt["k8s.audit.segment.dead_lettered"] == 1
    arrived = arrived_at(scene, receipt["k8s.audit.segment.identity"])
    assert len(arrived) == 39
    assert said(receipt) == by_hand(arrived)


def test_a_record_that_was_made_smaller_is_hashed_as_it_arrived(scene: Fixture) -> None:
    scene.write(5)
    event = json.loads(scene.log.read_bytes().splitlines()[0])
    event["responseObject"] = {"kind": "List", "text": "x" * 60_000}
    with scene.log.open("ab") as file:
        file.write(json.dumps(event).encode() + b"\n")
    scene.write(5)
    scene.rotate(BACKUP)
    scene.write(1)
    scene.backend.plan = [Limit(40_000)]
    scene.once(deadline_s=20)
    (receipt,) = scene.notices(RECEIPT)
    arrived = arrived_at(scene, receipt["k8s.audit.segment.identity"])
    assert len(arrived) == 11
    assert said(receipt) == by_hand(arrived)


def test_what_was_refused_and_not_named_leaves_no_hash_and_says_so(scene: Fixture) -> None:
    ids = scene.write(40)
    scene.rotate(BACKUP)
    scene.write(1)
    scene.backend.plan = [PartialSuccess(needle=ids[7].encode())]
    scene.once()
    (receipt,) = scene.notices(RECEIPT)
    assert receipt["k8s.audit.segment.content.none"] == "refused_unnamed"
    assert "k8s.audit.segment.content.hash" not in receipt


def test_policies_and_redaction_of_each_exporter_have_hashes_of_their_own(scene: Fixture) -> None:
    """What arrived at each is what its receipt speaks of; the raw bytes are the same."""
    policy = scene.folder / "policy.yaml"
    policy.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, verbs: [get]}, "
        "{level: Metadata}]\n"
    )
    with Backend() as other:
        scene.exporters = (
            f"otlp_http/all: {{endpoint: {scene.backend.url}, {RETRY}, audit: {{notices: own}}}}, "
            f"otlp_http/few: {{endpoint: {other.url}, {RETRY}, "
            f"audit: {{notices: own, bodies: drop, policy: {policy}}}}}"
        )
        scene.write(200)
        scene.rotate(BACKUP)
        scene.write(1)
        scene.once()
        (receipt,) = scene.notices(RECEIPT)
        identity = receipt["k8s.audit.segment.identity"]
        assert said(receipt) == by_hand(arrived_at(scene, identity))
        few = next(n.attributes for n in other.received.notices if n.event_name == RECEIPT)
        arrived = {r.uid: r.body for r in other.received.records if r.uid.startswith(identity)}
        assert 0 < len(arrived) < 200
        assert said(few) == by_hand(arrived)
        assert few["k8s.audit.segment.sha256"] == receipt["k8s.audit.segment.sha256"]


@pytest.mark.parametrize(("hashes", "raw", "content"), [("records", 0, 1), ("none", 0, 0)])
def test_hashes_can_be_left_out(scene: Fixture, hashes: str, raw: int, content: int) -> None:
    scene.service = f"evidence: {{hashes: {hashes}}}, "
    scene.write(3)
    scene.rotate(BACKUP)
    scene.write(1)
    scene.once()
    (receipt,) = scene.notices(RECEIPT)
    assert ("k8s.audit.segment.sha256" in receipt) == raw
    assert ("k8s.audit.segment.content.hash" in receipt) == content
