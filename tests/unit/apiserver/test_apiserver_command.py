"""The command line: results on stdout, remarks on stderr, refusals with exit code 2."""

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from k8s_audit_otlp.apiserver import profiles
from k8s_audit_otlp.cli import main

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"
MANIFESTS = Path(__file__).with_name("manifests")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Lay out a node's files: the manifest of kubeadm and a policy."""
    manifest = tmp_path / "manifests" / "kube-apiserver.yaml"
    manifest.parent.mkdir()
    manifest.write_text((MANIFESTS / "kubeadm-1.30.yaml").read_text())
    (tmp_path / "policy.yml").write_text(POLICY)
    return tmp_path


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["apiserver", *map(str, arguments)])


def patch(node: Path, *arguments: Any) -> Result:
    paths = ("--policy-path", node / "policy.yml", "--backup-dir", node / "backups")
    arguments = (*arguments, "--wait", "0s")
    return run("patch", node / "manifests" / "kube-apiserver.yaml", *paths, *arguments)


def test_patch_prints_the_difference_and_changes_nothing(node: Any) -> None:
    """As a diff that `patch` takes; beside it, how to apply it."""
    before = (node / "manifests" / "kube-apiserver.yaml").read_text()
    done = patch(node)
    assert done.exit_code == 0
    assert "+    - --audit-log-format=json" in done.stdout
    assert all(line[:1] in "+- @" for line in done.stdout.splitlines())
    assert "give --in-place" in done.stderr
    assert (node / "manifests" / "kube-apiserver.yaml").read_text() == before
    assert not (node / "backups").exists()


def test_patch_in_place_writes_what_it_shows_after_a_backup(node: Any) -> None:
    """And says where the backup is."""
    manifest = node / "manifests" / "kube-apiserver.yaml"
    before, shown = manifest.read_text(), patch(node).stdout
    done = patch(node, "--in-place")
    assert done.exit_code == 0
    assert done.stdout == shown
    new = difflib.unified_diff(before.splitlines(), manifest.read_text().splitlines(), lineterm="")
    assert list(new)[2:] == shown.splitlines()[2:]
    (backup,) = (node / "backups").iterdir()
    assert backup.read_text() == before
    assert str(backup) in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.removesuffix("\n"),
        lambda text: json.dumps(yaml.safe_load(text), indent=1),
    ],
    ids=["CRLF", "no end", "JSON"],
)
def test_the_diff_says_every_byte_and_ends_of_lines_stay(
    node: Path, change: Callable[[str], str]
) -> None:
    """So that patch(1) makes of it what --in-place writes, and the apiserver's backup is as was."""
    manifest = node / "manifests" / "kube-apiserver.yaml"
    before = change(manifest.read_text()).encode()
    manifest.write_bytes(before)
    shown = patch(node).stdout_bytes
    assert patch(node, "--in-place").exit_code == 0
    after = manifest.read_bytes()
    assert after.count(b"\r\n") == (after.count(b"\n") if b"\r\n" in before else 0)
    kept = [line[1:] for line in shown.split(b"\n")[3:] if line[:1] in (b" ", b"+")]
    assert all(line in after.split(b"\n") for line in kept)
    assert (b"No newline at end of file" in shown) == (not before.endswith(b"\n"))
    (backup,) = (node / "backups").iterdir()
    assert backup.read_bytes() == before


def test_patch_in_place_twice_writes_once(node: Path) -> None:
    """No second backup, no restart of the apiserver."""
    patch(node, "--in-place")
    manifest = node / "manifests" / "kube-apiserver.yaml"
    inode = manifest.stat().st_ino
    again = patch(node, "--in-place")
    assert again.exit_code == 0
    assert "nothing changed" in again.stderr
    assert manifest.stat().st_ino == inode
    assert len(list((node / "backups").iterdir())) == 1


def test_a_kubeadm_manifest_comes_with_the_change_that_outlives_an_upgrade(node: Path) -> None:
    """In the version that the image's release takes."""
    told = patch(node, "--in-place").stderr
    assert "erases the patch" in told
    assert "k8s-audit-otlp apiserver kubeadm --api-version v1beta3 --policy-path" in told
    assert "extraArgs" not in told, "thirty lines push the diff off the screen"


def test_the_diff_is_on_the_standard_output_whatever_is_done_with_it(node: Path) -> None:
    """And a missing policy comes with the command that writes it."""
    (node / "policy.yml").unlink()
    dry = patch(node)
    assert f"k8s-audit-otlp apiserver policy > {node}/policy.yml" in dry.stderr
    (node / "policy.yml").write_text(POLICY)
    assert patch(node, "--in-place").stdout == dry.stdout != ""


def test_a_missing_policy_refuses_the_write(node: Path) -> None:
    """The apiserver would not start without it."""
    (node / "policy.yml").unlink()
    before = (node / "manifests" / "kube-apiserver.yaml").read_text()
    done = patch(node, "--in-place")
    assert done.exit_code == 2
    assert "no such policy file" in done.stderr
    assert "apiserver policy >" in done.stderr
    assert (node / "manifests" / "kube-apiserver.yaml").read_text() == before


def test_a_policy_that_would_not_load_refuses_the_write(node: Path) -> None:
    """With its mistakes."""
    (node / "policy.yml").write_text(POLICY.replace("Metadata", "All"))
    done = patch(node, "--in-place")
    assert done.exit_code == 2
    assert "rules::0::level: 'All'" in done.stderr


def test_a_backup_among_the_manifests_refuses_the_write(node: Path) -> None:
    """It would run there."""
    done = patch(node, "--in-place", "--backup-dir", node / "manifests")
    assert done.exit_code == 2
    assert "second apiserver" in done.stderr


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("rke2", "kube-apiserver-arg"),
        ("rke2", "audit-policy-file"),
        ("k3s", "kube-apiserver-arg"),
        ("talos", "cluster.apiServer.auditPolicy"),
        ("kops", "spec.kubeAPIServer.auditLogPath"),
    ],
)
def test_a_generated_manifest_refuses_the_write_and_names_its_key(
    node: Path, name: str, key: str
) -> None:
    """The owner would undo the patch at its next start."""
    manifest = node / "manifests" / "kube-apiserver.yaml"
    manifest.write_text((MANIFESTS / f"{name}.yaml").read_text())
    done = patch(node, "--in-place")
    assert done.exit_code == 2
    assert key in done.stderr
    assert manifest.read_text() == (MANIFESTS / f"{name}.yaml").read_text()
    assert key in patch(node).stderr  # printing is allowed, and says it too


@pytest.mark.parametrize("wrong", [("--maxage", "x"), ("--maxsize", "-1"), ("--format", "legacy")])
def test_a_wrong_option_is_exit_code_2(node: Path, wrong: tuple[str, str]) -> None:
    """A mistake of the caller, not of the program."""
    assert patch(node, *wrong).exit_code == 2


def test_a_missing_manifest_is_exit_code_2(tmp_path: Path) -> None:
    """Where, what and the hint."""
    done = run("patch", tmp_path / "none.yaml")
    assert done.exit_code == 2
    assert "on the node" in done.stderr


def test_kubeadm_prints_yaml_and_tells_the_roll_out_beside_it() -> None:
    """Standard output can be merged as it is."""
    done = run("kubeadm", "--api-version", "v1beta3", "--maxage", "30")
    assert done.exit_code == 0
    assert yaml.safe_load(done.stdout)["apiServer"]["extraArgs"]["audit-log-maxage"] == "30"
    assert "kubeadm init phase control-plane apiserver" in done.stderr


def test_policy_prints_the_recipe_unless_another_is_named() -> None:
    """Its file, byte for byte, so that it can be redirected."""
    assert run("policy").stdout == profiles.text_of("recipe")
    assert run("policy", "--profile", "security-only").stdout == profiles.text_of("security-only")
    assert run("policy", "--list").stdout.split() == profiles.names()


def test_the_printed_policy_passes_its_own_check(node: Path) -> None:
    """As the hint of a refusal promises."""
    for name in profiles.names():
        (node / "policy.yml").write_text(run("policy", "--profile", name).stdout)
        assert patch(node, "--in-place").exit_code == 0


def test_an_unknown_profile_is_exit_code_2() -> None:
    """And the known ones are named."""
    done = run("policy", "--profile", "none-such")
    assert done.exit_code == 2
    assert "choose one of" in done.stderr
