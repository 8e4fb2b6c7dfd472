"""Honest histories of real agents, which must not alarm."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.evidence.evidence import Evidence
from tests.kit.agent import RETRY, Fixture, exported, fixture, wait_for
from tests.kit.backends.steps import ACCEPT, Poison, Step
from tests.kit.judged import UID, is_event, is_receipt, judged, segment, with_key

__all__ = ["fixture", "wait_for"]


def started(file: Path) -> "subprocess.Popen[bytes]":
    """Run the program with a configuration; it is to be killed."""
    program = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", str(file)]
    return subprocess.Popen(program, stderr=subprocess.DEVNULL)


def proven(fixture: Fixture, *keys: Path, code: int = 0) -> str:
    words = [word for key in keys for word in ("--key", str(key))]
    result = judged(fixture.folder, exported(fixture.backend), *words)
    assert result.exit_code == code, result.output
    return result.output


def test_a_new_key_and_restarts_are_no_alarm(fixture: Fixture) -> None:
    """The tail is sealed by the new key; each key alone is not enough, which is said."""
    old = with_key(fixture, "old")
    segment(fixture, 0)
    new = with_key(fixture, "new", "--previous", str(fixture.folder / "old"))
    segment(fixture, 1)
    proven(fixture, old, new)
    assert "seal by a key that was not given" in proven(fixture, new, code=6)


def test_a_state_that_was_set_back_is_no_forgery(fixture: Fixture) -> None:
    """As from a backup of a machine: its chain goes on twice, and seals prove both ends."""
    key, old = with_key(fixture), fixture.folder / "old"
    segment(fixture, 0)
    shutil.copytree(fixture.state, old, ignore=shutil.ignore_patterns("*.sock"))
    segment(fixture, 1)
    shutil.rmtree(fixture.state)
    old.rename(fixture.state)
    segment(fixture, 2)
    said = proven(fixture, key, code=7)
    assert "goes on twice from number 2, and both ends are sealed" in said
    rows = [r for r in exported(fixture.backend) if r["event.name"] != "k8s.audit.seal"]
    result = judged(fixture.folder, rows, "--key", str(key))
    assert (result.exit_code, "forked: number 2" in result.output) == (6, True), result.output


def test_a_seal_that_is_not_due_yet_is_no_alarm(
    fixture: Fixture, wait_for: Callable[[Callable[[], object]], None]
) -> None:
    """A first link is sealed at once, and so is what a killed process left."""
    key, words = with_key(fixture), "1 without a seal after it, as the next seal is not due yet"
    fixture.write(5)
    file = fixture.folder / "agent.yaml"
    file.write_text(fixture.text())
    agent = started(file)
    try:
        fixture.backend.wait_for(5)
        fixture.rotate("audit-2026-01-02T03-00-05.000.log")
        fixture.write(5)
        wait_for(lambda: fixture.notices("k8s.audit.seal"))
        fixture.rotate("audit-2026-01-02T03-01-05.000.log")
        fixture.write(5)
        wait_for(lambda: len(fixture.notices("k8s.audit.segment")) > 1)
        assert words in proven(fixture, key)
    finally:
        agent.kill()
        agent.wait(60)
    rows = exported(fixture.backend)
    whole = judged(fixture.folder, rows, "--key", str(key), "--to", "2100-01-01")
    assert whole.exit_code == 7, whole.output
    assert "came after what was exported" in whole.output
    before = len(fixture.notices("k8s.audit.seal"))
    with fixture.running():
        wait_for(lambda: len(fixture.notices("k8s.audit.seal")) > before)


def test_what_a_source_lost_is_a_gap_and_a_link(fixture: Fixture) -> None:
    key = with_key(fixture)
    segment(fixture, 0)
    with fixture.running() as agent:
        (subscription,) = agent.subscriptions()
        Evidence(time.time_ns).lost_at_source(subscription, 1, "7 messages of a topic", 7)
    segment(fixture, 1)
    said = proven(fixture, key, code=5)
    assert "1 gap told by the agent: otlp_http can never get what a source of" in said
    assert "7 messages of a topic" in said
    assert "1 gaps," in said
    rows = exported(fixture.backend)
    (gap,) = (row for row in rows if row["event.name"] == "k8s.audit.gap")
    told_ns = int(gap["k8s.audit.gap.told_ns"])
    until = datetime.fromtimestamp(told_ns // 10**9, UTC).isoformat()[:19]
    until += f".{told_ns % 10**9 // 1000:06}Z"
    result = judged(fixture.folder, rows, "--key", str(key), "--to", until)
    assert result.exit_code == 7, result.output
    assert "told of after the range" in result.output
    rows.remove(gap)
    result = judged(fixture.folder, rows, "--key", str(key))
    assert result.exit_code == 6, result.output
    assert "missing: number 2" in result.output


def test_retention_that_takes_the_oldest_is_no_alarm(fixture: Fixture) -> None:
    """Also where all seals that there ever were lie in a file elsewhere."""
    key = with_key(fixture)
    for n in range(3):
        segment(fixture, n)
    rows = exported(fixture.backend)
    first = next(row for row in rows if is_receipt(row))
    identity = first["k8s.audit.segment.identity"]
    kept = [r for r in rows if r is not first and not str(r[UID]).startswith(identity)]
    seals = str(fixture.folder / "seals")
    result = judged(fixture.folder, kept, "--key", str(key), "--against", seals)
    assert result.exit_code == 0, result.output


def test_two_nodes_in_one_export_are_no_alarm(fixture: Fixture, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Fixture(tmp_path / "other", fixture.backend, seed=2)
    keys = [with_key(fixture), with_key(other)]
    fixture.receiver = "resource: {k8s.node.name: cp-1}"
    other.receiver = "resource: {k8s.node.name: cp-2}"
    for n in range(2):
        segment(fixture, n)
        segment(other, n)
    proven(fixture, *keys)
    rows = exported(fixture.backend)
    twice = judged(
        fixture.folder, [*rows, *reversed(rows)], "--key", str(keys[0]), "--key", str(keys[1])
    )
    assert twice.exit_code == 0, twice.output


def two_exporters(fixture: Fixture) -> None:
    url = fixture.backend.url
    fixture.exporters = (
        f"otlp_http/a: {{endpoint: {url}, {RETRY}}}, "
        f"otlp_http/b: {{endpoint: {url}, {RETRY}, "
        "audit: {bodies: drop, attribute_prefix: x.audit.}}"
    )


def test_two_exporters_that_map_differently_are_no_alarm(fixture: Fixture) -> None:
    key = with_key(fixture)
    two_exporters(fixture)
    for n in range(2):
        segment(fixture, n)
    assert "export them apart" not in proven(fixture, key)


def redacting(fixture: Fixture) -> None:
    key = fixture.folder / "names.key"
    key.write_text("0123456789abcdef" * 4)
    key.chmod(0o600)
    redaction = f"{{pseudonymise: [users], key_file: {key}}}"
    fixture.exporters = (
        f"otlp_http: {{endpoint: {fixture.backend.url}, {RETRY}, "
        f"audit: {{redaction: {redaction}}}}}"
    )


def test_another_redaction_in_the_middle_of_a_segment_is_no_alarm(fixture: Fixture) -> None:
    key = with_key(fixture)
    segment(fixture, 0)
    redacting(fixture)
    segment(fixture, 1)
    proven(fixture, key)


def test_a_kill_before_another_redaction_is_no_alarm(fixture: Fixture) -> None:
    """What was sent and not noted comes again, under the same uids with other bodies."""
    key = with_key(fixture)
    segment(fixture, 0)
    fixture.write(5)
    fixture.once()
    shutil.copytree(fixture.state, fixture.folder / "before")
    fixture.write(6)
    fixture.once()
    shutil.rmtree(fixture.state)
    (fixture.folder / "before").rename(fixture.state)
    redacting(fixture)
    segment(fixture, 1)
    said = proven(fixture, key, code=7)
    assert "records are there a second time in another form" in said, said


def test_a_clock_that_jumps_is_no_alarm(fixture: Fixture) -> None:
    key = with_key(fixture)
    segment(fixture, 0)
    before = fixture.log.stat().st_size
    fixture.write(9)
    data = fixture.log.read_bytes()
    day = data.partition(b'"stageTimestamp":"')[2][:10]
    with fixture.log.open("r+b") as file:
        file.seek(before)
        file.write(data[before:].replace(day, b"2019-02-03"))
    fixture.once()
    segment(fixture, 1)
    proven(fixture, key)


def test_a_gap_that_was_told_is_a_lack_and_no_fault(fixture: Fixture) -> None:
    key = with_key(fixture)
    segment(fixture, 0)
    fixture.write(9)
    fixture.once()
    fixture.write(9)
    fixture.log.unlink()
    fixture.write(5)
    fixture.once()
    segment(fixture, 1)
    said = proven(fixture, key, code=5)
    assert "sound: the chain holds" in said


@pytest.mark.parametrize("count", [1, 3])
def test_dead_letters_are_missing_until_they_are_sent_again(fixture: Fixture, count: int) -> None:
    """No receipt speaks of what they say then, so nothing proves them; but nobody put them in."""
    key = with_key(fixture)
    refusing: Step = ACCEPT
    for audit_id in fixture.write(9)[:count]:
        refusing = Poison(audit_id.encode(), otherwise=refusing)
    fixture.backend.plan = [refusing] * 100
    segment(fixture, 0)
    fixture.backend.plan = []
    segment(fixture, 1)
    assert f"{count} dead-lettered, by the receipt" in proven(fixture, key, code=5)
    file = fixture.folder / "agent.yaml"
    file.write_text(fixture.text())
    words = ["dead-letter", "replay", "otlp_http", "--config", str(file)]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert "refused or dead-lettered: sent again" in proven(fixture, key, code=7)
    plain = [
        {name: row[name] for name in (UID, "event.name", "body")} if is_event(row) else row
        for row in exported(fixture.backend)
    ]
    result = judged(fixture.folder, plain, "--key", str(key))
    assert (result.exit_code, "sent again" in result.output) == (7, True), result.output


@pytest.mark.parametrize("other_form", [False, True])
def test_a_replay_beside_a_killed_and_resumed_agent_is_no_alarm(
    fixture: Fixture, *, other_form: bool
) -> None:
    """In the form of before, and for a wrong policy in another."""
    key = with_key(fixture)
    file, first, log = fixture.folder / "agent.yaml", fixture.folder / "first.yaml", fixture.log
    for n in range(2):
        fixture.write(300)
        fixture.rotate(f"audit-2026-01-02T03-{n:02}-05.000.log")
    fixture.write(10)
    first.write_text(fixture.text())
    agent = started(first)
    try:
        fixture.backend.wait_for(100)
    finally:
        agent.kill()
        agent.wait(60)
    if other_form:
        redacting(fixture)
    file.write_text(fixture.text())
    agent = started(first)
    try:
        program = [sys.executable, "-m", "k8s_audit_otlp"]
        words = ["--config", str(file), "--exporter", "otlp_http", "--from", "2020-01-01"]
        done = subprocess.run(
            [*program, "replay", *words], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        fixture.backend.wait_for(610)
        assert log.exists()
    finally:
        agent.terminate()
        agent.wait(60)
    fixture.exporters = f"otlp_http: {{endpoint: {fixture.backend.url}, {RETRY}}}"
    fixture.once()
    said = proven(fixture, key)
    assert "NOT" not in said
