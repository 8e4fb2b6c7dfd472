"""`validate` and `schema`: what a configuration may say, and what one will do. No secret shown."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from k8s_audit_otlp.agent.startup_messages import remarks_on
from k8s_audit_otlp.cli.exit_codes import USAGE
from k8s_audit_otlp.cli.options import NO_DEFAULT, config_path, load_config
from k8s_audit_otlp.cli.terminal import echo, echo_json
from k8s_audit_otlp.config.load import Loaded
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.output.schema import json_schema
from k8s_audit_otlp.config.output.summary import summary, where_to


def validate(config_file: Path | None, *, quiet: bool, as_json: bool) -> None:
    path = config_path(config_file)
    if path is None:
        raise click.UsageError(f"give --config FILE; {NO_DEFAULT}")
    try:
        loaded = load_config(path)
    except ConfigError as error:
        if not as_json:
            raise
        echo_json(_refused(error))
        sys.exit(USAGE)
    loaded = replace(loaded, remarks=tuple(remarks_on(loaded, os.environ)))
    if as_json:
        echo_json(_accepted(path, loaded))
    elif not quiet:
        click.secho(f"{path}: no mistakes", fg="green")
        for line in map(loaded.as_written, summary(loaded.config, loaded.remarks)):
            echo(line, bold=not line.startswith(" "))


def _refused(error: ConfigError) -> dict[str, Any]:
    mistakes = [
        {"line": one.line, "where": one.where, "what": one.what, "hint": one.hint}
        for one in error.mistakes
    ]
    return {"valid": False, "source": error.source, "mistakes": mistakes, "remarks": []}


def _accepted(path: Path, loaded: Loaded) -> dict[str, Any]:
    config, said = loaded.config, loaded.as_written
    return {
        "valid": True,
        "source": str(path),
        "mistakes": [],
        "remarks": [{"where": r.where, "kind": r.kind, "what": r.why} for r in loaded.remarks],
        "receivers": {n: [*map(said, block.include)] for n, block in config.receivers.items()},
        "exporters": {n: said(where_to(block)) for n, block in config.exporters.items()},
        "state_dir": said(config.service.state_dir),
    }


def schema() -> None:
    echo_json(json_schema())
