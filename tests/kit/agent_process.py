"""A whole agent as a process: its configuration, its log, its lines and what systemd hears."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.kit.backend import Backend
from tests.kit.events import EventSource

CONFIG = """
receivers: {{k8s_audit: {{include: [{log}]}}}}
exporters:
  otlp_http:
    endpoint: {url}
    headers: {{x-key: {key}}}
{more}
service: {{state_dir: {state}, telemetry: {{logs: {{encoding: json}}}}}}
"""


class AgentProcess:
    """A running agent whose log lines can be waited for."""

    def __init__(
        self, folder: Path, backend: Backend, *arguments: Any, include: str = "audit.log"
    ) -> None:
        """Its log is there before it starts; *include* may match others, or none."""
        self.log = folder / "audit.log"
        self.file = folder / "config.yaml"
        self.out = folder / "stderr"
        self._source = EventSource(7)
        self._values = {"log": folder / include, "url": backend.url, "state": folder / "state"}
        self.write(20)
        self.configure()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self.socket.settimeout(60)
        command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", str(self.file)]
        env = {**os.environ, "NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "200000"}
        with self.out.open("wb") as err:
            self.process = subprocess.Popen([*command, *arguments], stderr=err, env=env)
        self.seen("started")

    def write(self, count: int) -> None:
        with self.log.open("ab") as log:
            log.writelines(self._source.line() + b"\n" for _ in range(count))

    def configure(self, more: str = "", key: str = "one") -> None:
        text = CONFIG.format(**self._values, more=more, key=key)
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)

    def lines(self) -> list[Any]:
        text = self.out.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def seen(self, event: str, count: int = 1, seconds: float = 60.0) -> list[dict[str, Any]]:
        end = time.monotonic() + seconds
        while True:
            found = [line for line in self.lines() if line.get("event") == event]
            if len(found) >= count:
                return found
            assert self.process.poll() is None, self.out.read_text()
            assert time.monotonic() < end, self.out.read_text()
            time.sleep(0.05)

    def told(self, wanted: str) -> list[str]:
        """Return what systemd was told, once *wanted* is among it."""
        received = []
        while not any(wanted in text for text in received):
            received.append(self.socket.recv(4096).decode())
        return received

    def hangup(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.socket.close()

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path, backend: Backend) -> Iterator[Callable[..., AgentProcess]]:
    """Start an agent that has ended when the test has."""
    with ExitStack() as running:

        def started(*arguments: str, **options: str) -> AgentProcess:
            agent = AgentProcess(tmp_path, backend, *arguments, **options)
            running.callback(agent.close)
            return agent

        yield started


def uids_delivered(backend: Backend, count: int, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while len(backend.received.uids) < count:
        assert time.monotonic() < end, len(backend.received.uids)
        time.sleep(0.05)
