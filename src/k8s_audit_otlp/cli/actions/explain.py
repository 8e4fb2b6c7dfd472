"""`explain`: what an exporter would make of an event or of a whole log. Sends nothing."""

import os
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from k8s_audit_otlp import __version__
from k8s_audit_otlp.agent.build import resource_scopes_of
from k8s_audit_otlp.cli.exit_codes import die, say
from k8s_audit_otlp.cli.options import STDIN, config_path, load_config
from k8s_audit_otlp.cli.terminal import console, echo, echo_json, reading
from k8s_audit_otlp.config.audit_files import read_policy
from k8s_audit_otlp.config.config import Config
from k8s_audit_otlp.event.foreign import seems
from k8s_audit_otlp.otlp.resource import build_resource, encode_resource, encode_scope
from k8s_audit_otlp.receiver.listing import logs_in, what_is_in
from k8s_audit_otlp.tools.explain.event import Explainer, lines_of
from k8s_audit_otlp.tools.explain.preview import Preview
from k8s_audit_otlp.tools.explain.report import LogReport
from k8s_audit_otlp.tools.explain.show_event import lines_of_event
from k8s_audit_otlp.tools.explain.source import LogFiles
from k8s_audit_otlp.tools.explain.targets import ExplainTarget, of_config, without_config

_MOST_EVENTS = 20  # explained one by one; more are a log


_MOST_EVENT_BYTES = 64 * 1024 * 1024  # of --event: the agent's longest line


def command(  # noqa: PLR0913 - one for each thing that can be asked
    config_file: Path | None,
    exporters: tuple[str, ...],
    policies: tuple[str, ...],
    event_file: str | None,
    log: Path | None,
    page: Path | None,
    *,
    as_json: bool,
) -> None:
    config_file = config_path(config_file)
    if exporters and config_file is None:
        raise click.UsageError("--exporter needs the --config that it stands in")
    if event_file is not None and (log is not None or page is not None):
        raise click.UsageError("--event is for single events; --path and --html for logs")
    config, targets = _targets(config_file, exporters, policies)
    if event_file is not None:
        _explain(event_file, targets, as_json=as_json)
        return
    report = _preview(_logs(config, log, targets), config, targets)
    if as_json:
        echo_json(report.as_json())
    if not report.events:
        nothing = f"{', '.join(report.logs)}: no whole line in it yet; the agent sends whole lines"
        die("; ".join(report.damage) or nothing)
    if page is not None:
        _write(page, report)
    if not as_json:
        _print(report)


def _targets(
    config_file: Path | None, exporters: tuple[str, ...], policies: tuple[str, ...]
) -> tuple[Config | None, list[ExplainTarget]]:
    tried = [read_policy(name, "--policy") for name in policies]
    if config_file is None:
        return None, without_config(tried)
    config = load_config(config_file).config
    return config, of_config(config, exporters, tried)


def _explain(event_file: str, targets: list[ExplainTarget], *, as_json: bool) -> None:
    lines = lines_of(_read(event_file))
    where = "standard input" if event_file == STDIN else event_file
    if not lines:
        die(f"{where}: nothing in it; give an event as kube-apiserver writes it")
    if kind := seems(lines):
        say(
            f"{where}: this is no audit event, it seems to be {kind}; "
            "what would be sent is shown all the same"
        )
    name = Path(event_file).name
    now = time.time_ns()
    explainers = [(target, Explainer(target, name, now)) for target in targets]
    found = [
        (target, explained)
        for line in lines[:_MOST_EVENTS]
        for target, explainer in explainers
        for explained in explainer.explain(line)
    ]
    if as_json:
        plain = [
            {"exporter": target.name, "mapping": target.mapping.digest, **asdict(each)}
            for target, each in found
        ]
        echo_json(plain)
    else:
        stories = []
        for target, each in found:
            name = f"{target.name} (mapping {target.mapping.digest})"
            stories.append("\n".join(lines_of_event(each, name, target.mapping.policy_file)))
        click.echo("\n\n".join(stories))
    if len(lines) > _MOST_EVENTS:
        more = len(lines) - _MOST_EVENTS
        echo(f"{more:,} more lines are not shown; use --path for a whole log", err=True)


def _read(name: str) -> bytes:
    with nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as file:
        data = file.read(_MOST_EVENT_BYTES + 1)
    if len(data) > _MOST_EVENT_BYTES:
        die(f"--event: {name} is larger than 64 MiB; use --path for a whole log")
    return data


def _logs(
    config: Config | None, log: Path | None, targets: list[ExplainTarget]
) -> list[tuple[str, LogFiles]]:
    """Return the logs to read, each with the receiver it belongs to."""
    if log is not None:
        places = [("", log)]
    elif config is not None:
        wanted = {name for target in targets for name in target.receivers or ()}
        places = [
            (name, path)
            for name, receiver in config.receivers.items()
            if name in wanted
            for path in logs_in(receiver.include)
        ]
    else:
        raise click.UsageError("give --event FILE, --path LOG, or a --config that names a log")
    found = []
    sources = {} if config is None else {spool: name for name, _, spool in config.spools()}
    for name, path in places:
        if name in sources and not path.exists():
            die(
                f"{path}: receivers::{sources[name]} has taken nothing yet, its spool comes with "
                "the first start of the agent; give --event FILE or --path LOG"
            )
        files = LogFiles.of(path)
        if not files.files:
            what = "it is a directory" if path.is_dir() else "there is no such log"
            what += what_is_in(path if path.is_dir() else path.parent)
            die(f"{path}: {what}; give the live file, or one file of a log")
        found.append((name, files))
    if not found:
        die("no file matches the receivers of the configuration; give --path LOG")
    return found


def _preview(
    logs: list[tuple[str, LogFiles]],
    config: Config | None,
    targets: list[ExplainTarget],
) -> LogReport:
    preview = Preview(targets, *_around(config, targets))
    segment, now = 1, time.time_ns()
    with reading(sum(files.size for _, files in logs), "the log") as advance:
        for receiver, files in logs:
            for block in files.blocks(segment, advance, now):
                preview.take(receiver, block)
            segment += len(files.files)
    names = [name for _, files in logs for name in files.names]
    if not sum(files.size for _, files in logs):
        die(f"{', '.join(names)}: nothing in it yet; give a log with events, or --event FILE")
    return preview.report(names, [line for _, files in logs for line in files.damage])


def _around(config: Config | None, targets: list[ExplainTarget]) -> tuple[bytes, bytes]:
    """Return what stands before the records of a request; receivers differ by a few bytes."""
    if config is not None:
        resource_scopes = resource_scopes_of(config, os.environ)
        first = next((name for target in targets for name in target.receivers or ()), None)
        if first is not None:
            return resource_scopes[first]
    scope = encode_scope("k8s-audit-otlp", __version__)
    return encode_resource(build_resource({}, os.environ)), scope


def _print(report: LogReport) -> None:
    from k8s_audit_otlp.tools.explain.show import renderables  # noqa: PLC0415 - not for --json

    screen = console()
    for each in renderables(report):
        screen.print(each)


def _write(page: Path, report: LogReport) -> None:
    from k8s_audit_otlp.tools.explain.show import html_of  # noqa: PLC0415 - for --html alone

    html, flags = html_of(report), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(page, flags | os.O_NOFOLLOW, 0o644), "w", encoding="utf-8") as file:
        file.write(html)
