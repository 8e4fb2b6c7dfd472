"""What is lost is said in the stream, and every segment ends with a receipt."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.kit.agent import RETRY, Fixture
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Accept, PartialSuccess, Throttle

GAP, RECEIPT = "k8s.audit.gap", "k8s.audit.segment"


def test_a_receipt_states_what_arrived_of_a_segment(fixture: Fixture, backend: Backend) -> None:
    """The number of different uids of a segment equals its receipt; receipts are numbered."""
    fixture.write(30)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(20)
    fixture.rotate("audit-2026-01-02T03-05-05.000.log")
    fixture.write(10)
    fixture.once()
    receipts = fixture.notices(RECEIPT)
    assert [r["k8s.audit.segment.number"] for r in receipts] == [1, 2]
    arrived = Counter(uid.rpartition("-")[0] for uid in backend.received.uids)
    for receipt in receipts:
        assert (
            receipt["k8s.audit.segment.delivered"] == arrived[receipt["k8s.audit.segment.identity"]]
        )
    # In the order in which they are settled: several requests are sent at a time.
    assert sorted(r["k8s.audit.segment.delivered"] for r in receipts) == [20, 30]


def test_a_receipt_is_written_once_across_restarts(fixture: Fixture) -> None:
    """It is stored with the position: neither lost nor doubled."""
    fixture.write(5)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(5)
    for _ in range(3):
        fixture.once()
    assert len(fixture.notices(RECEIPT)) == 1


def test_a_receipt_of_a_segment_whose_end_nobody_saw_counts_that_as_a_gap(fixture: Fixture) -> None:
    """All that was seen has arrived; whether that was all, or more had arrived, nobody knows."""
    fixture.write(5)
    fixture.once()
    fixture.log.unlink()
    fixture.write(3)
    fixture.once()
    (receipt,) = fixture.notices(RECEIPT)
    assert receipt["k8s.audit.segment.delivered"] == 5
    assert repr(receipt["k8s.audit.segment.gaps"]) == "1"  # not True


def test_a_receipt_of_what_a_policy_dropped_says_by_which_rule(fixture: Fixture) -> None:
    """Dropped is not missing."""
    policy = fixture.folder / "policy.yaml"
    policy.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: None, verbs: [get]}, "
        "{level: Metadata}]\n"
    )
    fixture.exporters = (
        f"otlp_http: {{endpoint: {fixture.backend.url}, audit: {{policy: {policy}}}}}"
    )
    fixture.write(200)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(1)
    fixture.once()
    (receipt,) = fixture.notices(RECEIPT)
    dropped = receipt["k8s.audit.segment.dropped_by.rule 1"]
    assert dropped > 0
    assert receipt["k8s.audit.segment.delivered"] + dropped == 200


def test_a_notice_older_than_the_back_end_takes_has_the_present_time(fixture: Fixture) -> None:
    """Its own would have it refused; without an age window it is that of the last event."""
    fixture.write(20)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(1)
    begin = time.time_ns()
    with Backend() as other:
        limits = "audit: {start_at: beginning, limits: {max_age: 1ms}}"
        fixture.exporters += f", otlp_http/b: {{endpoint: {other.url}, {limits}}}"
        fixture.once()
        times = [
            [n.time_ns >= begin for n in one.received.notices if n.event_name == RECEIPT]
            for one in (fixture.backend, other)
        ]
    assert times == [[False], [True]]


def test_a_gap_of_one_exporter_is_told_to_the_others(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """Who cannot be reached cannot be told that something is missing."""
    with Backend(plan=[Throttle(503)]) as dead:
        fixture.exporters = (
            f"otlp_http/up: {{endpoint: {fixture.backend.url}}}, "
            f"otlp_http/down: {{endpoint: {dead.url}, "
            "retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}}"
        )
        fixture.write(20)
        with fixture.running():
            fixture.backend.wait_for(20)
            wait_for(lambda: dead.requests_total)
        fixture.log.unlink()
        fixture.write(2)
        with fixture.running():
            wait_for(lambda: gaps_told(fixture).keys() >= {"otlp_http/down", "otlp_http/up"})
    gaps = gaps_told(fixture)
    assert gaps["otlp_http/down"] > 10_000
    # What it has had is all that was seen of the file; whether more was written nobody knows, and
    # none is known to be missing.
    assert gaps["otlp_http/up"] == 0


def gaps_told(fixture: Fixture) -> Counter[str]:
    """Count the bytes of all gaps, by the exporter that misses them."""
    gaps: Counter[str] = Counter()
    for gap in fixture.notices(GAP):
        gaps[gap["k8s.audit.exporter"]] += gap["k8s.audit.gap.bytes"]
    return gaps


def test_silence_and_its_end_are_told(fixture: Fixture, wait_for: Callable[..., Any]) -> None:
    """A log that is no longer written is a sign, and so is that it is again."""
    fixture.receiver = "silence_after: 1s, "
    fixture.write(3)
    with fixture.running():
        wait_for(lambda: fixture.notices("k8s.audit.silence"))
        fixture.write(1)
        wait_for(lambda: len(fixture.notices("k8s.audit.silence")) >= 2)
    ended = [n["k8s.audit.silence.ended"] for n in fixture.notices("k8s.audit.silence")]
    assert ended[:2] == [False, True]


def test_what_start_at_leaves_out_is_told(fixture: Fixture) -> None:
    """A first start at the end of the log says what it skips."""
    fixture.receiver = "start_at: end, "
    fixture.write(10)
    fixture.once()
    assert not fixture.backend.received.uids
    (gap,) = fixture.notices(GAP)
    assert gap["k8s.audit.gap.reason"] == "skipped"
    fixture.write(2)
    fixture.once()
    assert len(fixture.backend.received.uids) == 2


def test_each_exporter_is_told_its_own_loss_of_the_same_segment(fixture: Fixture) -> None:
    """Two miss the same bytes: each back end hears of both, under uids of their own."""
    with Backend(plan=[Throttle(503)]) as other:
        fixture.exporters = (
            f"otlp_http/a: {{endpoint: {fixture.backend.url}, {RETRY}}}, "
            f"otlp_http/b: {{endpoint: {other.url}, {RETRY}}}"
        )
        fixture.write(5)
        fixture.backend.plan = [Throttle(503)]
        fixture.once(deadline_s=0.3)
        fixture.log.unlink()
        fixture.write(2)
        fixture.backend.plan = other.plan = [Accept()]
        fixture.once()
        for backend in (fixture.backend, other):
            gaps = [n for n in backend.received.notices if n.event_name == GAP]
            named = {n.attributes["k8s.audit.exporter"] for n in gaps}
            assert named == {"otlp_http/a", "otlp_http/b"}
            assert len({n.uid for n in gaps}) == 4


def test_a_notice_cannot_be_taken_for_an_event_and_says_what_it_is(
    fixture: Fixture, backend: Backend
) -> None:
    """A query for all uids that begin with an identity must find events only."""
    fixture.write(5)
    fixture.once()
    fixture.write(5)
    fixture.backend.plan = [Throttle(503)]
    fixture.once(deadline_s=0.3)
    fixture.log.unlink()
    fixture.write(2)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.backend.plan = [Accept()]
    fixture.once()
    identities = {uid.partition("-")[0] for uid in backend.received.uids}
    notices = backend.received.notices
    assert {GAP, RECEIPT, "k8s.audit.agent.started"} <= {n.event_name for n in notices}
    for notice in notices:
        assert not any(notice.uid.startswith(identity) for identity in identities)
        assert notice.attributes["event.name"] == notice.event_name


def test_a_notice_has_the_time_of_the_last_event_that_it_is_about(
    fixture: Fixture, backend: Backend
) -> None:
    """So it stands where it belongs when the night is read in order."""
    fixture.write(9)
    fixture.rotate("audit-2026-01-02T03-04-05.000.log")
    fixture.write(1)
    fixture.once()
    (receipt,) = [n for n in backend.received.notices if n.event_name == RECEIPT]
    assert receipt.time_ns == receipt.attributes["k8s.audit.segment.last_event_ns"]


def test_a_back_end_that_refuses_a_part_of_everything_hears_no_end_of_notices_about_it(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """The refusal of a notice is counted, and never makes another one."""
    fixture.backend.plan = [PartialSuccess(1)]
    fixture.write(1)
    with fixture.running() as agent:
        path = agent.exporters[0].dead_letters.path

        def letters() -> int:
            return len(path.read_bytes().splitlines()) if path.exists() else 0

        wait_for(lambda: letters() >= 3)  # the event, that the agent started, that it was refused
        time.sleep(1.5)
        assert letters() <= 4
        assert sum(s.tally().refused for s in agent.exporters[0].subscriptions) == 1
