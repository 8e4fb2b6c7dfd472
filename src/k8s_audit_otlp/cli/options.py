"""Options that several commands share, and what they stand for: a configuration, a directory."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial, wraps
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from k8s_audit_otlp.cli.exit_codes import STATE, die
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.config.durations import parse_duration
from k8s_audit_otlp.config.mistakes import ConfigError, Mistake, suggest
from k8s_audit_otlp.state.checkpoint import Checkpoint, CheckpointFile

if TYPE_CHECKING:
    from k8s_audit_otlp.config.load import Loaded

CONFIG_VARIABLE: Final = "K8S_AUDIT_OTLP_CONFIG"
DEFAULT_CONFIG: Final = Path("/etc/k8s-audit-otlp/config.yaml")  # of unit, chart and image
NO_DEFAULT: Final = f"{DEFAULT_CONFIG} is not there"
STDIN: Final = "-"
PATH = click.Path(path_type=Path, readable=False)  # what cannot be read is told by who reads it


def _only_one(_ctx: click.Context, option: click.Parameter, given: tuple[Path, ...]) -> Path | None:
    """Refuse a second file: a Collector would merge the two."""
    if len(given) > 1:
        raise click.UsageError(f"{option.opts[-1]} is given {len(given)} times; name one file")
    return given[0] if given else None


CONFIG = click.option(
    "-c",
    "--config",
    "config_file",
    type=PATH,
    multiple=True,
    callback=_only_one,
    metavar="FILE|-",
    help="Configuration; - reads it from standard input.  "
    f"[env var: {CONFIG_VARIABLE}; default: {DEFAULT_CONFIG}, if it is there]",
)
STATE_DIR = click.option(
    "--state-dir", type=PATH, help="Directory of the positions; overrides service::state_dir."
)


def on_state(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a state directory, and that *directory*."""

    @wraps(command)
    def call(*, config_file: Path | None, state_dir: Path | None, **asked: Any) -> None:
        try:
            command(directory=directory_of(config_file, state_dir), **asked)
        except PermissionError as error:
            if error.filename == str(config_path(config_file)):
                raise
            die(f"{error.filename}: {error.strerror}; run this as the agent's user", STATE)

    return CONFIG(STATE_DIR(call))


AGAINST = click.option(
    "--against",
    required=True,
    multiple=True,
    metavar="FILE|DIR|-",
    help="What arrived: an export or an answer of the back end; may be given again.",
)
UID_FIELD = click.option(
    "--uid-field", default="log.record.uid", show_default=True, help="Field that holds the uid."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class Number(click.FloatRange):
    """A number within a range, which `nan` is in no range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; fail where it is none."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


def duration(value: str) -> float:
    """Read seconds that are written as the configuration writes them: `5s`, `1h30m`."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def time_or_age(value: str) -> int:
    """Read a time, a date or an age as nanoseconds since the epoch."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - slow to import

    from k8s_audit_otlp.config.types import StartAtValue  # noqa: PLC0415

    hint = "write an age such as 24h, or a time such as 2026-01-31 or 2026-01-31T12:00:00Z"
    try:
        wish = TypeAdapter(StartAtValue).validate_python(value)
        now_ns = time.time_ns() // 1000 * 1000  # so that a time can say it again
        found = 0 if wish.kind == "beginning" else wish.since_ns(now_ns)
    except ValidationError as error:
        found, why = None, error.errors()[0]["msg"].partition("; ")[2]
        hint = why if "zone" in why else hint
    if found is None:
        raise click.BadParameter(f"{value!r} is no time; {hint}")
    return found


# An option that is a duration with a default: `@lasting("--deadline", default="30s", help=...)`.
lasting = partial(click.option, type=duration, show_default=True)


def exporters(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of an exporter, from the configuration that is named so far."""
    try:
        path = config_path(ctx.params.get("config_file"))
        known = load_config(path).config.exporters if path else {}
    except (ConfigError, OSError):
        return []
    return [name for name in known if name.startswith(incomplete)]


EXPORTER = partial(click.argument, "exporter", shell_complete=exporters)
OF_EXPORTER = partial(click.option, "--exporter", metavar="EXPORTER", shell_complete=exporters)


def config_path(
    given: Path | None, instead: object = None, default: Path | None = DEFAULT_CONFIG
) -> Path | None:
    """Return the configuration that was named, or the environment's, or *default* if there.

    Only the first counts where *instead*, an option that stands for a configuration, is given on
    the command line.
    """
    if given is not None or instead:
        return given
    named = os.environ.get(CONFIG_VARIABLE, "")
    if named:
        return Path(named)
    try:
        return default if default and default.is_file() else None
    except PermissionError:
        return default  # which says so when it is read


def load_config(path: Path, state_dir: str | None = None) -> "Loaded":
    """Read a configuration from a file, or from standard input for `-`.

    *state_dir* takes the place of its own. Raise ConfigError where it has mistakes.
    """
    from k8s_audit_otlp.config.load import (  # noqa: PLC0415 - pydantic is slow
        MAX_CONFIG_BYTES,
        load,
        load_text,
        text_of,
    )

    if str(path) == STDIN:
        source = "standard input"
        text = text_of(sys.stdin.buffer.read(MAX_CONFIG_BYTES + 1), source)
        return load_text(text, source, os.environ, state_dir=state_dir)
    return load(path, os.environ, state_dir=state_dir)


def config_with(exporter: str, config_file: Path | None, state_dir: Path | None) -> "Loaded":
    """Read the configuration that has *exporter*, with the state directory that was given.

    Raise click.UsageError where no configuration was named, ConfigError where it has mistakes.
    """
    path = config_path(config_file)
    if path is None:
        raise click.UsageError(f"give the --config FILE that has the exporter; {NO_DEFAULT}")
    loaded = load_config(path, str(state_dir) if state_dir else None)
    known = loaded.config.exporters
    if exporter not in known:
        die(f"{path}: no exporter {exporter}; {suggest(exporter, known)}")
    return loaded


def checkpoint_in(directory: Path, *, runs: bool = False) -> tuple[Checkpoint, str]:
    """Read the checkpoint of a state directory, and what its reader warns of; else end.

    *runs*: an agent that has not written one yet, or cannot, is there.
    """
    restored = CheckpointFile(directory).load()
    if restored.checkpoint is None and not runs:
        what = "no checkpoint yet" if directory.is_dir() else "there is no such directory"
        die(f"{directory}: {what}; give the state directory of an agent that has run", STATE)
    return restored.checkpoint or Checkpoint(), restored.warning


def directory_of(config_file: Path | None, state_dir: Path | None) -> Path:
    """Return the directory that was given, or else the configuration's.

    Raise click.UsageError where neither was given, ConfigError where the latter has mistakes.
    """
    if state_dir is not None:
        if state_dir.exists() and not state_dir.is_dir():
            what = f"{state_dir} is no directory; name the directory of the positions"
            raise click.UsageError(what)
        return state_dir
    path = config_path(config_file)
    if path is None:
        raise click.UsageError(f"give --state-dir DIRECTORY or --config FILE; {NO_DEFAULT}")
    try:
        return Path(load_config(path).config.service.state_dir)
    except ConfigError as error:
        if error.state_dir:  # a mistake elsewhere, or a variable that only the agent has
            echo(f"warning: {error.mistakes[0].in_file(error.source)}", err=True)
            return Path(error.state_dir)
        if not (error.mistakes[0].where or error.mistakes[0].line):  # of the file as a whole
            raise
        what, hint = "it does not say where positions are", "mend it, or give --state-dir DIRECTORY"
        raise ConfigError(error.source, [*error.mistakes, Mistake("", what, hint)]) from None
