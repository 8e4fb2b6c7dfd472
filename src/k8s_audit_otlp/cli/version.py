"""`version`: what is installed."""

from importlib.metadata import version

import click


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"k8s-audit-otlp {version('k8s-audit-otlp')}")
