"""Signals that come before there is an agent that could mind them."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.kit.agent import CONFIG
from tests.kit.backends.backend import Backend


def test_an_end_before_the_start_writes_no_line_of_another_form(tmp_path: Path) -> None:
    """Ctrl-C while the configuration is read: the exit code says all."""
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as process:
        end = time.monotonic() + 60
        while not catches(process.pid, signal.SIGHUP):
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_a_signal_before_the_configuration_is_read_does_not_kill(
    tmp_path: Path, backend: Backend
) -> None:
    """It is answered when the agent works: here its file is a pipe that tells nothing twice."""
    (tmp_path / "audit.log").touch()
    values = {"log": tmp_path / "audit.log", "url": backend.url, "state": tmp_path / "state"}
    command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        end = time.monotonic() + 60
        while not catches(process.pid, signal.SIGHUP):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
            process.send_signal(number)
        process.stdin.write(CONFIG.format(**values, more="", key="one").encode())
        process.stdin.close()
        events = []
        while "reload_refused" not in events:
            events.append(json.loads(process.stderr.readline()).get("event"))
        assert "started" in events
        process.terminate()
        process.stderr.read()
        assert process.wait(60) == 0


def catches(pid: int, number: signal.Signals) -> bool:
    """Say whether a process has a handler for a signal: proc_pid_status(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)
