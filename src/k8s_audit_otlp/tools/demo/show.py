"""The demo: a cluster that writes, a back end, the real agent, which is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from k8s_audit_otlp.tools.demo.backend import DemoBackend, DemoRecord
from k8s_audit_otlp.tools.demo.cluster import DemoCluster, RotatingLog

_SILENT_S = 60.0  # a busy machine takes long to start the agent again, or to end it


@dataclass(frozen=True, slots=True)
class Script:
    """`rate` in events a second, `seconds` of writing, `max_bytes` of one log file."""

    seconds: float = 8.0
    rate: int = 150
    max_bytes: int = 90_000
    seed: int = 7


class Demo:
    """One demonstration in a folder of its own; what has happened so far can be asked for."""

    def __init__(self, folder: Path, script: Script) -> None:
        self._folder = folder
        self._script = script
        self._log = folder / "log" / "audit.log"
        self._written: Counter[str] = Counter()  # by auditID
        self._stop = Event()
        self.phase = "starting"
        self.written = self.rotations = self.kills = 0
        self.backend = DemoBackend()

    @property
    def lost(self) -> int:
        return (self._written - self.backend.audit_ids).total()

    def play(self) -> Generator[None]:
        """Play it; who plays it may look at it about ten times a second."""
        self._log.parent.mkdir(parents=True)
        with self.backend:
            yield from self._play()

    def _play(self) -> Iterator[None]:
        config = self._write_config()
        writer = Thread(target=self._write, name="cluster", daemon=True)
        self.phase = "the cluster writes its audit log, the agent follows it"
        writer.start()
        agent = self._start(config)
        kill_at = time.monotonic() + self._script.seconds / 2
        try:
            while writer.is_alive():
                yield from _tick()
                if not self.kills and time.monotonic() >= kill_at:
                    agent.kill()
                    agent.wait()
                    self.kills += 1
                    self.phase = "the agent was killed (kill -9); the cluster goes on writing"
                    yield from _tick(8)
                    agent = self._start(config)
                    self.phase = "the agent was started again and goes on where it was"
            yield from self._drain(agent)
            agent.send_signal(signal.SIGTERM)
            agent.wait(_SILENT_S)
        finally:
            agent.kill()  # at once where somebody interrupts: there is nothing to keep
            agent.wait()
            self._stop.set()
            writer.join()
        self.phase = "done"

    def _drain(self, agent: "subprocess.Popen[bytes]") -> Iterator[None]:
        """Wait until everything has arrived, the agent has ended, or nothing comes any more."""
        arrived, since = self.backend.unique, time.monotonic()
        while self.lost and agent.poll() is None:
            yield from _tick()
            if self.backend.unique != arrived:
                arrived, since = self.backend.unique, time.monotonic()
            elif time.monotonic() - since >= _SILENT_S:
                return

    def outcome(self) -> str:
        """Say in a line what came of it."""
        received = self.backend.unique
        sign = "=" if self.written == received and not self.lost else "≠"
        return (
            f"written {self.written} {sign} received {received} (unique), "
            f"duplicates {self.backend.repeated}, lost {self.lost}"
        )

    def _write(self) -> None:
        script, cluster = self._script, DemoCluster(self._script.seed)
        log = RotatingLog(self._log, script.max_bytes)
        started = time.monotonic()
        while not self._stop.is_set() and (elapsed := time.monotonic() - started) < script.seconds:
            while self.written < elapsed * script.rate and not self._stop.is_set():
                audit_id, line = cluster.event()
                log.write(line)
                self._written[audit_id] += 1
                self.written += 1
                self.rotations = log.rotations
            time.sleep(0.01)
        log.close()

    def _write_config(self) -> Path:
        config = self._folder / "agent.yaml"
        config.write_text(
            f"""receivers:
  k8s_audit:
    include: [{self._log}]
    resource: {{k8s.cluster.name: demo, k8s.node.name: control-plane-1}}
    attributes: {{atype: kube-audit-log}}
exporters:
  otlp_http/demo:
    endpoint: {self.backend.url}
service:
  state_dir: {self._folder / "state"}
"""
        )
        return config

    def _start(self, config: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", str(config)]
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        with (self._folder / "agent.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=clean)  # noqa: S603 - ours

    def newest(self, count: int) -> list[DemoRecord]:
        return self.backend.records[-count:]


def _tick(times: int = 1) -> Iterator[None]:
    for _ in range(times):
        yield
        time.sleep(0.1)
