"""`reload`: SIGHUP for the agent of a state directory, and what it answers."""

import os
import signal
import time
from pathlib import Path

from k8s_audit_otlp.cli.exit_codes import FAILURE, STATE, USAGE, die
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.telemetry.status_file import last_report
from k8s_audit_otlp.tools.text import duration

_LOOK_S = 0.1


def command(directory: Path, *, deadline: float) -> None:
    """Ask the agent, and end as it answers."""
    asked_at = time.monotonic()
    while (pid := _agent_of(directory)) is None and time.monotonic() < asked_at + deadline:
        time.sleep(_LOOK_S)
    asked = False
    while time.monotonic() < asked_at + deadline:
        report = last_report(directory)
        if report is not None and report.pid == pid:  # so it is an agent, and minds the signal
            if not asked:
                os.kill(report.pid, signal.SIGHUP)
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
    die(f"no answer in {duration(deadline)}: see the log of the agent", FAILURE)


def _agent_of(directory: Path) -> int | None:
    """Return the process that holds the directory, None where it has not said its number yet.

    The number may be one of another container: then nobody is asked.
    """
    lock = StateLock(directory)
    try:
        holder = lock.holder()
    except OSError as error:
        die(f"{directory}: {error.strerror}", STATE)
    if holder is None:
        die(f"{directory}: no agent is running with it; start one with run", STATE)
    if not holder.isdecimal():
        return None
    if not lock.is_open_in(holder):
        why = f"process {holder} is of another container or user: ask it where it runs, as its user"
        die(why, STATE)
    return int(holder)
