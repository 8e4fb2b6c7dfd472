"""`run` as a process, and a log to run it on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.log.events import EventSource

COMMAND = [sys.executable, "-m", "k8s_audit_otlp", "run"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log" / "audit.log"
    path.parent.mkdir()
    source = EventSource(3)
    path.write_bytes(b"".join(source.line() + b"\n" for _ in range(30)))
    return path


def environ(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    return {k: v for k, v in kept.items() if not k.lower().endswith("_proxy")} | more


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=environ(**env),
        timeout=60,
        check=False,
    )
