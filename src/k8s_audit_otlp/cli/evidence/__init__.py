"""`evidence`: keys for seals, and what a back end holds by itself."""

from pathlib import Path

import click

from k8s_audit_otlp.cli import Group, die
from k8s_audit_otlp.cli.evidence.report import report
from k8s_audit_otlp.cli.evidence.verify import verify
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.evidence.seal import KeyFileError, make_key


@click.group("evidence", cls=Group)
def command() -> None:
    """Make keys that seal receipts; check what a back end holds without the node."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--previous", type=click.Path(path_type=Path), help="The key in use; it vouches for the new."
)
def keygen(file: Path, previous: Path | None) -> None:
    """Make an Ed25519 key FILE (0600) and its public half FILE.pub.

    Keep FILE on the node, as service::evidence::key_file; keep FILE.pub elsewhere. To change keys,
    name the old one with --previous, and give both public keys when you verify.
    """
    try:
        name = make_key(file, previous)
    except KeyFileError as error:
        die(str(error))
    except OSError as error:
        die(f"{error.filename or file}: {error.strerror}; name a file in a directory that is there")
    echo(f"key {name}: {file} for the agent, {file}.pub for whoever verifies")


command.add_command(verify)
command.add_command(report)
