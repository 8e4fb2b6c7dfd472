"""`replay`: send a part of what is still on disk to one exporter once more."""

import os
import shutil
import signal
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from k8s_audit_otlp.agent.agent import Agent
from k8s_audit_otlp.agent.replay import CountingSender, ReplayPart, replay_config, state_of
from k8s_audit_otlp.agent.start import AgentOptions
from k8s_audit_otlp.cli.exit_codes import STATE, UNDELIVERED, USAGE, die
from k8s_audit_otlp.cli.options import config_with
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.config.service import EvidenceBlock, MetricsBlock
from k8s_audit_otlp.receiver.start_at import times_on_disk
from k8s_audit_otlp.state.ledger import Tally
from k8s_audit_otlp.telemetry.logs import set_up_logs
from k8s_audit_otlp.tools.text import counted, rfc3339, size

_BLOCK_RECORDS = 400  # about as many come at once: a slow replay waits so long between them


class _Ended(NamedTuple):
    tally: Tally
    is_through: bool
    left_out: list[str]
    there: list[int]  # where nothing was sent: times of events on disk, the first and the last, too


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
    state = state_of(config, exporter, since_ns, until_ns)
    options = AgentOptions(
        once=True,
        deadline_s=timeout_s,
        lock_timeout_s=0.0,
        part=state.name,
        around_encode=part.around,
    )
    what, more = "sent again", ""
    if dry_run:
        counting = CountingSender()
        options = replace(options, senders={exporter: counting})
        tally, through, left_out, there = _count(config, exporter, since_ns, options)
        what, more = "would be sent again", f", {size(counting.bytes)} before compression"
    else:
        chosen = replay_config(config, exporter, since_ns, state)
        tally, through, left_out, there = _run(chosen, options)
    dropped, kept = sum(tally.dropped.values()), tally.dead_lettered or tally.refused
    if through and not kept and not left_out and not dry_run:
        shutil.rmtree(state)
    others = f"{counted(dropped, 'record')} after --to or dropped by a policy"
    if through and not kept and not tally.delivered:
        if left_out:
            die("nothing that could be read is to be sent, and something is left out")
        why = (others if dropped else "none is so new") + _range_of(there)
        die(f"nothing of what is on disk is to be sent: {why}")
    echo(f"{counted(tally.delivered, 'record')} {what}; {others}{more}")
    if not through:
        times = f"--from {rfc3339(since_ns, 6)} --to {rfc3339(until_ns, 6)}"
        die(f"that is not all; to go on call it again with {times}", UNDELIVERED)
    if kept and not dry_run:
        die(f"some records were refused; they are in {state}/dead-letter", UNDELIVERED)
    if left_out:
        die("that is not all: something is left out", UNDELIVERED)


def _range_of(times: list[int]) -> str:
    if not times:
        return ""
    return f"; what is there is of {rfc3339(min(times), 6)} to {rfc3339(max(times), 6)}"


def _count(config: Config, exporter: str, since_ns: int, options: AgentOptions) -> _Ended:
    """Run the replay in a state directory of its own, with a sender that sends nothing."""
    state = config.service.state_dir  # a container may have no other place to write to
    place = state if os.access(state, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="replay-", dir=place) as directory:
        chosen = replay_config(config, exporter, since_ns, Path(directory))
        service = chosen.service  # nothing of what is not sent may be sealed or measured
        telemetry = service.telemetry.model_copy(update={"metrics": MetricsBlock()})
        update = {"evidence": EvidenceBlock(), "telemetry": telemetry}
        return _run(replace(chosen, service=service.model_copy(update=update)), options)


def _run(config: Config, options: AgentOptions) -> _Ended:
    """Run an agent to its end, and say what it left, and why."""
    set_up_logs("error", config.service.telemetry.logs.encoding)
    agent = Agent(config, os.environ, options)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.start()
    delivered = agent.run()
    tally = Tally()
    for subscription in agent.subscriptions():
        tally.add(subscription.tally())
    left_out = agent.shutdown.left_behind
    left_out += [f"{counted(tally.gaps, 'gap')} in the log"] * bool(tally.gaps)
    for reason in left_out:
        echo(f"left out: {reason}", err=True)
    if agent.commit_error:
        echo(f"the progress could not be written: {agent.commit_error}", err=True)
        sys.exit(STATE)
    if not delivered:
        left = size(sum(count for _, _, count in agent.shutdown.undelivered()))
        why = agent.exporters[0].gate.last_error or "no answer yet"
        echo(f"left: {left} of the log; {why}", err=True)
    return _Ended(tally, delivered, left_out, [] if tally.delivered else times_on_disk(agent.logs))
