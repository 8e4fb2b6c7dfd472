"""`run`: deliver the audit log until a signal, or what is there with --once."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType

import click

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.one_cpu import OneCpu
from k8s_audit_otlp.agent.process import (
    hash_by_libcrypto,
    keep_memory,
    raise_descriptor_limit,
)
from k8s_audit_otlp.agent.reload import Reload
from k8s_audit_otlp.agent.start import AgentOptions, Resumed
from k8s_audit_otlp.agent.startup_messages import remarks_on
from k8s_audit_otlp.cli.actions.run_lines import (
    by_exporter,
    closing_lines,
    end,
    end_for_mistakes,
    hint_of,
    never_delivered,
    say_started,
)
from k8s_audit_otlp.cli.exit_codes import STATE, UNDELIVERED, USAGE, die
from k8s_audit_otlp.cli.options import NO_DEFAULT, STDIN, config_path, load_config
from k8s_audit_otlp.config.load import Loaded
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.otel_env import from_environment
from k8s_audit_otlp.receiver.listing import list_log, what_is_in
from k8s_audit_otlp.receiver.names import GLOB
from k8s_audit_otlp.state.checkpoint import StateError
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.state.lock import StateLockedError
from k8s_audit_otlp.telemetry.logs import (
    level_of,
    log_tracebacks,
    logger,
    set_up_logs,
    unknown_level,
)
from k8s_audit_otlp.telemetry.status import AgentStatus
from k8s_audit_otlp.telemetry.systemd import ServiceManager
from k8s_audit_otlp.tools.text import counted, size


def command(  # noqa: PLR0913 - one for each thing that can be asked
    config_file: Path | None,
    log_path: str | None,
    state_dir: Path | None,
    *,
    once: bool,
    deadline: float,
    fail: bool,
    watch_config: bool,
) -> None:
    _refuse_contradictions(once=once, fail=fail, watch_config=watch_config)
    path = config_path(config_file, log_path)
    again = None if path is None or str(path) == STDIN else partial(_load, path, None, state_dir)
    reload = Reload(None if once else again, path, watch=watch_config)
    signal.signal(signal.SIGHUP, lambda *_: reload.ask())  # what comes from now on is answered
    try:
        loaded = _load(config_file, log_path, state_dir)
    except ConfigError as error:
        end_for_mistakes(error)
    if once and log_path is not None and not GLOB & set(log_path):
        _refuse_absent(Path(log_path))
    _say_remarks(loaded)
    log_tracebacks()
    keep_memory()
    hash_by_libcrypto()
    raise_descriptor_limit()
    options = AgentOptions(once=once, deadline_s=deadline)
    one_cpu = OneCpu()
    try:
        agent, delivered, before = _run(
            loaded, options, reload, ServiceManager(os.environ), one_cpu.look
        )
    finally:
        one_cpu.release()
    if once:
        for line in closing_lines(agent, before):
            logger.info("delivered", line)
    left_behind = agent.shutdown.left_behind if once else []
    if fail:
        left_behind += never_delivered(agent, before)
    if not delivered or left_behind:
        for exporter, segment, left in agent.shutdown.undelivered():
            text = f"undelivered: {exporter}: {segment}: {size(left)} left"
            logger.error("undelivered", text, exporter=exporter, segment=segment, bytes=left)
        for reason in left_behind:
            logger.error("undelivered", f"undelivered: {reason}")
        sys.exit(UNDELIVERED)
    if agent.commit_error:
        end(f"the position could not be written: {agent.commit_error}", STATE, loaded.config)


def _refuse_contradictions(*, once: bool, fail: bool, watch_config: bool) -> None:
    """Refuse options that would have no effect beside the others."""
    source = click.get_current_context().get_parameter_source("deadline")
    if not once and source is not click.core.ParameterSource.DEFAULT:
        raise click.UsageError("--deadline is for --once; add it, or leave the deadline out")
    if fail and not once:
        raise click.UsageError("--fail is for --once; for a running agent there is status --fail")
    if once and watch_config:
        raise click.UsageError("--watch-config is for an agent that goes on; leave out --once")


def _refuse_absent(log: Path) -> None:
    """End where nothing of the one log is there: nobody waits for it."""
    with suppress(OSError):  # told of as a trouble of the log
        if not list_log(log):
            what = f"there is no log of that name{what_is_in(log.parent)}"
            die(f"undelivered: {log}: {what}", UNDELIVERED)


def _say_remarks(loaded: Loaded) -> None:
    """Set the log up as the configuration says, and tell what of it is not as it seems."""
    logs = loaded.config.service.telemetry.logs
    level = logs.level if "level" in logs.model_fields_set else None
    set_up_logs(level_of(level, os.environ), logs.encoding)
    if level is None and (named := unknown_level(os.environ)):
        why = "is no level, info counts; write debug, info, warn or error"
        logger.warning("note", f"OTEL_LOG_LEVEL: {named!r} {why}")
    for remark in remarks_on(loaded, os.environ):
        logger.warning("note", str(remark))


def _run(
    loaded: Loaded,
    options: AgentOptions,
    reload: Reload,
    manager: ServiceManager,
    tick: Callable[[], None],
) -> tuple[Agent, bool, dict[str, Tally]]:
    """Run agents one after the other, each with the configuration as it is then."""
    signals = _Signals(manager)
    working, status = None, None
    while True:
        reload.began(loaded)
        agent = Agent(loaded.config, os.environ, options)
        signals.starts(agent)
        started = _start(agent, loaded, working, status)
        if isinstance(started, str):
            assert working is not None  # noqa: S101 - else the process has ended
            loaded, working = working, None
            _say_remarks(loaded)
            options = replace(options, changes=(), lock=agent.lock)
            reload.fell_back(started)
            continue
        status, before = started
        working = loaded
        for unread in options.handed.keys() - {log.key for log in agent.logs}:
            del options.handed[unread]
        if not reload.refused:
            reload.works()
        signals.works(agent)
        agent.listen(partial(_look, agent, status, reload, manager))
        agent.listen(tick)
        manager.ready(
            f"{counted(len(agent.exporters), 'exporter')} on {counted(len(agent.logs), 'log')}"
        )
        delivered = agent.run()
        if reload.next is None or signals.stopping:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # by default it kills what is ending
            manager.stopping()
            status.stop()
            for handler in logging.getLogger().handlers:
                handler.flush()  # the last line is the last
            stored = "stopped" if agent.commit_error else "stopped: the positions are stored"
            logger.info("stopped", stored)
            return agent, delivered, before
        loaded = reload.next
        new = frozenset(agent.watched.appeared)
        options = replace(options, changes=reload.said, lock=agent.lock, appeared=new)
        _say_remarks(loaded)


def _look(agent: Agent, status: AgentStatus, reload: Reload, manager: ServiceManager) -> None:
    """Beat for systemd, and end the agent where another configuration is to be taken up."""
    manager.beat()
    manager.status(status.headline)
    takes_up = reload.look(agent.config, agent.watched.appeared)
    status.config_refused = reload.refused or reload.keeps_out
    status.reload = reload.answer
    status.kept_out = agent.watched.appeared if reload.keeps_out else ()
    if takes_up:
        manager.reloading(agent.config.service.shutdown_timeout_s)
        agent.hand_over()


def _start(
    agent: Agent, loaded: Loaded, before: Loaded | None, status: AgentStatus | None
) -> tuple[AgentStatus, dict[str, Tally]] | str:
    """Start the agent and its listener; say where every exporter goes on, and return what was.

    Where it cannot start the process ends; but says why where *before* has worked until now.
    *status* is of the agent before, and goes on.
    """
    if status is None:
        status = AgentStatus(agent)  # before the start: its counters begin where the positions do
    else:
        status.follow(agent)
    try:
        resumed = agent.start(partial(_tell, agent, status, reloaded=before is not None))
    except (StateError, StateLockedError) as error:
        why, code = str(error), STATE
    except ConfigError as error:
        why, code = str(error), USAGE
    except OSError as error:
        where = error.filename or (
            "service::telemetry::metrics::address"
            if agent.started
            else loaded.config.service.state_dir
        )
        hint = "free it, or write another" if agent.started else hint_of(error)
        why, code = f"{where}: {error.strerror}; {hint}", USAGE if agent.started else STATE
    else:
        return status, by_exporter((line.exporter, line.tally) for line in resumed)
    if before is None:
        end(why, code, loaded.config)
    if agent.started:
        agent.hand_over()
        agent.run()  # lets go of the state
    logger.error("reload_refused", f"reload refused, the old configuration stays: {why}")
    return why


def _tell(agent: Agent, status: AgentStatus, resumed: Iterable[Resumed], *, reloaded: bool) -> None:
    """Listen, and say where every exporter goes on."""
    say_started(agent, resumed, status.start(), reloaded=reloaded)


def _load(config_file: Path | None, log_path: str | None, state_dir: Path | None) -> Loaded:
    config_file = config_path(config_file, log_path)
    if config_file is None and log_path is None:
        other = "or --path AUDIT_LOG and --state-dir DIRECTORY"
        raise click.UsageError(f"give --config FILE, {other}; {NO_DEFAULT}")
    if config_file is not None and log_path is not None:
        raise click.UsageError("--path is for use without --config; write the path in the file")
    state = str(state_dir.absolute()) if state_dir else None
    if config_file is None:
        assert log_path is not None  # noqa: S101 - seen above
        return from_environment(str(Path(log_path).absolute()), state, os.environ)
    return load_config(config_file, state)


class _Signals:
    """Drain on the first signal to stop, leave at once on the second.

    Nothing is lost either way. An agent that still waits for its predecessor has nothing to drain;
    one that has the state may have sent something, however short its life was.
    """

    def __init__(self, manager: ServiceManager) -> None:
        self.stopping = False
        self._manager = manager
        self._starting: Agent | None = None
        self._agent: Agent | None = None  # the one that works, or worked before a reload
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def starts(self, agent: Agent) -> None:
        """Take down which agent is about to start."""
        self._starting = agent

    def works(self, agent: Agent) -> None:
        """Take *agent* for the one to stop; at once where that was asked while it started."""
        self._agent = agent
        if self.stopping:
            agent.stop()

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        waits = self._starting is None or not self._starting.started
        if self.stopping or (self._agent is None and waits):
            os._exit(128 + number)
        self.stopping = True
        drain_s = 0.0
        if self._agent is not None:
            self._agent.stop()
            drain_s = self._agent.config.service.shutdown_timeout_s
        self._manager.stopping(drain_s)
