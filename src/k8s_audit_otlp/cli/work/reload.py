"""`reload`: SIGHUP for the agent of a state directory, and what it answers."""

import os
import signal
import time
from pathlib import Path

from k8s_audit_otlp.cli import FAILURE, STATE, USAGE, die
from k8s_audit_otlp.cli.options import directory_of
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.telemetry.status_file import last_report
from k8s_audit_otlp.tools.text import duration

_LOOK_S = 0.1


def command(config_file: Path | None, state_dir: Path | None, *, deadline: float) -> None:
    """Ask the agent, and end as it answers."""
    directory = directory_of(config_file, state_dir)
    asked_at = time.monotonic()
    pid = _agent_of(directory)
    asked = False
    while time.monotonic() < asked_at + deadline:
        report = last_report(directory)
        if report is not None and report.pid == pid:  # so it is an agent, and minds the signal
            if not asked:
                os.kill(pid, signal.SIGHUP)
                asked = True
            elif report.reload.read_at >= asked_at:
                if report.reload.refused:
                    die("refused, the one before goes on: " + "\n".join(report.reload.said), USAGE)
                for line in report.reload.said:
                    echo(line)
                return
        time.sleep(_LOOK_S)
        if _agent_of(directory) != pid:
            die(f"process {pid} has ended meanwhile: its log says why", FAILURE)
    die(f"process {pid} has not answered in {duration(deadline)}: see its log", FAILURE)


def _agent_of(directory: Path) -> int:
    """Return the process that holds the directory; its number may be one of another container."""
    try:
        holder = StateLock(directory).holder()
        lock = (directory / "lock").stat() if holder else None
    except OSError as error:
        die(f"{directory}: {error.strerror}", STATE)
    if holder is None or lock is None:
        die(f"{directory}: no agent is running with it", STATE)
    if not any(_is_file(fd, lock) for fd in _open_files(holder)):
        die(
            f"process {holder} is of another container or user, or begins: ask it where it runs, "
            "as its user",
            STATE,
        )
    return int(holder)


def _open_files(process: str) -> list[Path]:
    try:
        return [*Path(f"/proc/{process}/fd").iterdir()]
    except OSError:
        return []


def _is_file(descriptor: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(descriptor.stat(), wanted)
    except OSError:
        return False
