"""`doctor` as an operator calls it: exit codes, JSON, readable lines."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from k8s_audit_otlp.cli import main
from k8s_audit_otlp.cli.exit_codes import FAILURE, OK, USAGE
from tests.kit.backends.backend import Backend
from tests.kit.present import present

SECRET = "tkn-0123456789abcdef"  # noqa: S105 - made up
EVENT = (
    '{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a",'
    '"stage":"ResponseComplete","requestURI":"/api","verb":"get","user":{"username":"u"},'
    '"requestReceivedTimestamp":"2026-01-02T03:04:05.0Z",'
    '"stageTimestamp":"2026-01-02T03:04:05.0Z"}\n'
)


def doctor(*words: Any) -> Result:
    return CliRunner().invoke(main, ["doctor", "--wait", "0", *map(str, words)])


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log" / "audit.log"
    path.parent.mkdir()
    path.write_text(EVENT)
    return path


@pytest.fixture
def config(tmp_path: Path, log: Path) -> Callable[..., Any]:
    """Write a configuration for a back end."""

    def write(url: Any) -> Any:
        path = tmp_path / "agent.yaml"
        path.write_text(f"""
receivers: {{k8s_audit: {{include: ["{log}"], min_free_disk: 1MiB}}}}
exporters:
  otlp_http: {{endpoint: "{url}", headers: {{x-key: "{SECRET}"}}}}
service: {{state_dir: "{tmp_path}/state"}}
""")
        return path

    return write


def test_nothing_that_fails_exits_0(config: Callable[..., Any]) -> None:
    """Warnings do not count: a quiet log is one here."""
    with Backend() as backend:
        done = doctor("--config", config(backend.url), "--send")
    assert done.exit_code == OK, done.output
    assert "exporter.send" in done.output
    assert "0 fail" in done.output


def test_something_that_fails_exits_1_with_its_hint(config: Callable[..., Any]) -> None:
    """A back end that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = doctor("--config", config(f"http://127.0.0.1:{port}"))
    assert done.exit_code == FAILURE
    line = next(line for line in done.output.splitlines() if "exporter.tcp" in line)
    assert line.split()[0] == "fail"
    assert "→ is the back end up" in done.output
    assert "see exporter.tcp (otlp_http)" in done.output.splitlines()[-1]
    assert SECRET not in done.output


def test_json_holds_every_finding(config: Callable[..., Any]) -> None:
    """With the same exit code."""
    with Backend() as backend:
        done = doctor("--config", config(backend.url), "--json")
    findings = json.loads(done.stdout)
    assert done.exit_code == OK
    assert "exporter.topic" not in {f["check"] for f in findings}  # it does not apply
    assert all(set(f) == {"check", "subject", "state", "why", "hint"} for f in findings)
    assert {f["state"] for f in findings} <= {"ok", "warn", "fail", "skipped"}
    assert SECRET not in done.stdout


def test_without_a_configuration_a_log_can_be_looked_at(log: Path) -> None:
    """`--path` names it."""
    done = doctor("--path", log)
    assert done.exit_code == OK, done.output
    assert str(log) in done.output


def test_a_wrong_configuration_exits_2_with_every_mistake(tmp_path: Path) -> None:
    """As `validate` does."""
    path = tmp_path / "agent.yaml"
    path.write_text("receivers: {}\nexporters: {}\n")
    done = doctor("--config", path)
    assert done.exit_code == USAGE
    assert "receivers" in done.output
    assert doctor("--config", path, "--path", "/x").exit_code == USAGE


@pytest.mark.parametrize(("errors", "code"), [(0, OK), (3, FAILURE)])
def test_the_apiservers_metrics_come_from_a_file_or_a_url(
    log: Path, tmp_path: Path, errors: int, code: int
) -> None:
    """Events that it dropped are in no log."""
    manifest = tmp_path / "kube-apiserver.yaml"
    command = ["kube-apiserver", f"--audit-log-path={log}", "--audit-policy-file=/none"]
    container = {"name": "kube-apiserver", "command": command}
    manifest.write_text(json.dumps({"kind": "Pod", "spec": {"containers": [container]}}))
    metrics = tmp_path / "apiserver.prom"
    metrics.write_text(f'apiserver_audit_error_total{{plugin="log"}} {errors}\n')
    words = ("--path", log, "--manifest", manifest, "--json", "--apiserver-metrics")
    serve = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        serve, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        port = present(server.stdout).readline().split("port ")[1].split()[0]
        for where in (metrics, f"http://127.0.0.1:{port}/apiserver.prom"):
            findings = {f["check"]: f for f in json.loads(doctor(*words, where).stdout)}
            state = findings["apiserver.dropped"]["state"]
            assert state == ("fail" if code == FAILURE else "ok")
        server.kill()


@pytest.mark.parametrize("where", ["none.prom", "http://127.0.0.1:9/metrics"])
def test_metrics_that_cannot_be_had_are_a_mistake_of_the_usage(log: Path, where: str) -> None:
    """The other way to get them is named or the file is."""
    done = doctor("--path", log, "--apiserver-metrics", where)
    assert done.exit_code == USAGE
    assert "--apiserver-metrics" in done.output


def test_the_whole_command_runs_as_a_process(log: Path) -> None:
    """Without a terminal lines are not cut."""
    command = [sys.executable, "-m", "k8s_audit_otlp", "doctor", "--path", str(log), "--wait", "0"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "40"}
    )
    assert done.returncode == OK, done.stdout + done.stderr
    assert str(log) in done.stdout.splitlines()[0]
