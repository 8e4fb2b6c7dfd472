"""Commands of the agent: run, status, reload, replay, and what it keeps in the dead letter."""

import click

from k8s_audit_otlp.cli import Group, doing
from k8s_audit_otlp.cli.options import (
    CONFIG,
    EXPORTER,
    JSON,
    OF_EXPORTER,
    STATE_DIR,
    Number,
    lasting,
    on_state,
    time_or_age,
)


@click.command()
@CONFIG
@click.option("--path", "log_path", help="Audit log to deliver, without a configuration file.")
@STATE_DIR
@click.option("--once", is_flag=True, help="Deliver what is there now, then stop.")
@lasting("--deadline", default="30s", help="With --once: give up after so long without progress.")
@click.option("--fail", is_flag=True, help="With --once: end with 4 where a record was refused.")
@click.option("--watch-config", is_flag=True, help="Reload when the configuration's files change.")
@doing("run:command")
def run() -> None:
    """Deliver the audit log to every exporter.

    Without --config, --path and the OTEL_EXPORTER_OTLP_* variables suffice. SIGHUP reads the
    configuration again. With --once the exit code is 4 where something is left to deliver; with
    --fail also where a record was refused (the dead letter has it), or the log has a gap.
    """


@click.command()
@on_state
@JSON
@click.option("--watch", is_flag=True, help="Show it anew every second until interrupted.")
@click.option(
    "--fail", is_flag=True, help="End with 1 where no agent runs or an alert fires: for checks."
)
@doing("status:command")
def status() -> None:
    """Show whether events are lost, and how far each exporter is.

    While an agent runs, what it does right now is shown as well; positions and counts are those of
    the last checkpoint. The exit code is 0 whatever is shown. With --fail it is 1 where no agent
    runs, where it has not reported for a minute, or where an alert fires. The alerts are those of
    deploy/prometheus, with the same thresholds and waiting times: one failed request raises none.
    """


@click.command()
@on_state
@lasting("--deadline", default="60s", help="Give up after so long without an answer.")
@doing("reload:command")
def reload() -> None:
    """Have a running agent read its configuration again.

    As SIGHUP does, but it waits for the answer: what is different, or why it is refused (exit
    code 2) and the agent goes on with the one before.
    """


@click.command()
@CONFIG
@STATE_DIR
@OF_EXPORTER(required=True, help="Id of the exporter that gets it.")
@click.option("--from", "since_ns", type=time_or_age, required=True, help="Nothing before it.")
@click.option(
    "--to", "until_ns", type=time_or_age, default="0s", help="Nothing from it on; now by default."
)
@click.option("--rate", type=Number(min=0), default=0.0, help="Records a second at most.")
@click.option("--dry-run", is_flag=True, help="Count what would be sent, and send nothing.")
@lasting("--deadline", default="30s", help="Give up after so long without progress.")
@doing("replay:command")
def replay() -> None:
    """Send a part of what is on disk to one exporter once more.

    For a new back end, a wrong policy or a lost index. It may run beside an agent, whose positions
    it never touches; what it sends has the same uids, and k8s.audit.replayed in its resource. A
    replay that was ended goes on where it was when it is called again with the same times; so give
    times, not ages.
    """


_UID = click.option("--uid", "uids", multiple=True, help="Only this log.record.uid; repeatable.")


@click.group(cls=Group)
def dead_letter() -> None:
    """List, show, replay or purge what a back end refused for good."""


@dead_letter.command("list")
@EXPORTER(required=False)
@on_state
@JSON
@doing("dead_letter:list_")
def list_() -> None:
    """Count the entries of EXPORTER, or of every one."""


@dead_letter.command()
@EXPORTER()
@on_state
@_UID
@click.option("--limit", default=20, show_default=True, help="Entries to show; 0 shows all.")
@click.option("--record", "with_record", is_flag=True, help="Show the record as OTLP JSON.")
@doing("dead_letter:show")
def show() -> None:
    """Print entries of EXPORTER, one JSON object a line, the newest last."""


@dead_letter.command("replay")
@EXPORTER()
@CONFIG
@STATE_DIR
@_UID
@doing("dead_letter:replay")
def replay_letters() -> None:
    """Send the entries of EXPORTER again, as it is configured now; what is accepted leaves."""


@dead_letter.command()
@EXPORTER()
@on_state
@_UID
@click.option("--yes", is_flag=True, help="Do not ask.")
@doing("dead_letter:purge")
def purge() -> None:
    """Delete entries of EXPORTER for good: those that are there now."""
