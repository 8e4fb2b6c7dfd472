"""What is asked before anything is sent: of a configuration, an event, the way to back ends."""

from pathlib import Path

import click

from k8s_audit_otlp.apiserver.settings import MANIFEST
from k8s_audit_otlp.cli import doing
from k8s_audit_otlp.cli.options import CONFIG, JSON, OF_EXPORTER, PATH, lasting

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("doctor")
@CONFIG
@click.option("--path", "log", type=PATH, help="Audit log, without --config.")
@click.option(
    "--manifest",
    type=PATH,
    default=MANIFEST,
    show_default=True,
    help="Static pod manifest of kube-apiserver.",
)
@click.option("--send", is_flag=True, help="Send one marked test record to every exporter.")
@click.option("--collector-config", "collector", type=_FILE, help="The Collector's configuration.")
@click.option("--kubeadm-config", "kubeadm", type=_FILE, help="kubeadm's ClusterConfiguration.")
@click.option(
    "--apiserver-metrics",
    "metrics",
    metavar="FILE|URL",
    help="kube-apiserver's /metrics, or its log.",
)
@lasting("--wait", "wait_s", default="2s", help="How long to wait for the log to grow.")
@JSON
@doing("doctor:command")
def doctor() -> None:
    """Check the whole way from kube-apiserver to back ends.

    Each item is ok, warn, fail or skipped, with the reason and what to do. Nothing is changed, and
    nothing is sent unless --send is given.

    Exit code: 0 nothing fails (there may be warnings), 1 something fails, 2 a mistake in the usage
    or the configuration.
    """


@click.command()
@CONFIG
@OF_EXPORTER("exporters", multiple=True, help="Only this one; may be given again.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE|NAME",
    help="Try this policy: a file, or one that comes with the package; may be given again.",
)
@click.option("--event", "event_file", metavar="FILE|-", help="Explain the events in it.")
@click.option("--path", "log", type=PATH, help="Preview this log: a live file with its backups.")
@click.option("--html", "page", type=PATH, help="Write the preview as a page with charts.")
@JSON
@doing("explain:command")
def explain() -> None:
    """Show what an exporter would make of an event, or of a whole log.

    With --event: the policy rule that keeps, lowers or drops it, what is redacted, what shrinking
    takes, and the LogRecord. With --path, or the logs of the configuration: events and GB per day
    by rule, the noisiest users, verbs and resources, and what each exporter would receive. Nothing
    is sent, no secret is shown. Where there is no configuration the default settings are explained,
    or the policies that --policy names.

    \b
    Examples:
      k8s-audit-otlp explain -c agent.yaml --exporter otlp_http --event event.json
      k8s-audit-otlp explain --path audit.log --policy low-volume

    """  # noqa: D301 - \b is click's mark for lines that stay as they are


@click.command("validate")
@CONFIG
@click.option("--quiet", is_flag=True, help="Say nothing when there is no mistake.")
@JSON
@doing("configuration:validate")
def validate() -> None:
    """Check a configuration and say what it will do.

    Every mistake is one line: where, what, and the hint. Without mistakes the summary tells
    where each exporter sends, and which keys have no effect or differ from the Collector.
    """


@click.command("schema")
@doing("configuration:schema")
def schema() -> None:
    """Print the JSON Schema of the configuration.

    Draft 2020-12, with a description of every key. For an editor:

    \b
        k8s-audit-otlp schema > schema.json
        # yaml-language-server: $schema=schema.json
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
