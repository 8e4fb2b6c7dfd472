"""The command line. What a command takes is declared here, what it does is in `actions`.

`--help` must stay fast, so the group knows a command's one line from its table.
"""

import errno
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.metadata import version as installed
from types import ModuleType
from typing import Any, Final

import click

from k8s_audit_otlp.cli.exit_codes import (
    EXIT_CODES,
    FAILURE,
    INTERRUPTED,
    OF_ERRORS,
    OK,
    PROGRAM,
    USAGE,
    die,
    say,
)
from k8s_audit_otlp.config.mistakes import ConfigError, suggest

_CANNOT_WRITE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

# name -> (module and attribute of the click command, its one line of help)
COMMANDS: Final = {
    "run": ("deliver:run", "Deliver the audit log to every exporter."),
    "status": ("deliver:status", "Show whether events are lost, and how far each exporter is."),
    "reload": ("deliver:reload", "Have a running agent read its configuration again."),
    "tap": ("tap:tap", "Show events live, as they leave an exporter."),
    "top": ("tap:top", "Show who and what makes the volume right now."),
    "state": ("state:command", "List, rename or forget the positions of exporters."),
    "verify": ("verify:command", "Compare the log on disk with what arrived at a back end."),
    "evidence": (
        "evidence:command",
        "Check what a back end holds without the node; make keys for seals.",
    ),
    "replay": ("deliver:replay", "Send a part of what is on disk to one exporter once more."),
    "dead-letter": (
        "deliver:dead_letter",
        "List, show, replay or purge what a back end refused for good.",
    ),
    "demo": ("demo:command", "Show the agent at work, killed and restarted, in 10 s."),
    "apiserver": ("apiserver:command", "Switch the audit log of kube-apiserver on."),
    "doctor": ("check:doctor", "Check the whole way from kube-apiserver to back ends."),
    "explain": (
        "check:explain",
        "Show what an exporter would make of an event, or of a whole log.",
    ),
    "validate": ("check:validate", "Check a configuration and say what it will do."),
    "vendors": (
        "vendors:command",
        "Show what each back end takes, and a ready block for it.",
    ),
    "schema": ("check:schema", "Print the JSON Schema of the configuration."),
    "version": (":version", "Print the version."),
}


class Group(click.Group):
    """Commands, each with the whole first sentence of its help: click would cut it off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(200)) for name, one in found if one])


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table: the main job first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of *cmd_name* and return its command."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: Any = getattr(_imported(f"{__name__}.{module}".rstrip(".")), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table's own promise
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; `run` ignores some signals before it is imported."""
        if args[0] == "run":  # by default these kill; SIGHUP reloads once an agent is there
            for harmless in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(harmless, signal.SIG_IGN)
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))  # click writes a line
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click's signature
        **extra: Any,
    ) -> Any:
        """Run the command line; every error is a line under one prefix, and has its exit code."""
        _open_closed_streams()
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            extra["color"] = False  # no-color.org
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except Exception as error:
            _end_for(error)
            raise
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else OK)


def _end_for(error: Exception) -> None:
    """Exit with the message and code of an error; return where it is to be raised."""
    match error:
        case ConfigError():
            for mistake in error.mistakes:
                say(mistake.in_file(error.source))
            sys.exit(USAGE)
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            sys.exit(error.exit_code)
        case click.ClickException():
            die(_one_line(error), error.exit_code)
        case click.Abort():
            sys.exit(INTERRUPTED)
        case OSError() if sys.excepthook is not sys.__excepthook__:
            return  # an agent writes it to its own log
        case OSError() if error.errno in _CANNOT_WRITE:
            read = "a file or the " if error.errno == errno.EIO else ""  # on reading, too
            where = error.filename or f"{read}standard output"
            die(f"{where}: {error.strerror}; see that it is there and has room", FAILURE)
        case OSError() if error.filename is not None:
            denied = isinstance(error, PermissionError)
            hint = "run this as its owner, or as root" if denied else "check the path"
            die(f"{error.filename}: {error.strerror}; {hint}", USAGE)
    if code := OF_ERRORS.get(type(error).__name__):
        die(str(error), code)


def _open_closed_streams() -> None:
    """Open /dev/null for each standard stream that is closed.

    Else the next file that is opened, one of the state, gets the descriptor, and C code that writes
    to stderr writes into it.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            setattr(sys, name, os.fdopen(fd, "r" if name == "stdin" else "w"))


def doing(where: str) -> Callable[[Callable[[], None]], Callable[..., Any]]:
    """Let a command be declared alone: *where*, as `module:function` of `actions/`, does it.

    It is imported when the command is called, so help waits for nothing.
    """
    module, _, name = where.partition(":")

    def decorate(declared: Callable[[], None]) -> Callable[..., Any]:
        @wraps(declared)
        def call(**asked: Any) -> Any:
            return getattr(_imported(f"{__name__}.actions.{module}"), name)(**asked)

        return call

    return decorate


def _imported(name: str) -> ModuleType:
    """Import a module, and keep the collector of garbage from what it holds: that stays."""
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()


def _one_line(error: click.ClickException) -> str:
    """Say what is wrong with the usage, and where the usage is written."""
    text = " ".join(error.format_message().split()).rstrip(".")  # click lists choices by line
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx and (hint := _hint_of(text, ctx)):
        text = f"{text.partition(' Did you mean')[0].rstrip('.')}; {hint}"  # ours, not click's
    return f"{text} (see {ctx.command_path} --help)" if ctx else text


# Endings of files, and the options that take such a file; the first that a command has is meant.
_FILES = (
    (".log", ("--path",)),
    (".json", ("--event", "--config")),
    ((".yaml", ".yml"), ("--config",)),
)


_ALIKE = {"--from": "--since", "--since": "--from"}  # the beginning of what is asked for


def _hint_of(text: str, ctx: click.Context) -> str:
    """Say what to write in the place of a command that is not there, or of a file without option.

    click has one class for all mistakes of the usage: its text tells them apart.
    """
    named = text.partition("'")[2].partition("'")[0]
    if text.startswith("No such command") and isinstance(ctx.command, click.Group):
        known = ctx.command.list_commands(ctx)
        hint = suggest(named, known)
        is_one = hint == f"known are {known[0]}"
        return f"write {ctx.command_path} {known[0]} NAME" if is_one else hint
    if text.startswith("Missing option '--against'"):
        return "write --against FILE, what the back end gave out"
    given = text.partition("unexpected extra argument")[2].removeprefix("s").strip(" ()")
    options = [option for one in ctx.command.params for option in one.opts]
    if text.startswith("No such option") and (other := _ALIKE.get(named, "")) in options:
        return f"write {other}"
    fitting = (one for ending, of in _FILES if given.endswith(ending) for one in of)
    option = next((one for one in fitting if one in options), "")
    return f"write {option} {given}" if option else ""


@click.group(
    cls=LazyGroup,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(None, "--version", package_name=PROGRAM, message="%(package)s %(version)s")
def main() -> None:
    """Carry the Kubernetes audit log to every back end over OpenTelemetry, losing nothing."""


@click.command("version")
def version() -> None:
    """Print the version."""
    click.echo(f"{PROGRAM} {installed(PROGRAM)}")
