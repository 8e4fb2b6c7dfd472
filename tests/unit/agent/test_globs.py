"""A glob names logs that may yet come: each is taken up when it does, by an agent that is there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.config.receivers import K8sAudit
from k8s_audit_otlp.receiver.listing import logs_in
from k8s_audit_otlp.state.lock import StateLock, StateLockedError
from tests.kit.agent import AgentProcess, Fixture, uids_delivered
from tests.kit.backends.backend import Backend
from tests.kit.log.events import EventSource


def test_logs_that_come_to_match_are_read_from_their_beginning(
    start: Callable[..., AgentProcess], backend: Backend, tmp_path: Path
) -> None:
    """None at first, and it is ready; then one, another beside it; a backup or folder is none."""
    logs = tmp_path / "later"
    logs.mkdir()
    agent = start(include="later/*.log")
    assert "READY=1" in agent.told("READY=1")[-1]
    agent.told("nothing is read of it yet")
    assert len(agent.seen("no_log")) == 1
    agent.configure("    audit: {start_at: end}")
    agent.hangup()
    agent.seen("reloaded")
    (logs / "folder.log").mkdir()
    source = EventSource(3)
    for name in ("one.log", "two.log", "one-2026-01-02T03-04-05.000.log"):
        with (logs / name).open("wb") as log:
            log.writelines(source.line() + b"\n" for _ in range(10))
        if name != "one-2026-01-02T03-04-05.000.log":
            uids_delivered(backend, 10 if name == "one.log" else 20)
    uids_delivered(backend, 30)
    assert agent.end() == 0
    said = [line["message"] for line in agent.lines() if line["event"] == "reloading"]
    assert [line.rpartition("/")[2] for line in said[-2:]] == [
        "one.log has come to match",
        "two.log has come to match",
    ]


def test_a_log_with_two_names_is_told(start: Callable[..., AgentProcess], tmp_path: Path) -> None:
    """Nothing but its inode shows that a hard link leads to the same events."""
    logs = tmp_path / "later"
    logs.mkdir()
    (logs / "one.log").write_bytes(EventSource(4).line() + b"\n")
    (logs / "two.log").hardlink_to(logs / "one.log")
    agent = start(include="later/*.log")
    (line,) = agent.seen("shared_file")
    assert "every event of it is sent twice" in line["message"]
    assert agent.end() == 0


def test_nobody_comes_between_two_agents_of_one_process(fixture: Fixture) -> None:
    """A second process that waits for the state does not get it at a reload."""
    fixture.write(1)
    config, me = fixture.config(), str(os.getpid())
    first = Agent(config, {})
    first.start()
    first.hand_over()
    first.run()
    assert StateLock(fixture.state).holder() == me
    with pytest.raises(StateLockedError):
        Agent(config, {}, AgentOptions(lock_timeout_s=0.0)).start()
    second = Agent(config, {}, AgentOptions(lock=first.lock))
    second.start()
    second.stop()
    second.run()
    assert StateLock(fixture.state).holder() is None


def test_a_log_waits_where_a_file_of_the_configuration_has_become_wrong(
    start: Callable[..., AgentProcess], backend: Backend, tmp_path: Path
) -> None:
    """Nothing could start with it any more: the agent that runs goes on, and says which file."""
    policy = tmp_path / "policy.yaml"
    good = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
    agent = start(include="later/*.log")
    policy.write_text(good)
    agent.configure(f"    audit: {{policy: {policy}}}")
    agent.hangup()
    agent.seen("reloaded")
    policy.write_text(good.replace("Metadata", "Nothing"))
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "one.log").write_bytes(agent.log.read_bytes())
    (line,) = agent.seen("reload_refused")
    assert "one.log has come to match and is not read yet" in line["message"]
    assert "'Nothing' is not known" in line["message"]
    agent.told("one.log: is not read yet: a file")
    policy.write_text(good)
    uids_delivered(backend, 20)
    agent.told("STATUS=Nothing is being lost. All is sent.")
    assert agent.end() == 0


@pytest.mark.parametrize("by", ["link", "link to the folder", "dots", "glob"])
def test_a_log_that_several_paths_lead_to_is_read_once(tmp_path: Path, by: str) -> None:
    """And under its own name, whatever link is made later: positions are kept by it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    log, other = logs / "audit.log", logs / "other.log"
    log.touch()
    other.touch()
    (logs / "a-link.log").symlink_to(log)
    (tmp_path / "a-folder").symlink_to(logs)
    include = {
        "link": [logs / "a-link.log", log],
        "link to the folder": [tmp_path / "a-folder" / "audit.log", log],
        "dots": [log, logs / ".." / "logs" / "audit.log"],
        "glob": [tmp_path / "*" / "*.log"],
    }[by]
    found = logs_in(K8sAudit(include=tuple(map(str, include))).include)
    assert found == [log, *[other] * (by == "glob")]
