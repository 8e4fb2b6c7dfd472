"""An exporter that is taken out keeps its position, and hears what it missed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.cli import main
from k8s_audit_otlp.state.checkpoint import CheckpointFile
from k8s_audit_otlp.telemetry.backlog import inspect
from tests.kit.agent import Fixture
from tests.kit.backends.backend import Backend


def exporters(**urls: str) -> str:
    return ", ".join(f"otlp_http/{name}: {{endpoint: {url}}}" for name, url in urls.items())


@pytest.fixture
def second() -> Iterator[Backend]:
    with Backend() as backend:
        yield backend


def test_a_disabled_exporter_goes_on_where_it_was(fixture: Fixture, second: Backend) -> None:
    """Removed for a while, it has the backlog of that while."""
    both = exporters(a=fixture.backend.url, b=second.url)
    fixture.exporters = both
    fixture.write(10)
    fixture.once()
    fixture.exporters = exporters(a=fixture.backend.url)
    fixture.write(10)
    fixture.once()
    assert len(second.received.uids) == 10
    fixture.exporters = both
    fixture.once()
    assert len(second.received.uids) == 20
    assert second.received.duplicates == 0


def test_what_was_deleted_while_it_was_disabled_is_told(fixture: Fixture, second: Backend) -> None:
    """A disabled exporter pins nothing, so it may have missed whole segments."""
    both = exporters(a=fixture.backend.url, b=second.url)
    fixture.exporters = both
    fixture.write(10)
    fixture.once()
    fixture.exporters = exporters(a=fixture.backend.url)
    for n in range(3):
        fixture.write(5)
        fixture.rotate(f"audit-2026-01-02T03-0{n}-05.000.log")
        fixture.write(1)
        fixture.once()
        for backup in fixture.log.parent.glob("audit-*"):
            backup.unlink()
        agent = Agent(fixture.config(), {}, AgentOptions(once=True))
        agent.start()
        for log in agent.logs:
            log.clock_ns = log._known.clock_ns = lambda: 1 << 62  # long after
            log.scan()
            log.finished()
        agent.run()
    fixture.exporters = both
    fixture.once()
    gaps = [n.attributes for n in second.received.notices if n.event_name == "k8s.audit.gap"]
    assert gaps
    assert {g["k8s.audit.exporter"] for g in gaps} == {"otlp_http/b"}


def test_a_change_of_the_configuration_is_told(fixture: Fixture) -> None:
    """The stream says itself from when on it may look different."""
    fixture.write(1)
    fixture.once()
    fixture.exporters = f"otlp_http: {{endpoint: {fixture.backend.url}, audit: {{profile: plain}}}}"
    fixture.once()
    fixture.once()
    assert len(fixture.notices("k8s.audit.agent.config_changed")) == 1


def state(fixture: Fixture, *words: str) -> Result:
    return CliRunner().invoke(main, ["state", *words, "--state-dir", str(fixture.state)])


def names(folder: Path) -> set[str]:
    checkpoint = CheckpointFile(folder).load().checkpoint
    assert checkpoint is not None
    return {consumed.exporter for consumed in inspect(checkpoint)}


def test_a_renamed_exporter_goes_on_where_the_old_one_was(fixture: Fixture) -> None:
    """An id in the configuration may change without sending everything again."""
    fixture.write(10)
    fixture.once()
    assert "otlp_http " in state(fixture, "list").output
    assert state(fixture, "rename", "otlphttp", "otlphttp/siem").exit_code == 0
    fixture.exporters = f"otlp_http/siem: {{endpoint: {fixture.backend.url}}}"
    fixture.write(5)
    fixture.once()
    assert len(fixture.backend.received.uids) == 15
    assert fixture.backend.received.duplicates == 0


def test_a_forgotten_exporter_begins_anew(fixture: Fixture) -> None:
    """And what is not there cannot be forgotten, with the names that are."""
    fixture.write(10)
    fixture.once()
    wrong = state(fixture, "forget", "otlp_http/no")
    assert wrong.exit_code == 2
    assert "did you mean otlp_http?" in wrong.output
    assert state(fixture, "forget", "otlp_http").exit_code == 0
    assert "no exporter has a position" in state(fixture, "list").output
    assert names(fixture.state) == set()
    fixture.once()
    assert fixture.backend.received.duplicates == 10


def test_the_state_is_not_changed_under_a_running_agent(fixture: Fixture) -> None:
    """The agent would write it back."""
    fixture.write(1)
    with fixture.running():
        fixture.backend.wait_for(1)
        refused = state(fixture, "forget", "otlp_http")
    assert refused.exit_code == 3
    assert "in use by process" in refused.output
