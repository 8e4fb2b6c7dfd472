"""The demo: a cluster that writes, a back end, the real agent, which is killed in the middle."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from k8s_audit_otlp.tools.demo.backend import DemoBackend, Record
from k8s_audit_otlp.tools.demo.cluster import DemoCluster, RotatingLog

_SILENT_S = 60.0  # a busy machine takes long to start the agent again, or to end it


@dataclass(frozen=True, slots=True)
class Script:
    """`rate` in events a second, `seconds` of writing, `max_bytes` of one log file."""

    seconds: float = 8.0
    rate: int = 150
    max_bytes: int = 90_000
    seed: int = 7


@dataclass(slots=True)
class Progress:
    """What has happened so far, for whoever shows it."""

    phase: str = "starting"
    written: int = 0
    rotations: int = 0
    kills: int = 0


@dataclass(frozen=True, slots=True)
class Conservation:
    """What came of it. Counts are events."""

    written: int
    received: int
    repeated: int
    lost: int
    rotations: int
    kills: int

    def __str__(self) -> str:
        sign = "=" if self.written == self.received and not self.lost else "≠"
        return (
            f"written {self.written} {sign} received {self.received} (unique), "
            f"duplicates {self.repeated}, lost {self.lost}"
        )


class Demo:
    """One demonstration in a folder of its own."""

    def __init__(self, folder: Path, script: Script) -> None:
        self._folder = folder
        self._script = script
        self._log = folder / "log" / "audit.log"
        self._written: Counter[str] = Counter()
        self._stop = Event()
        self.progress = Progress()
        self.backend = DemoBackend()

    def run(self, on_tick: Callable[[], None]) -> Conservation:
        """Play it; *on_tick* is called about ten times a second."""
        self._log.parent.mkdir(parents=True)
        with self.backend:
            return self._play(on_tick)

    def _play(self, on_tick: Callable[[], None]) -> Conservation:
        config = self._write_config()
        writer = Thread(target=self._write, name="cluster", daemon=True)
        self.progress.phase = "the cluster writes its audit log, the agent follows it"
        writer.start()
        agent = self._start(config)
        kill_at = time.monotonic() + self._script.seconds / 2
        try:
            while writer.is_alive():
                on_tick()
                time.sleep(0.1)
                if not self.progress.kills and time.monotonic() >= kill_at:
                    agent.kill()
                    agent.wait()
                    self.progress.kills += 1
                    self.progress.phase = (
                        "the agent was killed (kill -9); the cluster goes on writing"
                    )
                    for _ in range(8):
                        on_tick()
                        time.sleep(0.1)
                    agent = self._start(config)
                    self.progress.phase = "the agent was started again and goes on where it was"
            self._drain(agent, on_tick)
            agent.send_signal(signal.SIGTERM)
            agent.wait(_SILENT_S)
        finally:
            agent.kill()  # at once where somebody interrupts: there is nothing to keep
            agent.wait()
            self._stop.set()
            writer.join()
        self.progress.phase = "done"
        return self._conservation()

    def _drain(self, agent: "subprocess.Popen[bytes]", on_tick: Callable[[], None]) -> None:
        """Wait until everything has arrived, the agent has ended, or nothing comes any more."""
        on_tick()
        arrived, since = self.backend.unique, time.monotonic()
        while self._written - self.backend.audit_ids and agent.poll() is None:
            time.sleep(0.1)
            on_tick()
            if self.backend.unique != arrived:
                arrived, since = self.backend.unique, time.monotonic()
            elif time.monotonic() - since >= _SILENT_S:
                return

    def _conservation(self) -> Conservation:
        arrived = self.backend.audit_ids
        return Conservation(
            self._written.total(),
            arrived.total(),
            self.backend.repeated,
            (self._written - arrived).total(),
            self.progress.rotations,
            self.progress.kills,
        )

    def _write(self) -> None:
        script, cluster = self._script, DemoCluster(self._script.seed)
        log = RotatingLog(self._log, script.max_bytes)
        started = time.monotonic()
        while not self._stop.is_set() and (elapsed := time.monotonic() - started) < script.seconds:
            while self.progress.written < elapsed * script.rate and not self._stop.is_set():
                audit_id, line = cluster.event()
                log.write(line)
                self._written[audit_id] += 1
                self.progress.written += 1
                self.progress.rotations = log.rotations
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

    def newest(self, count: int) -> list[Record]:
        return self.backend.records[-count:]
