"""`reload` asks a running agent and ends as it answers: what systemd makes of it is true."""

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from k8s_audit_otlp.agent.reload import SAME
from tests.kit.agent import AgentProcess, uids_delivered
from tests.kit.backends.backend import Backend
from tests.kit.pages import ROOT


def reload(state: Path, *more: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "k8s_audit_otlp", "reload", "--state-dir", str(state), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_each_answer_has_its_exit_code(
    start: Callable[..., AgentProcess], backend: Backend, tmp_path: Path
) -> None:
    """Taken up, the same, refused when read, refused when started, and nobody there."""
    state = tmp_path / "state"
    assert reload(state)[0] == 3, "no state yet"
    agent = start()
    assert reload(state) == (0, f"{SAME}\n")
    agent.configure("    timeout: 7s")
    code, said = reload(state)
    assert code == 0
    assert "exporters::otlp_http::timeout" in said
    agent.configure("    timeout: 7 parsecs")
    code, said = reload(state)
    assert code == 2
    assert "parsecs" in said
    agent.configure()
    address = f"telemetry: {{metrics: {{address: '127.0.0.1:{backend.port}'}},"
    agent.file.write_text(agent.file.read_text().replace("telemetry: {", address))
    code, said = reload(state)
    assert code == 2
    assert "metrics::address" in said
    agent.write(5)
    uids_delivered(backend, 25)
    assert agent.end() == 0
    code, said = reload(state)
    assert code == 3
    assert "no agent is running" in said


def test_another_key_for_the_seals_is_a_change(
    start: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    """An agent reads it when it begins, so the configuration that names it is not the same."""
    key, other = tmp_path / "seal.key", tmp_path / "other.key"
    for file in (key, other):
        command = [sys.executable, "-m", "k8s_audit_otlp", "evidence", "keygen", str(file)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    agent = start()
    evidence = f"evidence: {{key_file: {key}}}, telemetry: {{"
    agent.file.write_text(agent.file.read_text().replace("telemetry: {", evidence))
    assert reload(tmp_path / "state")[0] == 0
    assert reload(tmp_path / "state") == (0, f"{SAME}\n")
    other.replace(key)
    assert reload(tmp_path / "state") == (0, "service::evidence::key_file holds another key\n")
    assert reload(tmp_path / "state") == (0, f"{SAME}\n")


def test_a_file_that_holds_a_value_is_watched_too(
    start: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    """But not one that holds a secret: that is read whenever it is used."""
    name, token = tmp_path / "cluster", tmp_path / "token"
    name.write_text("alpha")
    token.write_text("first")
    agent = start("--watch-config")
    resource = f'resource: {{k8s.cluster.name: "${{file:{name}}}"}}, include:'
    text = agent.file.read_text().replace("include:", resource)
    agent.file.write_text(re.sub(r"x-key: \w+", f'x-key: "${{file:{token}}}"', text))
    agent.seen("reloaded")
    token.write_text("second")
    name.write_text("beta")
    agent.seen("reloaded", 2)
    said = [line["message"] for line in agent.lines() if line["event"] == "reloading"]
    assert len(said) == 3, "name and token come with the first reload, the name with the second"
    assert "k8s.cluster.name" in said[-1]


def test_many_who_ask_at_once_are_all_answered(
    start: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    """By one reading or by several: none of them from before it was asked."""
    agent = start()
    agent.configure("    timeout: 7s")
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(reload, tmp_path / "state") for _ in range(4)]
        assert {answer.result()[0] for answer in answers} == {0}
    assert len(agent.seen("reloaded")) == 1


def test_a_number_of_another_process_is_not_signalled(tmp_path: Path) -> None:
    """The lock of a container holds a number that means somebody else here."""
    (tmp_path / "lock").write_text("0")
    hold = (
        "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(1, flush=True); input()"
    )
    with subprocess.Popen(["sleep", "600"]) as bystander:
        (tmp_path / "lock").write_text(str(bystander.pid))
        command = [sys.executable, "-c", hold, str(tmp_path / "lock")]
        with subprocess.Popen(command, stdin=-1, stdout=-1) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline()
            code, said = reload(tmp_path)
            (tmp_path / "lock").write_text("")
            begins, _ = reload(tmp_path, "--deadline", "1s")
            holder.kill()
        assert code == 3
        assert "another container" in said
        assert begins == 1, "who has not said its number yet is waited for"
        assert bystander.poll() is None
        bystander.kill()


def test_the_unit_asks_so() -> None:
    """Of the directory that it gives the agent."""
    unit = (ROOT / "deploy" / "systemd" / "k8s-audit-otlp.service").read_text()
    (name,) = re.findall("^StateDirectory=(.*)$", unit, re.MULTILINE)
    (command,) = re.findall("^ExecReload=(.*)$", unit, re.MULTILINE)
    assert command.endswith(f"k8s-audit-otlp reload --state-dir /var/lib/{name}")
