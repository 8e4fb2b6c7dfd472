"""What a receipt's hashes say: recomputed by hand from the file and from what arrived."""

import gzip
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest

from tests.kit.agent import RETRY, Fixture
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Limit, PartialSuccess, Poison

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


def arrived_at(fixture: Fixture, identity: str) -> dict[str, str]:
    return {
        r.uid: r.body for r in fixture.backend.received.records if r.uid.startswith(identity + "-")
    }


def said(receipt: dict[str, Any]) -> tuple[str, str]:
    content = "k8s.audit.segment.content."
    assert receipt[content + "version"] == 1
    return receipt[content + "hash"], receipt[content + "sums"]


def test_a_receipt_hashes_the_file_and_what_arrived(fixture: Fixture) -> None:
    fixture.write(100)
    raw = fixture.log.read_bytes()
    fixture.rotate(BACKUP)
    fixture.write(1)
    fixture.once()
    (receipt,) = fixture.notices(RECEIPT)
    assert receipt["k8s.audit.segment.sha256"] == sha256(raw).hexdigest()
    identity = receipt["k8s.audit.segment.identity"]
    assert said(receipt) == by_hand(arrived_at(fixture, identity))


def test_restarts_in_the_middle_of_a_segment_change_no_hash(fixture: Fixture) -> None:
    """And neither does a copy that was packed meanwhile."""
    for _ in range(4):
        fixture.write(13)
        fixture.once()
    raw = fixture.log.read_bytes()
    fixture.log.with_name(BACKUP + ".gz").write_bytes(gzip.compress(raw))
    fixture.log.unlink()
    fixture.write(1)
    fixture.once()
    (receipt,) = fixture.notices(RECEIPT)
    assert receipt["k8s.audit.segment.sha256"] == sha256(raw).hexdigest()
    identity = receipt["k8s.audit.segment.identity"]
    assert said(receipt) == by_hand(arrived_at(fixture, identity))


def test_hashes_of_files_that_are_gone_are_forgotten(
    fixture: Fixture, wait_for: Callable[..., None]
) -> None:
    """A busy log rotates every minute, for years."""
    fixture.write(5)
    with fixture.running() as agent:
        (hashes,) = agent._evidence._raw_hashes.values()
        hashes._of[999] = sha256(), 0  # of a file that was there before
        fixture.rotate(BACKUP)
        fixture.write(1)
        wait_for(lambda: fixture.notices(RECEIPT))
        assert 999 not in hashes._of


def test_a_record_in_the_dead_letter_is_not_hashed(fixture: Fixture) -> None:
    """The others are, and so is one that went as a smaller one."""
    ids = fixture.write(40)
    fixture.rotate(BACKUP)
    fixture.write(1)
    fixture.backend.plan = [Poison(ids[17].encode())]
    fixture.exporters = f"otlp_http: {{endpoint: {fixture.backend.url}, {RETRY}}}"
    fixture.once(deadline_s=20)
    (receipt,) = fixture.notices(RECEIPT)
    assert receipt["k8s.audit.segment.dead_lettered"] == 1
    arrived = arrived_at(fixture, receipt["k8s.audit.segment.identity"])
    assert len(arrived) == 39
    assert said(receipt) == by_hand(arrived)


def test_a_record_that_was_made_smaller_is_hashed_as_it_arrived(fixture: Fixture) -> None:
    fixture.write(5)
    event = json.loads(fixture.log.read_bytes().splitlines()[0])
    event["responseObject"] = {"kind": "List", "text": "x" * 60_000}
    with fixture.log.open("ab") as file:
        file.write(json.dumps(event).encode() + b"\n")
    fixture.write(5)
    fixture.rotate(BACKUP)
    fixture.write(1)
    fixture.backend.plan = [Limit(40_000)]
    fixture.once(deadline_s=20)
    (receipt,) = fixture.notices(RECEIPT)
    arrived = arrived_at(fixture, receipt["k8s.audit.segment.identity"])
    assert len(arrived) == 11
    assert said(receipt) == by_hand(arrived)


def test_what_was_refused_and_not_named_leaves_no_hash_and_says_so(fixture: Fixture) -> None:
    ids = fixture.write(40)
    fixture.rotate(BACKUP)
    fixture.write(1)
    fixture.backend.plan = [PartialSuccess(needle=ids[7].encode())]
    fixture.once()
    (receipt,) = fixture.notices(RECEIPT)
    assert receipt["k8s.audit.segment.content.none"] == "refused_unnamed"
    assert "k8s.audit.segment.content.hash" not in receipt


def test_policies_and_redaction_of_each_exporter_have_hashes_of_their_own(fixture: Fixture) -> None:
    """What arrived at each is what its receipt speaks of; the raw bytes are the same."""
    policy = fixture.folder / "policy.yaml"
    policy.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, verbs: [get]}, "
        "{level: Metadata}]\n"
    )
    with Backend() as other:
        fixture.exporters = (
            f"otlp_http/all: {{endpoint: {fixture.backend.url}, {RETRY}, "
            "audit: {notices: own}}, "
            f"otlp_http/few: {{endpoint: {other.url}, {RETRY}, "
            f"audit: {{notices: own, bodies: drop, policy: {policy}}}}}"
        )
        fixture.write(200)
        fixture.rotate(BACKUP)
        fixture.write(1)
        fixture.once()
        (receipt,) = fixture.notices(RECEIPT)
        identity = receipt["k8s.audit.segment.identity"]
        assert said(receipt) == by_hand(arrived_at(fixture, identity))
        few = next(n.attributes for n in other.received.notices if n.event_name == RECEIPT)
        arrived = {r.uid: r.body for r in other.received.records if r.uid.startswith(identity)}
        assert 0 < len(arrived) < 200
        assert said(few) == by_hand(arrived)
        assert few["k8s.audit.segment.sha256"] == receipt["k8s.audit.segment.sha256"]


@pytest.mark.parametrize(("hashes", "raw", "content"), [("records", 0, 1), ("none", 0, 0)])
def test_hashes_can_be_left_out(fixture: Fixture, hashes: str, raw: int, content: int) -> None:
    fixture.service = f"evidence: {{hashes: {hashes}}}, "
    fixture.write(3)
    fixture.rotate(BACKUP)
    fixture.write(1)
    fixture.once()
    (receipt,) = fixture.notices(RECEIPT)
    assert ("k8s.audit.segment.sha256" in receipt) == raw
    assert ("k8s.audit.segment.content.hash" in receipt) == content
