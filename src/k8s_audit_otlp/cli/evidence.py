"""`evidence`: keys for seals, and what a back end holds by itself."""

from functools import partial
from pathlib import Path

import click

from k8s_audit_otlp.cli import Group, doing
from k8s_audit_otlp.cli.options import AGAINST, CONFIG, JSON, PATH, UID_FIELD, time_or_age
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.evidence.seal import make_key
from k8s_audit_otlp.tools.verify.stores import STORES

_KEYS = click.option(
    "--key",
    "keys",
    multiple=True,
    type=PATH,
    help="Public key that is trusted; may be given again.",
)
_CODES = """\b
Exit codes:
  0  complete and sound: all that was asked is proven
  1  a store could not be read to the end: nothing is known
  2  a file that cannot be read, a wrong option
  4  complete and sound, but not every exporter or file took the answer
  5  something is missing
  6  something was changed, put in, taken out of the chain or forged, or is
     sealed by a key that was not given
  7  nothing wrong was found, but a part could not be judged, has no seal
     by a key that was given, or begins behind its first receipt
  8  nothing was there to judge: no receipt, no segment that ended on that day
"""
_TIME = partial(click.option, type=time_or_age, default="beginning")
_HTML = click.option("--html", type=PATH, metavar="FILE", help="Write the report as a page too.")


@click.group("evidence", cls=Group)
def command() -> None:
    """Check what a back end holds without the node; make keys for seals."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--previous", type=click.Path(path_type=Path), help="The key in use; it signs the new one."
)
def keygen(file: Path, previous: Path | None) -> None:
    """Make a key that seals receipts: FILE (Ed25519, 0600) and its public half FILE.pub.

    Keep FILE on the node, as service::evidence::key_file; keep FILE.pub elsewhere. To change keys,
    name the old one with --previous, and give both public keys when you verify.
    """
    name = make_key(file, previous)
    echo(f"key {name}: {file} for the agent, {file}.pub for whoever verifies")
    echo(
        f"next: write service: {{evidence: {{key_file: {file.absolute()}}}}}, and reload the agent"
    )


@command.command(epilog=_CODES)
@AGAINST
@_KEYS
@click.option("--cluster", default="", help="Judge only this k8s.cluster.name.")
@_TIME("--from", "since", help="Judge segments that begin at this time or later.")
@_TIME("--to", "until", help="Judge segments that end before this time.")
@click.option(
    "--raw",
    type=PATH,
    metavar="DIR|FILE",
    help="Files of the log, where they still are: compare their bytes with the receipts.",
)
@_HTML
@UID_FIELD
@JSON
@doing("evidence:verify")
def verify() -> None:
    """Judge an export by itself: whether it is complete, and what the agent sent.

    Completeness compares the records with the receipts. Integrity compares receipts, gaps and seals
    with each other, and the files in --raw with their hashes. Segments that reach beyond
    --from and --to are named and not judged: an export of that range holds a part of them.
    """


@command.command(epilog=_CODES)
@click.option(
    "--store", "kind", required=True, type=click.Choice(list(STORES)), help="Kind of the store."
)
@click.option(
    "--url", required=True, help="Where the store answers; ${env:NAME} and ${file:PATH} work."
)
@click.option("--cluster", required=True, help="Judge this k8s.cluster.name.")
@click.option("--day", metavar="DATE", help="A day in UTC, as 2026-01-02; yesterday by default.")
@_KEYS
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    help="For the store: 'authorization=Bearer ${env:TOKEN}'; may be repeated.",
)
@click.option("--ca", type=PATH, help="File with the authorities to trust.")
@click.option(
    "--source",
    default="",
    help="Where in the store: a table (ClickHouse), an index pattern (Elasticsearch), a stream "
    "selector (Loki), a filter (VictoriaLogs).",
)
@CONFIG
@click.option("--metrics", type=PATH, metavar="FILE", help="Write metrics, for node_exporter.")
@_HTML
@JSON
@doing("evidence:report")
def report() -> None:
    """Judge a day of a cluster by what a store holds, asked over HTTP.

    Every segment of the log is judged with the day in which it ends, by its receipt, as `evidence
    verify` does it. With --config, which none stands in for here, every exporter of it gets the
    answer as a record k8s.audit.evidence, and metrics are pushed where those of the agent are.
    """
