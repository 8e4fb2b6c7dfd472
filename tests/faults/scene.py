"""One run with faults: a writer, an agent that is killed, a back end; then what is missing.

Everything is real: the writer and the agent are processes, the back end is a server, kills are
signals. A seed decides what happens when; a failing seed can be run again alone.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from k8s_audit_otlp.demo.backend import Backend

PYTHON = sys.executable


@dataclass
class Totals:
    """What happened in a run, for people and for the table."""

    seed: int = 0
    written: int = 0
    received: int = 0
    repeated: int = 0
    missing: int = 0
    foreign: int = 0
    kills: int = 0
    terms: int = 0
    stops: int = 0
    faults: int = 0
    gaps: int = 0
    slowest_term_s: float = 0.0
    notes: list[str] = field(default_factory=list)


def environment() -> dict[str, str]:
    """Return the environment of a child: ours without proxies and OTEL settings."""
    return {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("OTEL_") and not k.lower().endswith("_proxy")
    }


class Agent:
    """The agent as a process that can be killed and started again."""

    def __init__(self, config: Path, log_file: Path) -> None:
        self._command = [PYTHON, "-m", "k8s_audit_otlp", "run", "--config", str(config)]
        self._log_file = log_file
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        with self._log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, *more], stdout=log, stderr=log, env=environment()
            )
        return self.process

    def end(self, number: int, timeout: float = 30.0) -> float:
        """Send a signal, wait for the end, return how long that took."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(timeout)
        return time.monotonic() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


@dataclass(frozen=True)
class Script:
    """What the writer does. `rate` is events a second; sizes are bytes."""

    rate: int = 2000
    seconds: float = 4.0
    max_bytes: int = 400_000
    max_backups: int = 1000
    compress: bool = True


def start_writer(log: Path, script: Script, seed: int) -> subprocess.Popen[bytes]:
    command = [
        *(PYTHON, "-m", "k8s_audit_otlp.demo.writer", "--path", str(log)),
        *("--record", str(log.with_suffix(".written")), "--seed", str(seed)),
        *("--rate", str(script.rate), "--seconds", str(script.seconds)),
        *("--max-bytes", str(script.max_bytes), "--max-backups", str(script.max_backups)),
    ]
    if script.compress:
        command += ["--compress", "--chunk-pause", "0.01"]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)


def write_config(folder: Path, endpoint: str, *, extra: str = "") -> Path:
    """Configure an agent whose retries are quick: a run of seconds holds many of them."""
    config = folder / "agent.yaml"
    config.write_text(
        f"""
receivers:
  k8s_audit:
    include: [{folder}/log/audit.log]
exporters:
  otlp_http:
    endpoint: {endpoint}
    timeout: 2s
    retry_on_failure: {{initial_interval: 50ms, max_interval: 500ms}}
    sending_queue: {{batch: {{sizer: bytes, max_size: 60000}}}}
service:
  state_dir: {folder}/state
  shutdown_timeout: 5s
{extra}
"""
    )
    return config


def compare(written: Path, backend: Backend, totals: Totals) -> Totals:
    """Compare what the writer noted with what arrived, as multisets of audit ids."""
    wanted = Counter(written.read_text().split())
    arrived = backend.received.audit_ids
    totals.written = sum(wanted.values())
    totals.received = sum(arrived.values())
    totals.missing = sum((wanted - arrived).values())
    totals.foreign = sum((arrived - wanted).values())
    totals.repeated = backend.received.duplicates
    totals.gaps = sum(1 for n in backend.received.notices if n.event_name == "k8s.audit.gap")
    return totals


def kill_at_random(folder: Path, seed: int, script: Script) -> Totals:
    """Kill the agent with SIGKILL at random moments while the log is written and rotated."""
    dice = random.Random(seed)  # noqa: S311 - a seed makes a run repeatable
    (folder / "log").mkdir(parents=True)
    totals = Totals(seed)
    with Backend(keep="uids") as backend:
        config = write_config(folder, backend.url)
        writer = start_writer(folder / "log" / "audit.log", script, seed)
        with Agent(config, folder / "agent.log") as agent:
            while writer.poll() is None:
                agent.start()
                time.sleep(dice.uniform(0.0, 2.0))
                agent.end(signal.SIGKILL)
                totals.kills += 1
            last = agent.start("--once", "--deadline", "10s")
            code = last.wait(60)
            if code != 0:
                totals.notes.append(f"--once ended with {code}")
        return compare(folder / "log" / "audit.written", backend, totals)
