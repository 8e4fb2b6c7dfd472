"""`validate`: every mistake of a configuration, or what it will do. Prints no secret."""

import os

import click


@click.command("validate")
@click.option("--config", "path", required=True, metavar="FILE", help="Configuration to check.")
@click.option("--quiet", is_flag=True, help="Say nothing when there is no mistake.")
def command(path: str, *, quiet: bool) -> None:
    """Check a configuration and say what it will do.

    Every mistake is one line: where, what, and the way out. Without mistakes the summary tells
    where each exporter sends, and which keys have no effect or differ from the Collector.
    """
    from k8s_audit_otlp.config.load import load  # noqa: PLC0415 - pydantic is slow to import
    from k8s_audit_otlp.config.summary import summary  # noqa: PLC0415

    loaded = load(path, os.environ)
    if quiet:
        return
    click.secho(f"{path}: no mistakes", fg="green")
    for line in summary(loaded.config, loaded.remarks):
        click.secho(line, bold=not line.startswith(" "))
