"""The things of one run: a writer and an agent that are killed, and what is missing at the end.

Everything is real: the writer and the agent are processes, the back end is a server, kills are
signals. What happens when is decided elsewhere (`scenario`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from k8s_audit_otlp.evidence.seal import make_key

PYTHON = sys.executable
MAX_TERM_S = 5.0
MAX_RSS_KB = 100 * 1024
GAP, RECEIPT = "k8s.audit.gap", "k8s.audit.segment"
KEY = "seal.key"  # in the folder of a run


@dataclass
class Totals:
    """What happened in a run, for people and for the table. Events unless the name says else."""

    seed: int = 0
    written: int = 0
    received: int = 0
    repeated: int = 0
    unanswered: int = 0  # events that the back end took without an answer, and so got again
    missing: int = 0
    unexplained: int = 0
    foreign: int = 0
    rotations: int = 0
    kills: int = 0
    terms: int = 0
    stops: int = 0
    outages: int = 0
    full_disks: int = 0
    writer_kills: int = 0
    faults: int = 0
    power_cuts: int = 0
    gaps: int = 0
    deletes_early: int = 0  # runs in which the writer keeps one or two backups
    receipts: int = 0
    slowest_term_s: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What must not be, said for people; empty when the run is good."""
        found = list(self.notes)
        if self.unexplained:
            found.append(f"{self.unexplained} of {self.missing} missing events are unexplained")
        if self.foreign > self.writer_kills + self.power_cuts:
            # killed between the log and its note of it, a writer leaves one event more
            found.append(f"{self.foreign} events arrived that nobody wrote")
        if self.gaps and not self.deletes_early and not self.power_cuts:
            found.append(f"{self.gaps} gaps were told, but nothing was ever deleted")
        if self.slowest_term_s >= MAX_TERM_S:
            found.append(f"SIGTERM took {self.slowest_term_s:.1f} s")
        return found


def environment() -> dict[str, str]:
    """Return the environment of a child: ours without proxies and OTEL settings."""
    return {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("OTEL_") and not k.lower().endswith("_proxy")
    }


def run_once(config: Path, log_file: Path, deadline: str = "20s") -> tuple[int, int]:
    """Run an agent to its end; return its exit code and the most memory that it had, in KB."""
    command = [PYTHON, "-m", "k8s_audit_otlp", "run", "--config", str(config)]
    with log_file.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--once", "--deadline", deadline], stderr=file, env=environment()
        )
    most_kb = 0
    while process.poll() is None:
        most_kb = max(most_kb, _peak_kb(process.pid))
        time.sleep(0.02)
    return process.returncode, most_kb


def _peak_kb(pid: int) -> int:
    """Return the most memory that a process has had resident, 0 once it has ended."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(w.split()[1]) for w in status.splitlines() if w.startswith("VmHWM")), 0)


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

    @property
    def ended(self) -> int | None:
        """The exit code of an agent that ended by itself."""
        return self.process.poll() if self.process else None

    def peak_kb(self) -> int:
        """Return the most memory that it has had resident."""
        assert self.process is not None
        return _peak_kb(self.process.pid)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

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
            self.process.wait(60)


@dataclass(frozen=True)
class Script:
    """What the writer does. `rate` is events a second; sizes are bytes; 0 backups keeps all."""

    rate: int = 2000
    seconds: float = 4.0
    max_bytes: int = 400_000
    max_backups: int = 0
    compress: bool = True


class Writer:
    """kube-apiserver's part: a process that writes, rotates, compresses and may be killed."""

    def __init__(self, log: Path, script: Script, seed: int) -> None:
        self._log, self._script, self._seed = log, script, seed
        self._end = time.monotonic() + script.seconds
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        script, left = self._script, max(0.1, self._end - time.monotonic())
        command = [
            *(PYTHON, "-m", "tests.kit.log.lumberjack", "--path", str(self._log)),
            *("--times", "--record", str(self.record), "--seed", str(self._seed)),
            *("--rate", str(script.rate), "--seconds", f"{left:.2f}"),
            *("--max-bytes", str(script.max_bytes), "--max-backups", str(script.max_backups)),
        ]
        if script.compress:
            command += ["--compress", "--chunk-pause", "0.01"]
        return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)

    @property
    def record(self) -> Path:
        return self._log.with_suffix(".written")

    @property
    def writing(self) -> bool:
        return self.process.poll() is None

    def kill(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Kill it and start it again, as a static pod is; *meanwhile* something happens."""
        self.process.kill()
        self.process.wait()
        meanwhile()
        self._seed += 1_000_000
        self.process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writing:
            self.process.kill()
            self.process.wait()


def write_config(folder: Path, endpoint: str) -> Path:
    """Configure an agent whose retries are quick: a run of seconds holds many of them."""
    config = folder / "agent.yaml"
    make_key(folder / KEY)
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
  evidence: {{key_file: {folder}/{KEY}}}
"""
    )
    return config
