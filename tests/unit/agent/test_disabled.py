"""An exporter that is taken out keeps its position, and hears what it missed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.agent.agent import Agent, AgentOptions
from k8s_audit_otlp.cli import main
from k8s_audit_otlp.state.checkpoint import CheckpointFile
from k8s_audit_otlp.telemetry.inspect import inspect
from tests.kit.agent import Fixture
from tests.kit.backend import Backend


def exporters(**urls: str) -> str:
    return ", ".join(f"otlp_http/{name}: {{endpoint: {url}}}" for name, url in urls.items())


@pytest.fixture
def second() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


def test_a_disabled_exporter_goes_on_where_it_was(scene: Fixture, second: Backend) -> None:
    """Removed for a while, it has the backlog of that while."""
    both = exporters(a=scene.backend.url, b=second.url)
    scene.exporters = both
    scene.write(10)
    scene.once()
    scene.exporters = exporters(a=scene.backend.url)
    scene.write(10)
    scene.once()
    assert len(second.received.uids) == 10
    scene.exporters = both
    scene.once()
    assert len(second.received.uids) == 20
    assert second.received.duplicates == 0


def test_what_was_deleted_while_it_was_disabled_is_told(scene: Fixture, second: Backend) -> None:
    """A disabled exporter pins nothing, so it may have missed whole segments."""
    both = exporters(a=scene.backend.url, b=second.url)
    scene.exporters = both
    scene.write(10)
    scene.once()
    scene.exporters = exporters(a=scene.backend.url)
    for n in range(3):
        scene.write(5)
        scene.rotate(f"audit-2026-01-02T03-0{n}-05.000.log")
        scene.write(1)
        scene.once()
        for backup in scene.log.parent.glob("audit-*"):
            backup.unlink()
        agent = Agent(scene.config(), {}, AgentOptions(once=True))
        agent.start()
        for log in agent.logs:
            log.clock_ns = log._known.clock_ns = lambda: 1 << 62  # long after
            log.scan()
            log.finished()
        agent.run()
    scene.exporters = both
    scene.once()
    gaps = [n.attributes for n in second.received.notices if n.event_name == "k8s.audit.gap"]
    assert gaps
    assert {g["k8s.audit.exporter"] for g in gaps} == {"otlp_http/b"}


def test_a_change_of_the_configuration_is_told(scene: Fixture) -> None:
    """The stream says itself from when on it may look different."""
    scene.write(1)
    scene.once()
    scene.exporters = f"otlp_http: {{endpoint: {scene.backend.url}, audit: {{profile: plain}}}}"
    scene.once()
    scene.once()
    assert len(scene.notices("k8s.audit.agent.config_changed")) == 1


def state(scene: Fixture, *words: str) -> Result:
    return CliRunner().invoke(main, ["state", *words, "--state-dir", str(scene.state)])


def names(folder: Path) -> set[str]:
    checkpoint = CheckpointFile(folder).load().checkpoint
    assert checkpoint is not None
    return {consumed.exporter for consumed in inspect(checkpoint)}


def test_a_renamed_exporter_goes_on_where_the_old_one_was(scene: Fixture) -> None:
    """An id in the configuration may change without sending everything again."""
    scene.write(10)
    scene.once()
    assert "otlp_http  " in state(scene, "list").output
    assert state(scene, "rename", "otlp_http", "otlp_http/siem").exit_code == 0
    scene.exporters = f"otlp_http/siem: {{endpoint: {scene.backend.url}}}"
    scene.write(5)
    scene.once()
    assert len(scene.backend.received.uids) == 15
    assert scene.backend.received.duplicates == 0


def test_a_forgotten_exporter_begins_anew(scene: Fixture) -> None:
    """And what is not there cannot be forgotten, with the names that are."""
    scene.write(10)
    scene.once()
    wrong = state(scene, "forget", "otlp_http/no")
    assert wrong.exit_code == 2
    assert "did you mean otlp_http?" in wrong.output
    assert state(scene, "forget", "otlp_http").exit_code == 0
    assert names(scene.state) == set()
    scene.once()
    assert scene.backend.received.duplicates == 10


def test_the_state_is_not_changed_under_a_running_agent(scene: Fixture) -> None:
    """The agent would write it back."""
    scene.write(1)
    with scene.running():
        scene.backend.wait_for(1)
        refused = state(scene, "forget", "otlp_http")
    assert refused.exit_code == 3
    assert "in use by process" in refused.output
