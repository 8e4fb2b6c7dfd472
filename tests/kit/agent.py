"""A whole agent in this process: a log directory, a back end, a configuration, start and stop."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.load import load_text
from k8s_audit_otlp.model import Block, EncodedBlock, LogKey
from k8s_audit_otlp.state.manifest import SegmentState
from tests.kit.backends.backend import Backend
from tests.kit.backends.received import Record
from tests.kit.log.events import EventSource


class NobodyListens:
    """Takes what a log tells, and does nothing."""

    def discovered(self, log: LogKey, segment: SegmentState) -> None: ...
    def trouble(self, log: LogKey, message: str) -> None: ...


@contextmanager
def running(config: Config, join_s: float = 60.0) -> Iterator[Agent]:
    """Run an agent in a thread; it must have ended *join_s* seconds after it is stopped."""
    agent = Agent(config, {}, AgentOptions(lock_timeout_s=0.5))
    agent.start()
    thread = Thread(target=agent.run)
    thread.start()
    try:
        yield agent
    finally:
        agent.stop()
        thread.join(join_s)
        assert not thread.is_alive()


def events_of(backend: Backend) -> list[Record]:
    """Return the records that are events, in the order of their arrival."""
    return [one for one in list(backend.received.records) if not one.ids.is_notice]


def audit_ids_of(backend: Backend) -> list[str]:
    """Return the audit ids of the events, in the order of their arrival."""
    return [event.attributes["k8s.audit.id"] for event in events_of(backend)]


def event_list(first: int, count: int) -> bytes:
    """Write an EventList as a webhook gets it; its events are numbered from *first* on."""
    events = [
        {"level": "Metadata", "auditID": f"id-{n}", "stage": "ResponseComplete", "verb": "get"}
        for n in range(first, first + count)
    ]
    return json.dumps({"kind": "EventList", "items": events}).encode()


def encode_lines(block: Block) -> EncodedBlock:
    """Make a record of each line, which is the line itself."""
    ends, at = [], block.span.start
    lines = block.data.splitlines(keepends=True)
    for line in lines:
        at += len(line)
        ends.append(at)
    return EncodedBlock(block.span, lines, ends, lines=len(lines))


class Fixture:
    """Writes a log and runs agents on it; every agent takes up the same state."""

    def __init__(self, folder: Path, backend: Backend, seed: int = 1) -> None:
        self.folder = folder
        self.log = folder / "log" / "audit.log"
        self.log.parent.mkdir()
        self.state = folder / "state"
        self.backend = backend
        self.receiver = ""  # more keys of the receiver, as YAML
        self.exporters = f"otlp_http: {{endpoint: {backend.url}, {RETRY}}}"
        self.service = ""
        self._source = EventSource(seed)

    def write(self, count: int, path: Path | None = None) -> list[str]:
        """Append events; return their audit ids."""
        ids = []
        with (path or self.log).open("ab") as file:
            for _ in range(count):
                audit_id, line = self._source.event()
                file.write(line + b"\n")
                ids.append(audit_id)
        return ids

    def rotate(self, name: str) -> Path:
        return self.log.rename(self.log.with_name(name))

    def config(self) -> Config:
        return load_text(self.text(), "test", {}).config

    def text(self) -> str:
        """Return the configuration as YAML."""
        return f"""
receivers: {{k8s_audit: {{include: [{self.log}], {self.receiver}}}}}
exporters: {{{self.exporters}}}
service: {{state_dir: {self.state}, shutdown_timeout: 2s, {self.service}}}
"""

    def once(self, deadline_s: float = 60.0) -> Agent:
        """Deliver what is there; the agent has ended when it is returned."""
        agent = Agent(self.config(), {}, AgentOptions(once=True, deadline_s=deadline_s))
        agent.start()
        agent.run()
        return agent

    def running(self) -> AbstractContextManager[Agent]:
        return running(self.config())

    def notices(self, event: str) -> list[dict[str, Any]]:
        return [n.attributes for n in self.backend.received.notices if n.event_name == event]


def exported(backend: Backend) -> list[dict[str, Any]]:
    """Export what a back end holds, as one object a record."""
    return [
        {
            "log.record.uid": record.uid,
            "event.name": record.event_name,
            "body": record.body,
            **record.resource,
            **record.attributes,
        }
        for record in [*backend.received.records, *backend.received.notices]
    ]


RETRY = "retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}"


@pytest.fixture
def fixture(tmp_path: Path, backend: Backend) -> Fixture:
    return Fixture(tmp_path, backend)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Wait until something is true, or fail after a minute."""

    def wait(what: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "did not become true"
            time.sleep(0.02)

    return wait


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
        received: list[str] = []
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
