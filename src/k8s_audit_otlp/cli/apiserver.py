"""`k8s-audit-otlp apiserver`: switch the audit log of kube-apiserver on.

Standard output carries only the result (a policy, a diff, a configuration), so that it can be
redirected; remarks go to standard error. Exit code 2: refused, nothing was changed.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from k8s_audit_otlp.apiserver import kubeadm, profiles, webhook
from k8s_audit_otlp.apiserver.settings import DEFAULTS, FLAGS, check
from k8s_audit_otlp.cli import Group, doing
from k8s_audit_otlp.cli.options import lasting
from k8s_audit_otlp.cli.terminal import echo

BACKUP_DIR = "/var/backups/k8s-audit-otlp"

Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(cls=Group, name="apiserver")
def command() -> None:
    """Switch the audit log of kube-apiserver on."""


def _flag_options(else_: str = "") -> Callable[[Command], Command]:
    def decorate(decorated: Command) -> Command:
        for name, flag in reversed(FLAGS.items()):
            text = f"{flag.help}  [default: {else_}{flag.default}]"
            kind: Any = click.IntRange(min=0) if flag.default.isdecimal() else str
            names = flag.option, name.replace("-", "_")
            decorated = click.option(*names, type=kind, help=text)(decorated)
        return decorated

    return decorate


def flags_asked_for(options: Mapping[str, object]) -> dict[str, str]:
    values = {flag: options[flag.replace("-", "_")] for flag in DEFAULTS}
    return {flag: str(value) for flag, value in values.items() if value is not None}


@command.command("policy")
@click.option("--profile", default="recipe", show_default=True, help="Which policy to print.")
@click.option("--list", "listed", is_flag=True, help="Print the names of the profiles instead.")
def print_policy(profile: str, *, listed: bool) -> None:
    """Print an audit policy file for kube-apiserver."""
    if listed:
        click.echo("\n".join(profiles.names()))
        return
    text = profiles.text_of(profile)
    click.echo(text, nl=False)
    note(profiles.remarks(text, profile))


@command.command("kubeadm")
@click.option(
    "--api-version",
    type=click.Choice(kubeadm.API_VERSIONS),
    default=kubeadm.API_VERSIONS[-1],
    show_default=True,
    help="v1beta4 since Kubernetes 1.31, v1beta3 before.",
)
@_flag_options()
def print_kubeadm(api_version: str, **options: object) -> None:
    """Print the change to kubeadm's ClusterConfiguration, and on stderr how to roll it out."""
    flags = {**DEFAULTS, **flags_asked_for(options)}
    check(flags)
    click.echo(kubeadm.fragment(flags, api_version), nl=False)
    click.echo(kubeadm.roll_out(flags, api_version), nl=False, err=True)


@command.command("webhook")
@click.option("--url", required=True, help="Where to post: https://HOST:9443/audit[/CLUSTER].")
@click.option(
    "--mode",
    type=click.Choice(webhook.MODES),
    default="batch",
    show_default=True,
    help="Whether a request of the cluster waits for the webhook.",
)
@click.option("--ca-file", default="", help="Who signed the webhook's certificate.")
@click.option("--client-cert", default="", help="Certificate that kube-apiserver shows.")
@click.option("--client-key", default="", help="Its key.")
@click.option("--token", default="", help="Bearer token that kube-apiserver shows.")
@click.option(
    "--file",
    default="/etc/kubernetes/audit-webhook.yaml",
    show_default=True,
    help="Where the printed file will be on the apiserver's host.",
)
@click.option(
    "--make-certificates",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="First make an authority, a server's and a client's certificate for a trial there.",
)
def print_webhook(  # noqa: PLR0913 - one for each option
    url: str,
    mode: str,
    ca_file: str,
    client_cert: str,
    client_key: str,
    token: str,
    file: str,
    directory: Path | None,
) -> None:
    """Print the file that lets kube-apiserver post its events, and on stderr the flags for it."""
    if directory is not None:
        directory = directory.resolve()  # kube-apiserver runs elsewhere
        ca_file = ca_file or str(directory / "ca.crt")
        client_cert = client_cert or str(directory / "client.crt")
        client_key = client_key or str(directory / "client.key")
    kubeconfig = webhook.kubeconfig(  # refused before anything is made
        url, ca_file=ca_file, cert_file=client_cert, key_file=client_key, token=token
    )
    if directory is not None:
        webhook.make_certificates(directory, urlsplit(url).hostname or "")
        echo(f"{directory}: certificates for 30 days; for a trial only", err=True)
        click.echo(webhook.receiver(url, directory), nl=False, err=True)
    click.echo(kubeconfig, nl=False)
    for flag, meaning in webhook.flags(file, mode).items():
        click.echo(f"{flag:<46} # {meaning}", err=True)
    note(webhook.limits(url))


@command.command("patch")
@click.argument("manifest", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--in-place", is_flag=True, help="Write the manifest, after a backup.")
@click.option(
    "--backup-dir",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    default=BACKUP_DIR,
    show_default=True,
    help="Where the old manifest goes; never inside the manifests directory.",
)
@lasting("--wait", "timeout_s", default="3m", help="With --in-place: wait so long for its restart.")
@_flag_options("what the manifest says, else ")
@doing("patch:command")
def patch_manifest() -> None:
    """Show what switches the audit log on in MANIFEST: a diff, and how to apply it.

    With --in-place it is written, the apiserver is waited for, and where it does not come back the
    old manifest is put in place again.
    """


def note(notes: Iterable[str]) -> None:
    for note in notes:
        echo(f"note: {note}", err=True)
