"""`k8s-audit-otlp apiserver`: switch the audit log of kube-apiserver on.

Standard output carries only the result (a policy, a diff, a configuration), so that it can be
redirected; remarks go to standard error. Exit code 2: refused, nothing was changed.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from k8s_audit_otlp.apiserver import files, kubeadm, profiles, restart, webhook
from k8s_audit_otlp.apiserver.manifest import Patched, patch
from k8s_audit_otlp.apiserver.platforms import HINTS, Owner, kubeadm_api_version
from k8s_audit_otlp.apiserver.settings import DEFAULTS, OPTIONS, RefusalError, check
from k8s_audit_otlp.cli import FAILURE, Group, die
from k8s_audit_otlp.cli.options import lasting
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.tools.doctor.apiserver_facts import processes
from k8s_audit_otlp.tools.text import duration

BACKUP_DIR = "/var/backups/k8s-audit-otlp"
COLOURS = {"+": "green", "-": "red", "@": "cyan"}

Command = TypeVar("Command", bound=Callable[..., Any])

HELP = {
    "audit-log-format": "Format of the log; only json can be read without loss.",
    "audit-log-maxage": "Days that a rotated log is kept.",
    "audit-log-maxbackup": "Rotated logs that are kept.",
    "audit-log-maxsize": "Megabytes after which the log is rotated.",
    "audit-log-path": "The log; its directory is mounted into the apiserver.",
    "audit-policy-file": "The policy on the node, mounted read-only.",
}


class Refused(click.ClickException):
    exit_code = 2


class _Group(Group):
    """Turns a refusal of the station into an error of the command line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RefusalError as refusal:
            raise Refused(str(refusal)) from refusal


@click.group(cls=_Group, name="apiserver")
def command() -> None:
    """Switch the audit log of kube-apiserver on: its policy, manifest and configuration."""


def _flag_options(else_: str = "") -> Callable[[Command], Command]:
    def decorate(decorated: Command) -> Command:
        for flag, default in reversed(DEFAULTS.items()):
            text = f"{HELP[flag]}  [default: {else_}{default}]"
            kind: Any = click.IntRange(min=0) if default.isdecimal() else str
            name = flag.replace("-", "_")
            decorated = click.option(OPTIONS[flag], name, type=kind, help=text)(decorated)
        return decorated

    return decorate


def _asked(options: Mapping[str, object]) -> dict[str, str]:
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
    _note(profiles.remarks(text, profile))


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
    flags = {**DEFAULTS, **_asked(options)}
    check(flags)
    click.echo(kubeadm.fragment(flags, api_version), nl=False)
    click.echo(kubeadm.roll_out(flags, api_version), nl=False, err=True)


@command.command("webhook")
@click.option("--url", required=True, help="Where to post: https://HOST:9443/audit[/CLUSTER].")
@click.option("--mode", type=click.Choice(webhook.MODES), default="batch", show_default=True)
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
    found = webhook.WebhookCredentials(ca_file, client_cert, client_key, token)
    kubeconfig = webhook.kubeconfig(url, found)  # refused before anything is made
    if directory is not None:
        webhook.make_certificates(directory, urlsplit(url).hostname or "", "kube-apiserver")
        echo(f"{directory}: certificates for 30 days; for a trial only", err=True)
        click.echo(webhook.receiver(url, directory), nl=False, err=True)
    click.echo(kubeconfig, nl=False)
    for flag, meaning in webhook.flags(file, mode).items():
        click.echo(f"{flag:<46} # {meaning}", err=True)
    _note(webhook.limits(url))


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
def patch_manifest(
    manifest: Path, *, in_place: bool, backup_dir: Path, timeout_s: float, **options: object
) -> None:
    """Show what switches the audit log on in MANIFEST: a diff, and how to apply it.

    With --in-place it is written, the apiserver is waited for, and where it does not come back the
    old manifest is put in place again.
    """
    old = files.read(manifest)
    patched = patch(old, _asked(options), str(manifest.resolve()))
    _note(patched.notes)
    if patched.text == old:
        echo(f"{manifest}: already as it should be, nothing changed", err=True)
        return
    _show_diff(old, patched.text, str(manifest), err=in_place)
    if in_place:
        backup = _write(manifest, patched, backup_dir)
        if timeout_s:
            _see_it_back(manifest, old, patched, timeout_s, backup)
    else:
        _remark(patched)


def _note(notes: Iterable[str]) -> None:
    for note in notes:
        echo(f"note: {note}", err=True)


def _see_it_back(
    manifest: Path, old: str, patched: Patched, timeout_s: float, backup: Path
) -> None:
    """Wait for the apiserver; put the old manifest in place again where it stays away."""
    address = patched.apiserver.address
    where = "{}:{}".format(*address)
    echo(f"waiting up to {duration(timeout_s)} for kube-apiserver at {where}", err=True)
    verdict = restart.wait(
        lambda: restart.serves(address),
        lambda: restart.renewed([p.flags for p in processes(Path("/"))], patched.flags),
        timeout_s,
    )
    if verdict == "back":
        echo(f"kube-apiserver is back and writes {patched.apiserver.log_path}", err=True)
        return
    if verdict == "unchanged":
        die(
            f"kube-apiserver answers at {where}, but nothing shows that it was started again: is "
            f"{manifest} the file that kubelet reads? The manifest stays, the old one is {backup}",
            FAILURE,
        )
    files.replace(manifest, old)
    die(
        f"kube-apiserver did not come back at {where}: the old manifest is in place again. See "
        "why: crictl ps -a --name kube-apiserver, then crictl logs ID",
        FAILURE,
    )


def _write(manifest: Path, patched: Patched, backup_dir: Path) -> Path:
    if hint := _hint_of_owner(patched):
        raise RefusalError(f"{manifest}: {hint}")
    _check_policy(Path(patched.apiserver.policy_path))
    files.check_backup_dir(backup_dir, manifest)
    backup = files.back_up(manifest, backup_dir, datetime.now(UTC))
    files.replace(manifest, patched.text)
    echo(f"{manifest}: written; the old one is {backup}", err=True)
    echo(
        f"kubelet restarts kube-apiserver now; then {patched.apiserver.log_path} must grow",
        err=True,
    )
    _warn_of_upgrade(patched)
    return backup


def _check_policy(path: Path) -> None:
    hint = f"write one with `k8s-audit-otlp apiserver policy > {path}`"
    if not path.is_file():
        raise RefusalError(
            f"{path}: no such policy file, and kube-apiserver does not start without it; {hint}"
        )
    text = files.read(path)
    if found := profiles.mistakes(text, str(path)):
        raise RefusalError(
            f"{path}: kube-apiserver would not start with this policy, or not do what it says:\n  "
            + "\n  ".join(found)
            + f"\nrepair it, or {hint}"
        )
    _note(profiles.remarks(text, str(path)))


def _remark(patched: Patched) -> None:
    """Say what the diff needs, and how to apply it."""
    if hint := _hint_of_owner(patched):
        echo(f"note: {hint}", err=True)
    elif not Path(patched.apiserver.policy_path).is_file():
        echo(
            f"note: {patched.apiserver.policy_path} must be on the node before the manifest is: "
            "kube-apiserver does not start without its policy",
            err=True,
        )
    _warn_of_upgrade(patched)
    if not hint:
        applying = "it keeps a backup, waits for the apiserver, and undoes it where that stays away"
        echo(f"nothing was changed; to apply it, give --in-place as well: {applying}", err=True)


def _hint_of_owner(patched: Patched) -> str:
    """Say who would undo the patch, and what to do instead; '' where nobody would."""
    owner = patched.apiserver.owner
    if owner not in HINTS:
        return ""
    return f"{owner.value} writes this file and would undo the patch; instead {HINTS[owner]}"


def _warn_of_upgrade(patched: Patched) -> None:
    if patched.apiserver.owner is not Owner.KUBEADM:
        return
    version = kubeadm_api_version(patched.apiserver.image)
    click.echo(
        "note: the next `kubeadm upgrade` writes this manifest again and erases the patch, unless "
        "the ClusterConfiguration says the same:\n"
        + kubeadm.fragment(patched.flags, version)
        + f"(how to roll it out: k8s-audit-otlp apiserver kubeadm --api-version {version})",
        err=True,
    )


def _show_diff(old: str, new: str, name: str, *, err: bool) -> None:
    before, after = (re.findall(r"[^\n]*\n|[^\n]+$", text) for text in (old, new))
    for line in difflib.unified_diff(before, after, name, f"{name} (patched)"):
        last = "" if line.endswith("\n") else "\n\\ No newline at end of file\n"
        click.secho(line + last, fg=COLOURS.get(line[:1]), err=err, nl=False)
