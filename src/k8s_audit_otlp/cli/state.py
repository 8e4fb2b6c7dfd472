"""`state`: the positions on disk, of exporters in use and of disabled ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from k8s_audit_otlp.cli import Group
from k8s_audit_otlp.cli.exit_codes import USAGE, die
from k8s_audit_otlp.cli.options import JSON, checkpoint_in, on_state
from k8s_audit_otlp.cli.terminal import console, echo, echo_json
from k8s_audit_otlp.config.mistakes import suggest
from k8s_audit_otlp.model import LogKey
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile, Position
from k8s_audit_otlp.state.lock import StateLock
from k8s_audit_otlp.state.positions import FILE_NAME
from k8s_audit_otlp.telemetry.backlog import inspect
from k8s_audit_otlp.tools.text import about


@click.group("state", cls=Group)
def command() -> None:
    """List, rename or forget the positions of exporters.

    The position of an exporter that is removed from the configuration, or disabled, is kept: it
    goes on from there when it comes back. A new id begins anew, unless its old one is renamed.
    """


@command.command("list")
@on_state
@JSON
def list_(directory: Path, *, as_json: bool) -> None:
    """List every exporter that has a position, with its backlog as of the last checkpoint."""
    checkpoint, _ = checkpoint_in(directory)
    found = inspect(checkpoint)
    if as_json:
        echo_json([asdict(consumed) for consumed in found])
        return
    if not found:
        echo("no exporter has a position")
        return
    from k8s_audit_otlp.tools.table import FittingTable  # noqa: PLC0415 - not for --json, and slow

    table = FittingTable(("exporter", "log", "segment", "offset", "backlog", "delivered"), 3)
    for consumed in found:
        table.add_row(
            consumed.exporter,
            LogKey.parse(consumed.log).path,
            consumed.segment or "-",
            f"{consumed.offset:,}",
            about(consumed.backlog_bytes, estimated=consumed.backlog_estimated),
            f"{consumed.delivered:,}",
        )
    console().print(table)


@command.command()
@click.argument("old")
@click.argument("new")
@on_state
def rename(directory: Path, old: str, new: str) -> None:
    """Give the position of OLD to NEW, for an exporter whose id was changed."""
    old, written, new = _id_of(old) or old, new, _id_of(new)
    if not new:
        what = f"{written} can be no id of an exporter"
        die(f"{what}; write type/name, such as otlp_http/siem", USAGE)
    if old == new:
        die(f"{old} and {new} are the same; nothing to rename", USAGE)
    with _changing(directory) as checkpoint:
        found = _with(checkpoint, old)
        for exporters in checkpoint.positions.values():
            if new in exporters:
                die(f"{new} has a position of its own; forget it first", USAGE)
        for exporters in found:
            exporters[new] = exporters.pop(old)
    echo(f"{new} goes on where {old} was")


@command.command()
@click.argument("exporter")
@on_state
def forget(directory: Path, exporter: str) -> None:
    """Remove the position of EXPORTER: should it come back, it begins where start_at says."""
    exporter = _id_of(exporter) or exporter
    with _changing(directory) as checkpoint:
        for exporters in _with(checkpoint, exporter):
            del exporters[exporter]
    echo(f"{exporter} is forgotten")


def _id_of(written: str) -> str:
    from k8s_audit_otlp.config.reading.build import exporter_id  # noqa: PLC0415 - slow to import

    return exporter_id(written)


def _with(checkpoint: Checkpoint, exporter: str) -> list[dict[str, Position]]:
    found = [e for e in checkpoint.positions.values() if exporter in e]
    if not found:
        known = {name for e in checkpoint.positions.values() for name in e}
        hint = suggest(exporter, known) if known else "no exporter has one"
        die(f"{exporter} has no position; {hint}", USAGE)
    return found


@contextmanager
def _changing(state_dir: Path) -> Iterator[Checkpoint]:
    """Load the checkpoint, and write it back if nothing goes wrong; no agent may run meanwhile."""
    checkpoint_in(state_dir)  # before a lock file is made where there is no state
    lock = StateLock(state_dir)
    lock.acquire()
    try:
        checkpoint, _ = checkpoint_in(state_dir)
        yield checkpoint
        CheckpointFile(state_dir).save(checkpoint)
        (state_dir / FILE_NAME).unlink(missing_ok=True)  # what it said is in the checkpoint
    finally:
        lock.release()
