"""What becomes of a file that is deleted before it was sent: held, let go, rescued."""

import gzip
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from k8s_audit_otlp.agent.agent import Agent
from tests.kit.agent import RETRY, Fixture
from tests.kit.backends.steps import Accept, Throttle

GAP, RECEIPT = "k8s.audit.gap", "k8s.audit.segment"


def test_a_segment_deleted_before_it_was_sent_is_a_gap(fixture: Fixture) -> None:
    """Reason, bytes and file are told, after a restart too."""
    fixture.write(5)
    fixture.once()
    fixture.write(50)
    size = fixture.log.stat().st_size
    # The agent learns of the bytes, and its back end does not take them.
    fixture.backend.plan = [Throttle(503)]
    fixture.once(deadline_s=0.3)
    fixture.log.unlink()
    fixture.write(3)
    fixture.backend.plan = [Accept()]
    fixture.once()
    gap, unseen = fixture.notices(GAP)
    assert gap["k8s.audit.gap.reason"] == "deleted"
    assert gap["k8s.audit.gap.end"] == size
    assert gap["log.file.name"] == "audit.log"
    assert unseen["k8s.audit.gap.reason"] == "unseen"
    assert unseen["k8s.audit.gap.open_end"]
    assert unseen["k8s.audit.gap.estimated_records"] == 0  # that are known to be missing
    assert "the last file that the state knows, is gone" in unseen["k8s.audit.gap.detail"]


def test_a_run_to_the_end_tells_what_was_in_doubt_when_all_else_had_arrived(
    fixture: Fixture,
) -> None:
    """A number that is left out may be another file's soon, as long as files are renamed there."""
    fixture.write(5)
    fixture.once()
    fixture.rotate("audit.log.3")
    fixture.write(3)
    fixture.rotate("audit.log.1")
    fixture.write(1)

    def make_others() -> None:
        for number in range(20):
            (fixture.log.parent / f"other-{number}").touch()
            time.sleep(0.1)

    others = Thread(target=make_others)
    others.start()
    fixture.once()
    others.join()
    (gap,) = fixture.notices(GAP)
    assert gap["k8s.audit.gap.reason"] == "unseen"


@contextmanager
def rotated_in_outage(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> Iterator[tuple[Agent, Path, list[str]]]:
    """Write 50 events over a rotation, none delivered; give the agent, the backup, their ids."""
    fixture.backend.plan = [Throttle(503)]
    ids = fixture.write(40)
    with fixture.running() as agent:
        backup = fixture.rotate("audit-2026-01-02T03-04-05.000.log")
        ids += fixture.write(10)
        wait_for(lambda: len(agent.logs[0].segments()) == 2)
        yield agent, backup, ids


def test_a_file_deleted_while_the_agent_runs_is_delivered_all_the_same(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """The descriptor was opened at discovery and outlives the name."""
    with rotated_in_outage(fixture, wait_for) as (_agent, backup, ids):
        backup.unlink()
        fixture.backend.plan = [Accept()]
        fixture.backend.wait_for(50)
    assert Counter(fixture.backend.received.audit_ids) == Counter(ids)
    assert not fixture.notices(GAP)


def test_over_the_bound_the_oldest_deleted_file_is_let_go_as_a_gap(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """The disk is kube-apiserver's too: what is held is bounded, and letting go is said."""
    fixture.receiver = "hold_max_bytes: 1000, "
    fixture.exporters = (
        f"otlp_http: {{endpoint: {fixture.backend.url}, {RETRY}, "
        "sending_queue: {num_consumers: 1, batch: {sizer: bytes, max_size: 20000}}}"
    )
    fixture.backend.plan = [Throttle(503)]
    fixture.write(600)  # more than one block, so that not all of it is in memory
    with fixture.running() as agent:
        backup = fixture.rotate("audit-2026-01-02T03-04-05.000.log")
        kept = fixture.write(10)
        wait_for(lambda: len(agent.logs[0].segments()) == 2)
        backup.unlink()
        wait_for(lambda: agent.logs[0].segments()[0].state.let_go)
        fixture.backend.plan = [Accept()]
        wait_for(lambda: fixture.notices(GAP))
        wait_for(lambda: not Counter(kept) - fixture.backend.received.audit_ids)
    (gap,) = fixture.notices(GAP)
    assert gap["k8s.audit.gap.reason"] == "let_go"


def test_what_is_held_at_shutdown_is_rescued_and_sent_after_the_restart(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """With a rescue directory a deleted file survives the process that held it."""
    fixture.receiver = f"rescue_dir: {fixture.folder / 'rescue'}, "
    with rotated_in_outage(fixture, wait_for) as (agent, backup, ids):
        backup.unlink()
        wait_for(lambda: agent.logs[0].segments()[0].unlinked)
    fixture.backend.plan = [Accept()]
    fixture.once()
    assert Counter(fixture.backend.received.audit_ids) == Counter(ids)
    assert not fixture.notices(GAP)
    assert not list((fixture.folder / "rescue").iterdir())


def test_a_verified_twin_lets_the_deleted_file_go(
    fixture: Fixture, wait_for: Callable[..., Any]
) -> None:
    """Once the .gz is whole it is read instead, and the plain file's blocks are freed."""
    with rotated_in_outage(fixture, wait_for) as (agent, backup, ids):
        packed = backup.with_name(backup.name + ".gz")
        packed.write_bytes(gzip.compress(backup.read_bytes()))
        backup.unlink()
        wait_for(lambda: agent.logs[0].segments()[0].compressed)
        fixture.backend.plan = [Accept()]
        fixture.backend.wait_for(50)
    assert Counter(fixture.backend.received.audit_ids) == Counter(ids)
