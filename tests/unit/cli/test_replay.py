"""`replay`: a part of the log goes to one exporter once more, beside a running agent."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.agent import Fixture, scene, wait_for
from tests.kit.backend import Backend

__all__ = ["scene", "wait_for"]
FIRST = "2020-01-01T00:00:00Z"
LAST = "2999-01-01T00:00:00Z"


def configured(scene: Fixture, url: str) -> Path:
    file = scene.folder / "agent.yaml"
    file.write_text(
        f"receivers: {{k8s_audit: {{include: [{scene.log}]}}}}\n"
        f"exporters:\n"
        f"  otlp_http/live: {{endpoint: {scene.backend.url}}}\n"
        f"  otlp_http/new: {{endpoint: {url}}}\n"
        f"service: {{state_dir: {scene.state}}}\n"
    )
    return file


def replaying(file: Path, *more: str) -> subprocess.Popen[str]:
    words = ["replay", "--config", str(file), "--exporter", "otlp_http/new", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "k8s_audit_otlp", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=90)
    assert process.returncode == code, output
    return output


def lines(scene: Fixture) -> int:
    files = scene.log.parent.iterdir()
    return sum(len(file.read_bytes().splitlines()) for file in files)


def test_everything_on_disk_goes_out_with_the_same_uids(scene: Fixture) -> None:
    """Also what is live; the state of the agent stays as it was."""
    scene.write(50)
    scene.rotate("audit-2026-01-02T03-04-05.000.log")
    scene.write(20)
    scene.once()
    before = {p.name: p.read_bytes() for p in scene.state.iterdir() if p.is_file()}
    with Backend() as new:
        file = configured(scene, new.url)
        assert "70 records would be" in ended(replaying(file, "--from", FIRST, "--dry-run"))
        assert not new.received.uids
        output = ended(replaying(file, "--from", FIRST, "--to", LAST))
        assert "70 records sent again" in output
        assert set(new.received.uids) == set(scene.backend.received.uids)
    after = {p.name: p.read_bytes() for p in scene.state.iterdir() if p.is_file()}
    assert after == before
    assert not list((scene.state / "replay").iterdir())  # it is through


def test_only_what_lies_between_the_times(scene: Fixture) -> None:
    ids = scene.write(30)
    stamps = [json.loads(line)["stageTimestamp"] for line in scene.log.read_bytes().splitlines()]
    stamps.sort()
    with Backend() as new:
        file = configured(scene, new.url)
        ended(replaying(file, "--from", FIRST, "--to", stamps[12]))
        assert len(set(new.received.uids)) == 12
        assert len(ids) == 30


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_goes_on_where_it_was_ended(
    scene: Fixture, wait_for: Callable[[Callable[[], object], float], None], how: signal.Signals
) -> None:
    for n in range(6):
        scene.write(400)
        scene.rotate(f"audit-2026-01-02T03-0{n}-05.000.log")
    scene.write(1)
    with Backend() as new:
        file = configured(scene, new.url)
        first = replaying(file, "--from", FIRST, "--to", LAST, "--rate", "400")
        wait_for(lambda: len(new.received.uids) > 100, 60)
        first.send_signal(how)
        first.communicate(timeout=60)
        some = len(set(new.received.uids))
        assert some < lines(scene)
        ended(replaying(file, "--from", FIRST, "--to", LAST))
        assert len(set(new.received.uids)) == lines(scene)
        assert new.received.uids.total() - lines(scene) <= 400  # what was in flight


def test_mistakes_are_told(scene: Fixture) -> None:
    scene.write(1)
    file = configured(scene, scene.backend.url)
    assert "nothing lies between" in ended(replaying(file, "--from", LAST, "--to", FIRST), 2)
    assert re.search(r"--from", ended(replaying(file, "--from", "yesterday-ish"), 2))
