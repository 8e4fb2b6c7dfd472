"""The command line: one file a command, imported when it is called.

`--help` must stay fast, so the group knows a command's one line from its table.
"""

import importlib
import sys
from typing import Any, Final, NoReturn

import click

from k8s_audit_otlp.config.mistakes import ConfigError

OK: Final = 0
FAILURE: Final = 1
USAGE: Final = 2
STATE: Final = 3
UNDELIVERED: Final = 4
MISSING: Final = 5

EXIT_CODES: Final = """\b
Exit codes:
  0  done
  1  unexpected failure
  2  mistake in the usage or the configuration
  3  trouble with the state: locked, corrupt, not writable
  4  --once left something undelivered
  5  verification found something missing
"""

# name -> (module that holds a click command of the name `command`, its one line of help)
COMMANDS: Final = {
    "run": ("k8s_audit_otlp.cli.run", "Deliver the audit log to every exporter."),
    "status": (
        "k8s_audit_otlp.cli.status",
        "Show position, backlog and conservation of each exporter.",
    ),
    "state": (
        "k8s_audit_otlp.cli.state",
        "List, rename or forget the positions of exporters.",
    ),
    "verify": (
        "k8s_audit_otlp.cli.verify",
        "Compare the log on disk with what arrived at a back end.",
    ),
    "dead-letter": (
        "k8s_audit_otlp.cli.dead_letter",
        "List, show, replay or purge what a back end refused for good.",
    ),
    "demo": ("k8s_audit_otlp.cli.demo", "Show the agent at work, killed and restarted, in 20 s."),
    "apiserver": (
        "k8s_audit_otlp.cli.apiserver",
        "Switch the audit log of kube-apiserver on.",
    ),
    "doctor": (
        "k8s_audit_otlp.cli.doctor",
        "Check the whole way from kube-apiserver to back ends.",
    ),
    "explain": (
        "k8s_audit_otlp.cli.explain",
        "Show what an exporter would make of an event, or of a whole log.",
    ),
    "validate": ("k8s_audit_otlp.cli.validate", "Check a configuration and say what it will do."),
    "vendors": (
        "k8s_audit_otlp.cli.vendors",
        "Show what each back end takes, and a ready block for it.",
    ),
    "schema": ("k8s_audit_otlp.cli.schema", "Print the JSON Schema of the configuration."),
    "version": ("k8s_audit_otlp.cli.version", "Print the version."),
}


def die(message: str, code: int = USAGE) -> NoReturn:
    """End the command with a message and an exit code."""
    click.echo(f"k8s-audit-otlp: {message}", err=True)
    sys.exit(code)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the table: the main job first."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of *cmd_name* and return its command."""
        if cmd_name not in COMMANDS:
            return None
        command: Any = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)  # noqa: S101 - the table's own promise
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a wrong configuration is said in full, one mistake a line."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(str(error), err=True)
            sys.exit(USAGE)


@click.group(
    cls=LazyGroup,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def main() -> None:
    """Carry the Kubernetes audit log to every back end over OpenTelemetry, losing nothing."""
