"""`run`: deliver the audit log until a signal, or what is there with --once."""

import errno
import logging
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

import click

from k8s_audit_otlp import __version__
from k8s_audit_otlp.agent.agent import Agent, AgentOptions
from k8s_audit_otlp.agent.mapping import ConfigurationError
from k8s_audit_otlp.agent.memory import keep_memory
from k8s_audit_otlp.agent.reload import Reload
from k8s_audit_otlp.agent.start import Resumed
from k8s_audit_otlp.cli import STATE, UNDELIVERED, USAGE, die
from k8s_audit_otlp.cli.options import CONFIG, DURATION, STDIN, config_path, load_config
from k8s_audit_otlp.cli.progress import progress
from k8s_audit_otlp.config.env import from_environment
from k8s_audit_otlp.config.load import Loaded
from k8s_audit_otlp.state.checkpoint import StateError
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.lock import StateLockedError
from k8s_audit_otlp.telemetry.logs import fields, level_of, set_up_logs
from k8s_audit_otlp.telemetry.status import Status
from k8s_audit_otlp.telemetry.systemd import ServiceManager
from k8s_audit_otlp.tools.text import duration, size

logger = logging.getLogger("k8s_audit_otlp")

_OLD_S = 3600.0  # from where on it is worth saying how old the backlog is


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
@click.option("--watch-config", is_flag=True, help="Reload when the configuration's files change.")
def command(
    config_file: Path | None,
    log_path: str | None,
    state_dir: str | None,
    *,
    once: bool,
    deadline: float,
    watch_config: bool,
) -> None:
    """Deliver the audit log to every exporter.

    Without --config, --path and the OTEL_EXPORTER_OTLP_* variables suffice. SIGHUP reads the
    configuration again.
    """
    loaded = _load(config_file, log_path, state_dir)
    _say_remarks(loaded)
    keep_memory()
    path = config_path(config_file, log_path)
    again = None if path is None or str(path) == STDIN else partial(_load, path, None, state_dir)
    reload = Reload(None if once else again, path, watch=watch_config)
    options = AgentOptions(once=once, deadline_s=deadline)
    agent, delivered, before = _run(loaded, options, reload, ServiceManager(os.environ))
    if once:
        for line in _closing(agent, before):
            logger.info("%s", line, extra=fields("delivered"))
    left_behind = agent.left_behind() if once else []
    if not delivered or left_behind:
        for exporter, segment, left in agent.undelivered():
            more = fields("undelivered", exporter=exporter, segment=segment, bytes=left)
            text = "undelivered: %s: %s: %s left"
            logger.error(text, exporter, segment, size(left), extra=more)
        for reason in left_behind:
            logger.error("undelivered: %s", reason, extra=fields("undelivered"))
        sys.exit(UNDELIVERED)
    if agent.commit_error:
        die(f"the position could not be written: {agent.commit_error}", STATE)


def _by_exporter(tallies: Iterable[tuple[str, Tally]]) -> dict[str, Tally]:
    found: dict[str, Tally] = defaultdict(Tally)
    for exporter, tally in tallies:
        found[exporter].add(tally)
    return found


def _closing(agent: Agent, before: Mapping[str, Tally]) -> Iterator[str]:
    """Say of each exporter what became of the records of this run."""
    now = _by_exporter((one.exporter, one.tally()) for one in agent.subscriptions())
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


def _say_remarks(loaded: Loaded) -> None:
    """Set the log up as the configuration says, and tell what of it is not as it seems."""
    logs = loaded.config.service.telemetry.logs
    level = logs.level if "level" in logs.model_fields_set else None
    set_up_logs(level_of(level, os.environ), logs.encoding)
    for remark in loaded.remarks:
        logger.warning("note: %s", remark, extra=fields("note"))


def _run(
    loaded: Loaded, options: AgentOptions, reload: Reload, manager: ServiceManager
) -> tuple[Agent, bool, dict[str, Tally]]:
    """Run agents one after the other, each with the configuration as it is then."""
    signals = _Signals(reload)
    working = None
    while True:
        reload.began(loaded.config)
        started = _start(loaded, options, signals, working)
        if started is None:
            assert working is not None  # noqa: S101 - else the process has ended
            loaded, working = working, None
            options = replace(options, changes=())
            continue
        agent, status, before = started
        working = loaded
        agent.listen(partial(_look, agent, reload, manager))
        manager.ready(f"{len(agent.exporters)} exporters on {len(agent.logs)} logs")
        with progress(agent):
            delivered = agent.run()
        status.stop()
        if reload.next is None or signals.stopping:
            manager.stopping()
            logger.info("stopped", extra=fields("stopped"))
            return agent, delivered, before
        loaded, options = reload.next, replace(options, changes=reload.said)
        _say_remarks(loaded)


def _look(agent: Agent, reload: Reload, manager: ServiceManager) -> None:
    """Beat for systemd, and end the agent where another configuration is to be taken up."""
    manager.beat()
    if reload.look(agent.config):
        manager.reloading()
        agent.hand_over()


def _start(
    loaded: Loaded, options: AgentOptions, signals: "_Signals", before: Loaded | None
) -> tuple[Agent, Status, dict[str, Tally]] | None:
    """Start the agent and its listener; say where every exporter goes on, and return what was.

    Where it cannot start the process ends; but None where *before* has worked until now.
    """
    agent = Agent(loaded.config, os.environ, options)
    status = Status(agent)  # before the start: its counters begin where the positions do
    signals.agent = agent
    try:
        resumed = agent.start()
        address = status.start()
    except (StateError, StateLockedError) as error:
        why, code = str(error), STATE
    except ConfigurationError as error:
        why, code = str(error), USAGE
    except ValueError as error:
        why, code = f"service::telemetry::metrics::address: {error}", USAGE
    except OSError as error:
        where = error.filename or (
            "service::telemetry::metrics::address"
            if agent.started
            else loaded.config.service.state_dir
        )
        why, code = f"{where}: {error.strerror}; {_hint(error)}", STATE
    else:
        _say_started(resumed, address)
        return agent, status, _by_exporter((line.exporter, line.tally) for line in resumed)
    if before is None:
        die(why, code)
    if agent.started:
        agent.hand_over()
        agent.run()  # lets go of the state
    logger.error("reload refused, the old configuration stays: %s", why, extra=fields("refused"))
    return None


def _say_started(resumed: Iterable[Resumed], address: str | None) -> None:
    for line in resumed:
        more = fields("resumed", exporter=line.exporter, log=line.log, bytes=line.backlog_bytes)
        logger.info("%s", describe(line), extra=more)
    if address:
        text = "page, health and metrics: http://%s/ /livez /readyz /metrics"
        logger.info(text, address, extra=fields("listening", address=address))
    version, pid = __version__, os.getpid()
    more = fields("started", version=version, pid=pid)
    logger.info("started: k8s-audit-otlp %s, process %d", version, pid, extra=more)


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
        return from_environment(str(Path(log_path).absolute()), state_dir, os.environ)
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


class _Signals:
    """Drain on the first signal to stop, leave at once on the second; SIGHUP reads again.

    Nothing is lost either way. An agent that still waits for its predecessor has nothing to drain.
    """

    def __init__(self, reload: Reload) -> None:
        self.agent: Agent | None = None
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGHUP, lambda *_: reload.ask())
        for harmless in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(harmless, signal.SIG_IGN)  # by default they would kill it undrained

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self.stopping or self.agent is None or not self.agent.started:
            os._exit(128 + number)
        self.stopping = True
        self.agent.stop()
