"""`evidence verify`: what an export of a back end proves by itself."""

import click

from k8s_audit_otlp.cli import doing
from k8s_audit_otlp.cli.options import JSON, MOMENT, PATH
from k8s_audit_otlp.tools.verify.export import UID_FIELD


@click.command()
@click.option(
    "--against",
    required=True,
    multiple=True,
    metavar="FILE|DIR|-",
    help="An export of the back end; may be given again.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=PATH,
    help="Public key that is trusted; may be given again.",
)
@click.option("--cluster", default="", help="Judge what is of this k8s.cluster.name only.")
@click.option(
    "--from",
    "since",
    type=MOMENT,
    default=0,
    help="Judge segments that begin at this time (or age) or later.",
)
@click.option(
    "--to",
    "until",
    type=MOMENT,
    default=0,
    help="Judge segments that end before this time (or age).",
)
@click.option("--raw", type=PATH, metavar="DIR", help="Hold the log's files, where they still are.")
@click.option("--html", type=PATH, metavar="FILE", help="Write the report as a page too.")
@click.option("--uid-field", default=UID_FIELD, show_default=True, help="Field that holds the uid.")
@JSON
@doing("evidence_verify:verify")
def verify() -> None:
    """Judge an export by itself: whether it is complete, and what the agent sent.

    Completeness holds the records against the receipts. Integrity holds receipts, gaps and seals
    against each other, and the files in --raw against their hashes. Segments that reach beyond
    --from and --to are named and not judged: an export of that range holds a part of them.

    \b
    Exit codes:
      0  complete and sound: all that was asked is proven
      2  a file that cannot be read, a wrong option
      5  something is missing
      6  something was changed, put in, taken out of the chain or forged
      7  nothing wrong was found, but a part could not be judged, has no seal
         by a key that was given, or begins behind its first receipt
      8  nothing was there to judge: no receipt
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
