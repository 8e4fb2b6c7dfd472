"""`status`: what the state directory says about every exporter."""

import json
import os
import sys
from pathlib import Path

import click

from k8s_audit_otlp.agent.inspect import Consumed, inspect
from k8s_audit_otlp.cli import STATE
from k8s_audit_otlp.cli.sizes import human_bytes
from k8s_audit_otlp.config.load import load
from k8s_audit_otlp.state.checkpoint import CheckpointFile, StateError


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="Configuration.")
@click.option("--state-dir", type=click.Path(path_type=Path), help="Directory of the positions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config_file: Path | None, state_dir: Path | None, *, as_json: bool) -> None:
    """Show position, backlog and conservation of each exporter, as of the last checkpoint."""
    directory = _directory(config_file, state_dir)
    try:
        restored = CheckpointFile(directory).load()
    except StateError as error:
        click.echo(f"k8s-audit-otlp: {error}", err=True)
        sys.exit(STATE)
    if restored.warning:
        click.echo(f"warning: {restored.warning}", err=True)
    if restored.checkpoint is None:
        click.echo(f"{directory}: no checkpoint yet; has an agent run with it?", err=True)
        sys.exit(STATE)
    lines = inspect(restored.checkpoint)
    if as_json:
        click.echo(
            json.dumps(
                {
                    "written": restored.checkpoint.written,
                    "exporters": [line.as_json() for line in lines],
                },
                indent=2,
            )
        )
    else:
        _print(restored.checkpoint.written, lines)


def _directory(config_file: Path | None, state_dir: Path | None) -> Path:
    if state_dir is not None:
        return state_dir
    if config_file is None:
        raise click.UsageError("give --state-dir DIRECTORY or --config FILE")
    return Path(load(config_file, os.environ).config.service.state_dir)


def _print(written: str, lines: list[Consumed]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only for people
    from rich.table import Table  # noqa: PLC0415

    table = Table(title=f"as of {written}", title_justify="left")
    for name, justify in (
        ("exporter", "left"),
        ("log", "left"),
        ("at", "left"),
        ("backlog", "right"),
        ("read", "right"),
        ("delivered", "right"),
        ("dropped", "right"),
        ("refused", "right"),
        ("dead", "right"),
        ("gaps", "right"),
        ("balance", "right"),
    ):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for line in lines:
        table.add_row(
            line.exporter,
            line.log.partition(":")[2],
            f"{line.segment} +{line.offset}",
            human_bytes(line.backlog_bytes),
            *(
                f"{n:,}"
                for n in (
                    line.read,
                    line.delivered,
                    line.dropped,
                    line.refused,
                    line.dead_lettered,
                    line.gaps,
                    line.balance,
                )
            ),
        )
    Console().print(table)
