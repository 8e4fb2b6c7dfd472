"""`--state-dir` or `--config` in, the directory of the positions out."""

import os
from pathlib import Path

import click

from k8s_audit_otlp.config.load import load

CONFIG = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Configuration."
)
STATE_DIR = click.option(
    "--state-dir", type=click.Path(path_type=Path), help="Directory of the positions."
)


def directory_of(config_file: Path | None, state_dir: Path | None) -> Path:
    """Return the directory that was given, or else the configuration's.

    Raises:
        click.UsageError: neither was given.
        ConfigError: the configuration has mistakes.

    """
    if state_dir is not None:
        return state_dir
    if config_file is None:
        raise click.UsageError("give --state-dir DIRECTORY or --config FILE")
    return Path(load(config_file, os.environ).config.service.state_dir)
