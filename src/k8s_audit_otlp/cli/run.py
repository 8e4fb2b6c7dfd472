"""`run`: deliver the audit log until a signal, or what is there with --once."""

import errno
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event, Thread
from types import FrameType

import click

from k8s_audit_otlp.agent.agent import Agent, AgentOptions
from k8s_audit_otlp.agent.mapping import ConfigurationError
from k8s_audit_otlp.agent.memory import keep_memory
from k8s_audit_otlp.agent.start import Resumed
from k8s_audit_otlp.cli import STATE, UNDELIVERED, USAGE, die
from k8s_audit_otlp.cli.options import CONFIG, DURATION, config_path, load_config
from k8s_audit_otlp.config.env import from_environment
from k8s_audit_otlp.config.load import Loaded
from k8s_audit_otlp.state.checkpoint import StateError
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.lock import StateLockedError
from k8s_audit_otlp.telemetry.backlog import backlog_bytes
from k8s_audit_otlp.telemetry.logs import set_up_logs
from k8s_audit_otlp.telemetry.status import Status
from k8s_audit_otlp.tools.text import duration, size

_OLD_S = 3600.0  # from where on it is worth saying how old the backlog is
_WORTH_A_BAR = 8 * 1024 * 1024  # bytes of backlog that take long enough to watch


@click.command()
@CONFIG
@click.option("--path", "log_path", help="Audit log to deliver, without a configuration file.")
@click.option("--state-dir", help="Directory of the positions; overrides service::state_dir.")
@click.option("--once", is_flag=True, help="Deliver what is there now, then stop.")
@click.option(
    "--deadline",
    type=DURATION,
    default="30s",
    show_default=True,
    help="With --once: give up after so long without progress.",
)
def command(
    config_file: Path | None,
    log_path: str | None,
    state_dir: str | None,
    *,
    once: bool,
    deadline: float,
) -> None:
    """Deliver the audit log to every exporter.

    Without --config, --path and the OTEL_EXPORTER_OTLP_* variables suffice.
    """
    loaded = _load(config_file, log_path, state_dir)
    logs = loaded.config.service.telemetry.logs
    set_up_logs(logs.level, logs.encoding)
    for remark in loaded.remarks:
        click.echo(f"note: {remark}", err=True)
    keep_memory()
    agent = _start(loaded, AgentOptions(once=once, deadline_s=deadline))
    before = _tallies(agent)
    with _progress(agent):
        delivered = agent.run()
    if once:
        for line in _closing(agent, before):
            click.echo(line, err=True)
    left_behind = agent.left_behind() if once else []
    if not delivered or left_behind:
        for exporter, segment, left in agent.undelivered():
            click.echo(f"undelivered: {exporter}: {segment}: {size(left)} left", err=True)
        for reason in left_behind:
            click.echo(f"undelivered: {reason}", err=True)
        sys.exit(UNDELIVERED)
    if agent.commit_error:
        die(f"the position could not be written: {agent.commit_error}", STATE)


def _tallies(agent: Agent) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for subscription in agent.subscriptions():
        found.setdefault(subscription.exporter, Tally()).add(subscription.tally())
    return found


def _closing(agent: Agent, before: Mapping[str, Tally]) -> Iterator[str]:
    """Say of each exporter what became of the records of this run."""
    now = _tallies(agent)
    for runtime in agent.exporters:
        name = runtime.name
        one, other = now[name], before[name]
        left = sum(count for exporter, _, count in agent.undelivered() if exporter == name)
        dropped = sum(one.dropped.values()) - sum(other.dropped.values())
        line = (
            f"{name}: delivered {one.delivered - other.delivered:,}, "
            f"dropped by policy {dropped:,}, "
            f"dead-lettered {one.dead_lettered - other.dead_lettered:,}, "
            f"refused {one.refused - other.refused:,}, left {size(left)}"
        )
        if again := runtime.journal.counts.retries.total():
            line += f"; {again:,} requests were tried again: what they hold may be there twice"
        yield line


def _start(loaded: Loaded, options: AgentOptions) -> Agent:
    """Start the agent and its listener; say where every exporter goes on."""
    agent = Agent(loaded.config, os.environ, options)
    status = Status(agent)  # before the start: its counters begin where the positions do
    _obey_signals(agent)
    try:
        resumed = agent.start()
    except (StateError, StateLockedError) as error:
        die(str(error), STATE)
    except ConfigurationError as error:
        die(str(error), USAGE)
    except OSError as error:
        where = error.filename or loaded.config.service.state_dir
        die(f"{where}: {error.strerror}; {_hint(error)}", STATE)
    for line in resumed:
        click.echo(describe(line), err=True)
    try:
        address = status.start()
    except (OSError, ValueError) as error:
        die(f"service::telemetry::metrics::address: {error}", USAGE)
    if address:
        click.echo(f"health and metrics: http://{address}/livez /readyz /metrics", err=True)
    return agent


def _hint(error: OSError) -> str:
    """Say what helps: more room where there is none, the rights where they are missing."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, or give another --state-dir"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "let the agent's user write there, or give another --state-dir"
    return "give another --state-dir"


def _load(config_file: Path | None, log_path: str | None, state_dir: str | None) -> Loaded:
    config_file = config_path(config_file, log_path)
    if config_file is None and log_path is None:
        raise click.UsageError("give --config FILE, or --path AUDIT_LOG and --state-dir DIRECTORY")
    if config_file is not None and log_path is not None:
        raise click.UsageError("--path is for use without --config; write the path in the file")
    if config_file is None:
        assert log_path is not None  # noqa: S101 - seen above
        return from_environment(log_path, state_dir, os.environ)
    loaded = load_config(config_file)
    return loaded if state_dir is None else loaded.with_state_dir(state_dir)


def describe(resumed: Resumed) -> str:
    """Say in a line where an exporter goes on."""
    where = (
        f"{resumed.segment} at byte {resumed.offset}" if resumed.segment else "nothing there yet"
    )
    skipped = f"; start_at skips {size(resumed.skipped_bytes)}" if resumed.skipped_bytes else ""
    to_send = f"{size(resumed.backlog_bytes)} to send"
    if resumed.oldest_s is not None and resumed.oldest_s > _OLD_S:
        to_send += f", the oldest {duration(resumed.oldest_s)} old"
    return f"{resumed.exporter}: {resumed.log}: {where}, {to_send}{skipped}"


def _obey_signals(agent: Agent) -> None:
    """Drain on the first signal, leave at once on the second. Nothing is lost either way.

    An agent that is still waiting for its predecessor has nothing to drain.
    """
    asked = Event()

    def handle(number: int, _frame: FrameType | None) -> None:
        if asked.is_set() or not agent.started:
            os._exit(128 + number)
        asked.set()
        agent.stop()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _progress(agent: Agent) -> AbstractContextManager[object]:
    """Show a bar where somebody watches and there is something to wait for."""
    total = sum(backlog_bytes(c) for c in agent.subscriptions())
    if not sys.stderr.isatty() or total < _WORTH_A_BAR:
        return nullcontext()
    return _Bar(agent, total)


class _Bar:
    """A progress bar of the backlog at the start; it leaves when that is delivered."""

    def __init__(self, agent: Agent, total: int) -> None:
        from rich.console import Console  # noqa: PLC0415 - only where somebody watches
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._agent = agent
        self._total = total
        self._done = Event()
        self._progress = Progress(
            TextColumn("backlog"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._thread = Thread(target=self._show, name="progress", daemon=True)

    def _show(self) -> None:
        task = self._progress.add_task("backlog", total=self._total)
        with self._progress:
            while not self._done.wait(0.2):
                left = sum(backlog_bytes(c) for c in self._agent.subscriptions())
                self._progress.update(task, completed=max(0, self._total - left))
                if left == 0:
                    return

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
