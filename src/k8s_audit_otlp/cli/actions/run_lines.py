"""The lines that `run` writes: where it begins, what became of it, and why it ends."""

import errno
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from operator import sub
from typing import NoReturn

from k8s_audit_otlp import __version__
from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.build import endpoint_of
from k8s_audit_otlp.agent.start import Resumed
from k8s_audit_otlp.cli.exit_codes import USAGE, die
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.event.formats import left_out
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.telemetry.logs import logger, set_up_logs
from k8s_audit_otlp.tools.text import about, counted, duration, size

_OLD_S = 3600.0  # from where on it is worth saying how old the backlog is
# What an exporter is through with and has not got, and where to look; by the column of its tally.
_NEVER_DELIVERED = {
    "dead_lettered": ("record", "in the dead letter; see k8s-audit-otlp dead-letter list"),
    "refused": ("record", "refused in part of a request; see k8s-audit-otlp dead-letter list"),
    "gaps": ("gap", "in the log; the notices k8s.audit.gap say from when to when, and why"),
}


def say_started(
    agent: Agent, resumed: Iterable[Resumed], address: str | None, *, reloaded: bool
) -> None:
    endpoints = {runtime.name: endpoint_of(runtime.exporter) for runtime in agent.exporters}
    for line in resumed:
        logger.info(
            "resumed",
            describe(line),
            exporter=line.exporter,
            endpoint=endpoints[line.exporter],
            receiver=line.receiver,
            log=line.log,
            segment=line.segment,
            offset=line.offset,
            bytes=line.backlog.bytes,
        )
    if address:
        text = f"page, health and metrics: http://{address}/ /livez /readyz /metrics"
        logger.info("listening", text, address=address)
    logger.info(
        event := "reloaded" if reloaded else "started",
        f"{event}: k8s-audit-otlp {__version__}, process {os.getpid()}, "
        f"configuration {agent.digest}, state in {agent.config.service.state_dir}",
        version=__version__,
        pid=os.getpid(),
        configuration=agent.digest,
        state_dir=agent.config.service.state_dir,
    )


def describe(resumed: Resumed) -> str:
    """Say in a line where an exporter goes on."""
    where = (
        f"{resumed.segment} at byte {resumed.offset}" if resumed.segment else "nothing there yet"
    )
    skips = about(resumed.skipped.bytes, estimated=resumed.skipped.estimated)
    skipped = f"; start_at skips {skips}" if resumed.skipped.bytes else ""
    to_send = f"{about(resumed.backlog.bytes, estimated=resumed.backlog.estimated)} to send"
    if resumed.oldest_s is not None and resumed.oldest_s > _OLD_S:
        to_send += f", the oldest {duration(resumed.oldest_s)} old"
    return f"{resumed.exporter}: {resumed.log}: {where}, {to_send}{skipped}"


def by_exporter(tallies: Iterable[tuple[str, Tally]]) -> dict[str, Tally]:
    found: dict[str, Tally] = defaultdict(Tally)
    for exporter, tally in tallies:
        found[exporter].add(tally)
    return found


def closing_lines(agent: Agent, before: Mapping[str, Tally]) -> Iterator[str]:
    """Say of each exporter what became of the records of this run."""
    now = _now(agent)
    for runtime in agent.exporters:
        name = runtime.name
        one, other = now[name], before[name]
        left = sum(count for exporter, _, count in agent.shutdown.undelivered() if exporter == name)
        dropped, lines = map(sub, left_out(one.dropped), left_out(other.dropped))
        no_events = f"no audit events {lines:,}, " if lines else ""
        line = (
            f"{name}: delivered {one.delivered - other.delivered:,}, "
            f"dropped by policy {dropped:,}, {no_events}"
            f"dead-lettered {one.dead_lettered - other.dead_lettered:,}, "
            f"refused {one.refused - other.refused:,}, left {size(left)}"
        )
        if gaps := one.gaps - other.gaps:
            line += f"; {counted(gaps, 'gap')} in the log"
        if again := runtime.journal.counts.retries["retryable"]:  # not where nothing was reached
            asked = counted(again, "request")
            line += f"; {asked} had no clear answer: what went with it may be there twice"
        yield line


def never_delivered(agent: Agent, before: Mapping[str, Tally]) -> Iterator[str]:
    """Say of each exporter what of this run it will not get."""
    for name, tally in _now(agent).items():
        for column, (unit, where) in _NEVER_DELIVERED.items():
            if count := getattr(tally, column) - getattr(before[name], column):
                yield f"{name}: {counted(count, unit)} {where}"


def _now(agent: Agent) -> dict[str, Tally]:
    return by_exporter((one.exporter, one.tally()) for one in agent.subscriptions())


def hint_of(error: OSError) -> str:
    """Say what helps: more room where there is none, the rights where they are missing."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room, or give another --state-dir"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "let the agent's user write there, or give another --state-dir"
    return "give another --state-dir"


def end(why: str, code: int, config: Config) -> NoReturn:
    """End the process; where its lines are JSON, its last one is too."""
    if config.service.telemetry.logs.encoding != "json":
        die(why, code)
    logger.error("fatal", why, exit_code=code)
    sys.exit(code)


def end_for_mistakes(error: ConfigError) -> NoReturn:
    """End for a configuration that cannot be used, in the form that it asks for as far as read."""
    if not error.json_logs:
        raise error
    set_up_logs("info", "json")
    for mistake in error.mistakes:
        more = {"exit_code": USAGE, "where": mistake.where, "hint": mistake.hint}
        logger.error("fatal", mistake.in_file(error.source), **more)
    sys.exit(USAGE)
