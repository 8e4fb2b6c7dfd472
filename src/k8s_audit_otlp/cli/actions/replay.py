"""`replay`: send a part of what is still on disk to one exporter once more."""

import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.replay import CountingSender, ReplayPart, replay_config, state_of
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.cli import STATE, UNDELIVERED, USAGE, die
from k8s_audit_otlp.cli.options import config_with
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.service import EvidenceBlock, MetricsBlock
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.telemetry.logs import set_up_logs
from k8s_audit_otlp.tools.text import counted, size

_BLOCK_RECORDS = 400  # about as many come at once: a slow replay waits so long between them


def command(  # noqa: PLR0913 - one for each thing that can be asked
    config_file: Path | None,
    state_dir: Path | None,
    exporter: str,
    since_ns: int,
    until_ns: int,
    rate: float,
    *,
    dry_run: bool,
    deadline: float,
) -> None:
    config = config_with(exporter, config_file, state_dir).config
    if since_ns >= until_ns:
        die("--from is not before --to: nothing lies between them", USAGE)
    part = ReplayPart(until_ns, rate=0.0 if dry_run else rate)
    timeout_s = deadline + (_BLOCK_RECORDS / rate if rate else 0.0)
    if dry_run:
        _count(config, exporter, since_ns, part, timeout_s)
        return
    state = state_of(config, exporter, since_ns, until_ns)
    options = AgentOptions(
        once=True, deadline_s=timeout_s, lock_timeout_s=0.0, around_encode=part.around
    )
    tally, delivered = _run(replay_config(config, exporter, since_ns, state), options)
    if delivered and not (tally.delivered or tally.dead_lettered or tally.refused):
        shutil.rmtree(state)
        dropped = sum(tally.dropped.values())
        why = (
            f"{dropped:,} lie after --to or a policy drops them" if dropped else "none is that new"
        )
        die(f"nothing was sent of what is on disk: {why}")
    echo(_said(tally, "sent again"))
    if not delivered:
        die("not everything was sent; call it again with the same times to go on", UNDELIVERED)
    if tally.dead_lettered or tally.refused:
        die(f"some records were refused; they are in {state}/dead-letter", UNDELIVERED)
    shutil.rmtree(state)


def _count(
    config: Config, exporter: str, since_ns: int, part: ReplayPart, timeout_s: float
) -> None:
    counting = CountingSender()
    options = AgentOptions(
        once=True,
        deadline_s=timeout_s,
        senders={exporter: counting},
        around_encode=part.around,
    )
    state = config.service.state_dir  # a container may have no other place to write to
    place = state if os.access(state, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="replay-", dir=place) as directory:
        chosen = replay_config(config, exporter, since_ns, Path(directory))
        service = chosen.service  # nothing of what is not sent may be sealed or measured
        telemetry = service.telemetry.model_copy(update={"metrics": MetricsBlock()})
        update = {"evidence": EvidenceBlock(), "telemetry": telemetry}
        chosen = replace(chosen, service=service.model_copy(update=update))
        tally, _ = _run(chosen, options)
    echo(f"{_said(tally, 'would be sent again')}, {size(counting.bytes)} before compression")


def _run(config: Config, options: AgentOptions) -> tuple[Tally, bool]:
    """Run an agent to its end; return what became of the records, and whether it is through."""
    set_up_logs("error", config.service.telemetry.logs.encoding)
    agent = Agent(config, os.environ, options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.start()
    delivered = agent.run()
    tally = Tally()
    for subscription in agent.subscriptions():
        tally.add(subscription.tally())
    for reason in agent.left_behind():
        echo(f"left out: {reason}", err=True)
    if agent.commit_error:
        echo(f"the progress could not be written: {agent.commit_error}", err=True)
        sys.exit(STATE)
    return tally, delivered


def _said(tally: Tally, what: str) -> str:
    dropped = sum(tally.dropped.values())
    sent = counted(tally.delivered, "record")
    return f"{sent} {what}; {dropped:,} lie after --to or a policy drops them"
