"""`dead-letter`: list what a back end refused for good, send it again, or delete it.

All of it may run beside the agent, which holds the file's lock only while it writes an entry.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from k8s_audit_otlp.agent.build import (
    backoff_of,
    batch_limits,
    resource_scopes_of,
    sender_of,
    with_resource,
)
from k8s_audit_otlp.cli.exit_codes import FAILURE, STATE, UNDELIVERED, USAGE, die
from k8s_audit_otlp.cli.options import config_with
from k8s_audit_otlp.cli.terminal import echo, echo_json
from k8s_audit_otlp.config.mistakes import suggest
from k8s_audit_otlp.evidence.chain import REPLAYED
from k8s_audit_otlp.exporter.dead_letter import (
    DeadLetterRecord,
    digest,
    exporter_of,
    file_name,
    read_entries,
    read_lines,
    remove_lines,
)
from k8s_audit_otlp.exporter.dead_letter_replay import Replay, Replayed
from k8s_audit_otlp.telemetry.terminal_safe import visible_json
from k8s_audit_otlp.tools.text import counted, size
from k8s_audit_otlp.transport.otlp_json import record_as_json


@dataclass(slots=True)
class Summary:
    """Counts of the dead letter of one exporter."""

    exporter: str
    path: Path
    bytes: int
    records: int = 0
    refused: int = 0  # by partial success, record unknown
    oldest: str = ""
    newest: str = ""
    why: str = ""  # why the newest was refused


def list_(directory: Path, exporter: str | None, *, as_json: bool) -> None:
    files = [_file(directory, exporter)] if exporter else _files(directory)
    summaries = [_summary(path) for path in files]
    if as_json:
        echo_json([asdict(one) for one in summaries])
        return
    if not summaries:
        echo("no dead letters")
    for one in summaries:
        known = counted(one.records, "record")
        refused = f", {one.refused:,} refused in part" if one.refused else ""
        echo(f"{one.exporter}: {known}{refused}, {size(one.bytes)}")
        if one.newest:
            echo(f"  from {one.oldest} to {one.newest}, last: {one.why}")


def show(
    directory: Path, exporter: str, uids: Sequence[str], limit: int, *, with_record: bool
) -> None:
    path = _file(directory, exporter, uids)
    wanted = _wanted(uids)
    chosen = [entry for entry in read_entries(path) if wanted(entry)]
    for entry in chosen[-limit:] if limit else chosen:
        shown: dict[str, Any] = msgspec.to_builtins(entry)  # without what is empty
        del shown["exporter"]
        if shown.pop("record", "") and with_record:
            shown["record"] = record_as_json(entry.record_bytes)
        click.echo(visible_json(json.dumps(shown, ensure_ascii=False)))


def replay(
    exporter: str, config_file: Path | None, state_dir: Path | None, uids: Sequence[str]
) -> None:
    config = config_with(exporter, config_file, state_dir).config
    path = _file(Path(config.service.state_dir), exporter, uids)
    block = config.exporters[exporter]
    resource_scopes = resource_scopes_of(with_resource(config, REPLAYED, True), os.environ)
    sender = sender_of(block, config, resource_scopes)
    try:
        result = Replay(
            path,
            sender,
            resource_scopes,
            batch_limits(block),
            backoff_of(block.retry_on_failure),
        ).run(_wanted(uids))
    except OSError as error:
        die(f"{path}: {error.strerror}", STATE)
    finally:
        sender.close()
    _say_replayed(exporter, result)


def _say_replayed(exporter: str, result: Replayed) -> None:
    echo(f"{exporter}: {counted(result.accepted, 'record')} accepted and removed")
    if result.refused:
        echo(f"  {result.refused:,} refused again and kept: {result.why}", err=True)
    if result.without_record:
        echo(f"  {result.without_record:,} of no record, only places, and kept", err=True)
    if result.without_receiver:
        echo(f"  {result.without_receiver:,} of receivers that are not configured", err=True)
    if result.stopped:
        echo(f"  stopped, the rest is kept: {result.stopped}", err=True)
    if result.refused or result.stopped or result.without_receiver:
        sys.exit(UNDELIVERED)


def purge(directory: Path, exporter: str, uids: Sequence[str], *, yes: bool) -> None:
    path = _file(directory, exporter, uids)
    wanted = _wanted(uids)
    marks = Counter(
        digest(line)
        for line, entry in read_lines(path)
        if (entry is None and not uids) or (entry is not None and wanted(entry))
    )
    count = marks.total()
    if not count:
        echo(f"{exporter}: nothing to delete")
        return
    if not yes and not click.confirm(
        f"Delete {counted(count, 'dead letter')} of {exporter} for good?"
    ):
        die("nothing was deleted", FAILURE)
    try:
        gone = remove_lines(path, marks)
    except OSError as error:
        die(f"{path}: {error.strerror}", STATE)
    echo(f"{exporter}: {counted(gone, 'dead letter')} deleted")


def _files(state_dir: Path) -> list[Path]:
    if not state_dir.is_dir():
        die(f"{state_dir}: no such directory; give service::state_dir of the agent", STATE)
    return sorted((state_dir / "dead-letter").glob("*.jsonl"))


def _file(state_dir: Path, exporter: str, uids: Sequence[str] = ()) -> Path:
    path = state_dir / "dead-letter" / file_name(exporter)
    if not path.exists():
        there = [exporter_of(p) for p in _files(state_dir)]
        hint = suggest(exporter, there) if there else "no exporter has any"
        die(f"{exporter} has no dead letters; {hint}", USAGE)
    known = {uid for entry in read_entries(path) for uid in (entry.uid, *entry.uids) if uids}
    if unknown := sorted(set(uids) - known):
        die(f"no dead letter of {exporter} has the uid {', '.join(unknown)}; see dead-letter show")
    return path


def _wanted(uids: Sequence[str]) -> Callable[[DeadLetterRecord], bool]:
    chosen = frozenset(uids)

    def wanted(entry: DeadLetterRecord) -> bool:
        return not chosen or entry.uid in chosen or not chosen.isdisjoint(entry.uids)

    return wanted


def _summary(path: Path) -> Summary:
    summary = Summary(exporter_of(path), path, path.stat().st_size)
    for entry in read_entries(path):
        summary.records += bool(entry.record)
        summary.refused += 0 if entry.record else entry.refused
        summary.oldest = summary.oldest or entry.time
        summary.newest, summary.why = entry.time, entry.why
    return summary
