"""`evidence report`: judge the last full day of a store, and tell of it where people look."""

from typing import TYPE_CHECKING

import click

from k8s_audit_otlp.cli.options import CONFIG, JSON, PATH
from k8s_audit_otlp.tools.verify.stores import STORES

if TYPE_CHECKING:
    pass
from k8s_audit_otlp.cli import doing


@click.command("report")
@click.option("--store", "kind", required=True, type=click.Choice(list(STORES)), help="Its kind.")
@click.option("--url", required=True, help="Where it is asked; ${env:NAME} and ${file:PATH} work.")
@click.option("--cluster", required=True, help="Judge what is of this k8s.cluster.name.")
@click.option("--day", metavar="DATE", help="A day in UTC, as 2026-01-02; yesterday by default.")
@click.option(
    "--key", "keys", multiple=True, type=PATH, help="Public key that is trusted; may be repeated."
)
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
@click.option("--html", type=PATH, metavar="FILE", help="Write the report as a page too.")
@JSON
@doing("evidence_report:report")
def report() -> None:
    """Judge a day of a cluster by what a store holds, asked over HTTP.

    Every segment of the log is judged with the day in which it ends, by its receipt, as `evidence
    verify` does it. With --config every exporter of that configuration gets the answer as a record
    k8s.audit.evidence, and its metrics are pushed where those of the agent are.

    \b
    Exit codes:
      0  complete and sound
      1  the store could not be read to the end: nothing is known
      2  a wrong option
      4  complete and sound, but not every exporter or file took the answer
      5  something is missing
      6  something was changed, put in, taken out of the chain or forged
      7  nothing wrong was found, but a part could not be judged, has no seal
         by a key that was given, or begins behind its first receipt
      8  nothing was there to judge: no segment ended on that day
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
