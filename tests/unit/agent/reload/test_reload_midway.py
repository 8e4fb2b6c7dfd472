"""A reload in the middle of something else: a backlog, another reload, a stop, a swapped link."""

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from k8s_audit_otlp.cli.deliver import status
from tests.kit.agent import AgentProcess, uids_delivered
from tests.kit.backends.backend import Backend
from tests.kit.backends.steps import Accept, Delay, Refuse

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{{level: {}}}]\n"


def test_in_the_middle_of_a_backlog_nothing_is_lost(
    start: Callable[..., AgentProcess], backend: Backend
) -> None:
    """Three times while 6,000 events wait for a slow back end; each arrives, hardly one twice."""
    agent = start()
    backend.plan = lambda _request: Delay(0.05, Accept())
    agent.write(6000)
    for number in (1, 2, 3):
        agent.configure(f"    sending_queue: {{batch: {{max_size: {100 + number}}}}}")
        agent.hangup()
        agent.seen("reloaded", number)
    backend.plan = lambda _request: Accept()
    uids_delivered(backend, 6020, 60)
    assert agent.end() == 0


def test_files_that_are_deleted_and_not_delivered_are_kept(
    start: Callable[..., AgentProcess], backend: Backend
) -> None:
    """A key is wrong for so long that backups go, and is put right at the third attempt."""
    agent = start()
    backend.plan = lambda _request: Refuse(401)
    agent.write(500)
    agent.seen("retrying")
    agent.log.rename(agent.log.with_name("audit-2026-01-02T03-04-05.000.log")).unlink()
    agent.write(30)
    agent.configure("    timeout: 7s")
    agent.hangup()
    agent.seen("reloaded")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = f"{{metrics: {{address: '127.0.0.1:{taken.getsockname()[1]}'}}, logs:"
        agent.file.write_text(agent.file.read_text().replace("{logs:", metrics))
        agent.hangup()
        agent.seen("reload_refused")
        agent.seen("started", 2)
    backend.plan = lambda _request: Accept()
    agent.configure(key="two")
    agent.hangup()
    agent.seen("reloaded", 2)
    uids_delivered(backend, 550)
    assert agent.end() == 0
    gaps = {line["reason"] for line in agent.lines() if line["event"] == "gap"}
    assert gaps <= {"unseen"}, "it may have come and gone between two looks"


def test_two_in_a_row_end_with_the_second(start: Callable[..., AgentProcess]) -> None:
    """Also where the second one comes while the first is being taken up."""
    agent = start()
    for number in range(8):
        agent.configure(f"    timeout: {10 + number}s")
        agent.hangup()
        time.sleep(0.03 * number)
    agent.configure("    timeout: 7s")
    agent.hangup()
    end = time.monotonic() + 60
    while not any(
        "-> 7.0" in line["message"] for line in agent.lines() if line["event"] == "reloading"
    ):
        assert time.monotonic() < end, agent.out.read_text()
        time.sleep(0.05)
    assert agent.end() == 0


@pytest.mark.parametrize("order", [("HUP", "TERM"), ("TERM", "HUP")])
def test_a_stop_is_a_stop_whatever_is_being_taken_up(
    start: Callable[..., AgentProcess], order: tuple[str, str]
) -> None:
    """At any moment of it, and with 0: nobody waits for an agent that was told to go."""
    for pause_s in (0.0, 0.05, 0.2):
        agent = start()
        agent.socket.close()
        (agent.file.parent / "notify").unlink()
        agent.configure("    timeout: 7s")
        for name in order:
            agent.process.send_signal(signal.Signals[f"SIG{name}"])
            time.sleep(pause_s)
        assert agent.process.wait(60) == 0, agent.out.read_text()
        assert agent.lines()[-1]["event"] == "stopped"


def test_an_exporter_that_is_taken_out_keeps_its_position(
    start: Callable[..., AgentProcess],
    backend: Backend,
    tmp_path: Path,
    wait_for: Callable[..., None],
) -> None:
    """And goes on there when it is back, as `status` says; the other one is not disturbed."""
    agent = start()
    second = f"  otlp_http/second:\n    endpoint: {backend.url}\n    headers: {{x-second: '1'}}"
    agent.configure(second)
    agent.hangup()
    agent.seen("reloaded")
    agent.seen("caught_up", 2)
    agent.configure()
    agent.hangup()
    agent.seen("reloaded", 2)
    assert any("otlp_http/second" in line["message"] for line in agent.seen("reloading", 2))
    ask = ["--state-dir", str(tmp_path / "state")]
    wait_for(lambda: "not in the agent's config" in CliRunner().invoke(status, ask).output)
    agent.write(30)
    uids_delivered(backend, 50)
    agent.configure(second)
    agent.hangup()
    agent.seen("reloaded", 3)
    resumed = [x for x in agent.seen("resumed", 5) if x["exporter"] == "otlp_http/second"]
    assert [line["offset"] > 0 for line in resumed] == [False, True]
    assert resumed[1]["bytes"] == agent.log.stat().st_size - resumed[1]["offset"]
    assert agent.end() == 0


def test_a_policy_is_taken_up_when_its_config_map_changes(
    start: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    """Kubelet swaps the link `..data`; what would be dropped is said, and a bad one is refused."""
    agent = start("--watch-config")
    mount = tmp_path / "policies"
    mount.mkdir()
    for name, level in (("one", "Metadata"), ("two", "None"), ("bad", "Everything")):
        (mount / name).mkdir()
        (mount / name / "siem.yaml").write_text(POLICY.format(level))
    swap(mount, "one")
    (mount / "siem.yaml").symlink_to("..data/siem.yaml")
    agent.configure(f"    audit: {{policy: {mount / 'siem.yaml'}}}")
    agent.seen("reloaded")
    swap(mount, "two")
    agent.seen("reloaded", 2)
    assert any("drop" in line["message"] for line in agent.seen("reloading"))
    swap(mount, "bad")
    (line, *_) = agent.seen("reload_refused")
    assert "Everything" in line["message"]
    assert agent.end() == 0


def swap(mount: Path, folder: str) -> None:
    new = mount / "..data_tmp"
    new.symlink_to(folder)
    new.replace(mount / "..data")
