"""Runs the agent as a process and says how it ended, and what it wrote."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.interop.collector import key_of


def k8s_audit_otlp(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "k8s_audit_otlp", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


RETRY = {"initial_interval": "200ms", "max_interval": "1s"}


class Agent:
    """Delivers one log from one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "audit.log"
        self.state = directory / "state"
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, lines: Iterable[bytes]) -> None:
        """Append whole lines to the live log."""
        with self.log.open("ab") as log:
            log.writelines(lines)

    def expected(self) -> Counter[tuple[str, ...]]:
        return Counter(key_of(line) for line in self.log.read_bytes().splitlines())

    def configure(self, kind: str, exporter: Mapping[str, Any]) -> None:
        tree = {
            "receivers": {"k8s_audit": {"include": [str(self.log)]}},
            "exporters": {kind: {"retry_on_failure": RETRY, **exporter}},
            "service": {"state_dir": str(self.state)},
        }
        (self.directory / "agent.yaml").write_text(yaml.safe_dump(tree))

    def also_reads(self, log: Path) -> None:
        """Give the receiver another log."""
        file = self.directory / "agent.yaml"
        tree = yaml.safe_load(file.read_text())
        tree["receivers"]["k8s_audit"]["include"].append(str(log))
        file.write_text(yaml.safe_dump(tree))

    def once(self, deadline: str = "150s") -> subprocess.CompletedProcess[str]:
        """Deliver what is there now."""
        return subprocess.run(
            [*self._command(), "--once", "--deadline", deadline],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def start(self) -> None:
        with (self.directory / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=subprocess.STDOUT, env=os.environ
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def dead_letters(self) -> list[bytes]:
        files = (self.state / "dead-letter").glob("*.jsonl")
        return [line for file in files for line in file.read_bytes().splitlines()]

    def said(self) -> str:
        return (self.directory / "agent.log").read_text(errors="replace")

    def _command(self) -> list[str]:
        config = str(self.directory / "agent.yaml")
        return [sys.executable, "-m", "k8s_audit_otlp", "run", "--config", config]
