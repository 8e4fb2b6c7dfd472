"""A machine that lost its power: the end of the log and what the state knew of it are gone."""

import os
import shutil
from pathlib import Path

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.state.checkpoint import Boot, Checkpoint, CheckpointFile, this_boot
from k8s_audit_otlp.state.manifest import Manifest
from tests.kit.agent import Fixture
from tests.kit.log.log_files import append

UP_NS = 1_767_323_045_000_000_000  # 2026-01-02T03:04:05Z


def event(number: int, time: str) -> bytes:
    return (
        f'{{"kind":"Event","auditID":"id-{number}","stage":"ResponseComplete","level":"Metadata",'
        f'"verb":"get","stageTimestamp":"2026-01-02T{time}.00000{number}Z"}}\n'
    ).encode()


def once(fixture: Fixture, boot: Boot) -> None:
    agent = Agent(fixture.config(), {}, AgentOptions(once=True, boot=lambda: boot))
    agent.start()
    agent.run()


def killed(fixture: Fixture) -> None:
    """Make the state one of an agent that nobody had stopped."""
    file = CheckpointFile(fixture.state)
    checkpoint = file.load().checkpoint
    assert checkpoint is not None
    checkpoint.starts = ["somewhere"]
    file.save(checkpoint)


@pytest.mark.parametrize("stopped", [True, False])
def test_what_stands_where_the_log_lost_its_end_has_uids_of_its_own(
    fixture: Fixture, tmp_path: Path, *, stopped: bool
) -> None:
    """A gap tells that events may be missing; after a clean end nothing is lost, and none does."""
    append(fixture.log, event(1, "02:00:00"))
    once(fixture, Boot("a", 1))
    shutil.copytree(fixture.state, tmp_path / "on-disk", ignore=shutil.ignore_patterns("*.sock"))
    append(fixture.log, event(2, "02:00:00"), event(3, "02:00:01"))
    once(fixture, Boot("a", 1))
    if not stopped:
        shutil.rmtree(fixture.state)
        (tmp_path / "on-disk").rename(fixture.state)
        os.truncate(fixture.log, 2 * len(event(1, "02:00:00")))
        killed(fixture)
    append(fixture.log, event(4, "03:04:06"), event(5, "03:04:07"))
    once(fixture, Boot("b", UP_NS))
    once(fixture, Boot("b", UP_NS))
    received = fixture.backend.received
    assert set(received.audit_ids) == {f"id-{n}" for n in range(1, 6)}
    assert len({(r.uid, r.ids.audit_id) for r in received.records}) == len(received.uids) == 5
    gaps = fixture.notices("k8s.audit.gap")
    assert [g["k8s.audit.gap.reason"] for g in gaps] == ([] if stopped else ["unseen"])


@pytest.mark.parametrize(
    ("known", "boot", "starts", "expected"),
    [
        ("a", Boot("b", 7), ["x"], 7),
        ("a", Boot("b", 7), [], 0),  # it was stopped
        ("a", Boot("a", 7), ["x"], 0),
        ("a", Boot(), ["x"], 0),  # the kernel does not tell
        ("", Boot("b", 7), ["x"], 0),  # of an older version
    ],
)
def test_a_boot_that_ended_under_the_agent_is_noted(
    known: str, boot: Boot, starts: list[str], expected: int
) -> None:
    """Not one before which it was stopped."""
    checkpoint = Checkpoint(manifests={"audit": Manifest()}, boot=known, starts=starts)
    assert checkpoint.note_boot(boot).manifests["audit"].up_since_ns == expected
    assert checkpoint.boot == (boot.name or known)


def test_this_boot_is_the_kernels() -> None:
    """It began before now, and has one name."""
    assert this_boot().name == this_boot().name != ""
    assert this_boot().began_ns > 0
