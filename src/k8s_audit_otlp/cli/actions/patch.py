"""`apiserver patch`: switch the audit log on in a manifest, and see the apiserver come back."""

import difflib
import re
from datetime import UTC, datetime
from pathlib import Path

import click

from k8s_audit_otlp.apiserver import files, profiles, restart
from k8s_audit_otlp.apiserver.manifest import Patched, patch
from k8s_audit_otlp.apiserver.platforms import HINTS, Owner, kubeadm_api_version
from k8s_audit_otlp.apiserver.settings import DEFAULTS, FLAGS, RefusalError
from k8s_audit_otlp.cli.apiserver import flags_asked_for, note
from k8s_audit_otlp.cli.exit_codes import FAILURE, die
from k8s_audit_otlp.cli.terminal import echo
from k8s_audit_otlp.tools.doctor.apiserver_facts import processes
from k8s_audit_otlp.tools.text import duration

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def command(
    manifest: Path, *, in_place: bool, backup_dir: Path, timeout_s: float, **options: object
) -> None:
    old = files.read(manifest)
    patched = patch(old, flags_asked_for(options), str(manifest.resolve()))
    note(patched.notes)
    if patched.text == old:
        echo(f"{manifest}: already as it should be, nothing changed", err=True)
        return
    _show_diff(old, patched.text, str(manifest))
    if in_place:
        backup = _write(manifest, patched, backup_dir)
        if timeout_s:
            _see_it_back(manifest, old, patched, timeout_s, backup)
    else:
        _remark(patched)


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
    note(profiles.remarks(text, str(path)))


def _remark(patched: Patched) -> None:
    """Say what the diff needs, and how to apply it."""
    if hint := _hint_of_owner(patched):
        note([hint])
    elif not Path(patched.apiserver.policy_path).is_file():
        must = f"{patched.apiserver.policy_path} must be on the node before the manifest is"
        how = f"k8s-audit-otlp apiserver policy > {patched.apiserver.policy_path}"
        note([f"{must}: kube-apiserver does not start without its policy; {how}"])
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
    given = "".join(f" {FLAGS[n].option} {v}" for n, v in patched.flags.items() if DEFAULTS[n] != v)
    what = "the next `kubeadm upgrade` writes this manifest again and erases the patch, unless the"
    how = f"k8s-audit-otlp apiserver kubeadm --api-version {version}{given}"
    note([f"{what} ClusterConfiguration says the same, as this prints it: {how}"])


def _show_diff(old: str, new: str, name: str) -> None:
    before, after = (re.findall(r"[^\n]*\n|[^\n]+$", text) for text in (old, new))
    for line in difflib.unified_diff(before, after, name, f"{name} (patched)"):
        last = "" if line.endswith("\n") else "\n\\ No newline at end of file\n"
        click.secho(line + last, fg=COLOURS.get(line[:1]), nl=False)
