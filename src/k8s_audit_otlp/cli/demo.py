"""`demo`: see the agent at work without a cluster, a back end or root."""

import signal
import sys
import tempfile
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.box import SIMPLE
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from k8s_audit_otlp.cli.exit_codes import FAILURE
from k8s_audit_otlp.cli.options import Number
from k8s_audit_otlp.tools.demo.backend import DemoRecord
from k8s_audit_otlp.tools.demo.show import Demo, Script
from k8s_audit_otlp.tools.text import counted

_ROWS = 14
_COLUMNS = ("time", "verb", "username", "what", "code", "outcome")
_GIVES_WAY = "username"  # in a narrow terminal


@click.command()
@click.option(
    "--seconds",
    type=Number(1, 3600),
    default=8.0,
    show_default=True,
    help="How long the cluster writes.",
)
@click.option(
    "--rate",
    type=click.IntRange(1, 100_000),
    default=150,
    show_default=True,
    help="Events that it writes a second.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep log, state and agent.log here.")
def command(seconds: float, rate: int, keep: Path | None) -> None:
    """Show the agent at work, killed and restarted, in 10 s.

    A made-up cluster writes an audit log that grows, rotates and is compressed. The real agent
    follows it and delivers to a real OTLP back end in this process. Half-way the agent is killed
    with SIGKILL. At the end what was written is compared with what arrived.
    """
    console = Console()
    script = Script(seconds=seconds, rate=rate)
    if keep is not None:
        if keep.exists() and any(keep.iterdir()):
            raise click.BadParameter(f"{keep} is not empty", param_hint="--keep")
        keep.mkdir(parents=True, exist_ok=True)
        _run(Demo(keep, script), console)
    else:
        with tempfile.TemporaryDirectory(prefix="k8s-audit-otlp-") as folder:
            _run(Demo(Path(folder), script), console)


def _run(demo: Demo, console: Console) -> None:
    # Looked at between two steps: an exception while one starts the agent would leave it behind.
    asked: list[int] = []
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: asked.append(number))
    phase = ""
    live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
    # Where somebody interrupts, what it plays ends as well.
    with closing(demo.play()) as playing, live or nullcontext():
        for _ in playing:
            if asked:
                sys.exit(128 + asked[0])
            if live:
                live.update(_view(demo))
            elif demo.phase != phase:  # a line for each thing that happens
                phase = demo.phase
                console.print(_headline(demo))
        if live:
            live.update(_view(demo))
    if not live:
        console.print(_table(demo.newest(_ROWS)))
    for record in demo.newest(1):
        console.print(_one(record))
    console.print(
        f"{counted(demo.rotations, 'rotation')} with compression, {demo.kills} kill -9 of the agent"
    )
    console.print(Text(demo.outcome(), style="bold red" if demo.lost else "bold green"))
    if demo.lost:
        sys.exit(FAILURE)


def _headline(demo: Demo) -> str:
    arrived, rotations = demo.backend.unique, counted(demo.rotations, "rotation")
    return f"{demo.phase}: {demo.written} written, {arrived} received, {rotations}"


def _view(demo: Demo) -> Group:
    return Group(_table(demo.newest(_ROWS)), Text(_headline(demo)))


def _table(records: list[DemoRecord]) -> Table:
    title = "LogRecords at the back end, the newest last"
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=name != _GIVES_WAY, overflow="ellipsis")
    for record in records:
        attributes = record.attributes
        when = datetime.fromtimestamp(record.time_ns / 1e9, UTC)
        style = {"INFO": "", "WARN": "yellow"}.get(record.severity_text, "red")
        table.add_row(
            f"{when:%H:%M:%S}",
            str(attributes.get("verb", "")),
            str(attributes.get("username", "-")),
            _what(record),
            str(attributes.get("responseCode", "")),
            Text(str(attributes.get("k8s.audit.outcome", "")), style=style),
        )
    return table


def _what(record: DemoRecord) -> str:
    attributes = record.attributes
    names = (
        "namespace",
        "k8s.audit.object_ref.resource",
        "k8s.audit.object_ref.subresource",
        "node",
    )
    parts = [str(attributes[name]) for name in names if name in attributes]
    return "/".join(parts) or str(attributes.get("url.path", ""))


def _one(record: DemoRecord) -> Table:
    """Show everything of one record, so that a reader knows what to search for."""
    table = Table(title="The last one in full", title_justify="left", show_header=False)
    table.add_column("key", no_wrap=True, min_width=36)
    table.add_column("value", overflow="fold", ratio=1)
    for key, value in record.resource.items():
        table.add_row(f"resource: {key}", str(value))
    for key, value in record.attributes.items():
        table.add_row(key, str(value))
    table.add_row("body", str(record.body))
    return table
