"""A manifest comes out with its audit log on and everything else as it was."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.apiserver import flags
from k8s_audit_otlp.apiserver.manifest import patch
from k8s_audit_otlp.apiserver.observed import observe
from k8s_audit_otlp.apiserver.platforms import Owner
from k8s_audit_otlp.apiserver.settings import DEFAULTS, RefusalError
from tests.unit.apiserver.manifest_texts import (
    ALL,
    ARGS_APART,
    KUBEADM,
    command_of,
    kubeadm,
    mount_of,
)


@pytest.mark.parametrize("text", ALL.values(), ids=ALL.keys())
def test_every_manifest_ends_with_each_flag_once_and_both_mounts(text: str) -> None:
    """The log's directory writable, the policy a read-only file."""
    done = patch(text, {})
    command = command_of(done.text)
    for name in DEFAULTS:
        assert len(flags.find(command, name)) == 1
        assert flags.value_of(command, name) == done.flags[name]
    mount, volume = mount_of(done.text, str(Path(done.flags["audit-log-path"]).parent))
    assert "readOnly" not in mount
    assert volume["hostPath"]["type"] == "DirectoryOrCreate"
    mount, volume = mount_of(done.text, done.flags["audit-policy-file"])
    assert mount["readOnly"] is True
    assert volume["hostPath"] == {"path": done.flags["audit-policy-file"], "type": "File"}


@pytest.mark.parametrize("text", ALL.values(), ids=ALL.keys())
def test_a_second_patch_changes_nothing(text: str) -> None:
    """Byte for byte."""
    once = patch(text, {}).text
    assert patch(once, {}).text == once
    moved = patch(text, DEFAULTS).text
    assert patch(moved, {}).text == moved


def test_a_policy_that_moves_leaves_no_mount_behind() -> None:
    """Once its file is deleted, a leftover mount would stop the apiserver."""
    once = patch(KUBEADM, {"audit-policy-file": "/etc/kubernetes/old.yml"}).text
    assert "old.yml" not in patch(once, DEFAULTS).text


@pytest.mark.parametrize("text", ALL.values(), ids=ALL.keys())
def test_lines_that_are_not_about_the_audit_log_stay_as_they_are(text: str) -> None:
    """Comments, quotes, order and indent: only lines that the change needs differ."""
    after = patch(text, {}).text.splitlines()
    kept = [
        line for line in text.splitlines() if "audit-log-maxage" not in line and '"30"' not in line
    ]
    remaining = iter(after)
    missing = [line for line in kept if line not in remaining]
    assert missing == []


def test_a_bare_kubeadm_manifest_gets_the_defaults() -> None:
    """Seven days, ten backups of 100 MB, JSON."""
    assert patch(kubeadm(), {}).flags == DEFAULTS


def test_what_is_asked_for_wins_over_what_is_there() -> None:
    """The operator's word is the last."""
    text = kubeadm(flags=["--audit-log-maxage=30"])
    assert patch(text, {"audit-log-maxage": "90"}).flags["audit-log-maxage"] == "90"


def test_a_longer_retention_that_is_there_is_kept_and_said() -> None:
    """Cutting it would delete audit data at the next rotation."""
    done = patch(kubeadm(flags=["--audit-log-maxage", "30"]), {})
    assert done.flags["audit-log-maxage"] == "30"
    assert any("--audit-log-maxage=30 is kept" in note for note in done.notes)


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--audit-log-format=legacy", "audit-log-format"),
        ("--audit-log-path=-", "audit-log-path"),
        ("--audit-log-path=audit.log", "audit-log-path"),
        ("--audit-log-path=/var/log/audit.log", "audit-log-path"),
        ("--audit-log-maxsize=100Mi", "audit-log-maxsize"),
        ("--audit-policy-file=", "audit-policy-file"),
    ],
)
def test_a_value_that_cannot_work_is_corrected_and_said(flag: str, name: str) -> None:
    """Text lines, standard output, a unit that the apiserver refuses."""
    done = patch(kubeadm(flags=[flag]), {})
    assert done.flags[name] == DEFAULTS[name]
    assert any("corrected" in note for note in done.notes)


def test_flags_go_where_the_flags_are() -> None:
    """An installer that uses args keeps its command bare."""
    container = yaml.safe_load(patch(ARGS_APART, {}).text)["spec"]["containers"][0]
    assert container["command"] == ["/usr/local/bin/kube-apiserver"]
    assert "--audit-log-format=json" in container["args"]


def test_a_flag_in_command_and_in_args_ends_up_once() -> None:
    """What args say comes after command, so it counted."""
    text = ARGS_APART.replace(
        '["/usr/local/bin/kube-apiserver"]', "[kube-apiserver, --audit-log-maxage=3]"
    )
    assert flags.find(command_of(patch(text, {}).text), "audit-log-maxage")[0].value == "30"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a: [", "repair the file"),
        ("a: 1\n---\nb: 2\n", "repair the file"),
        ("kind: Pod\nkind: Pod\n", "repair the file"),
        ("kind: ConfigMap\n", "kube-apiserver.yaml"),
        ("kind: Pod\nspec: {containers: [7]}\n", "kube-apiserver.yaml"),
        ("kind: Pod\nspec: {containers: [{name: etcd, command: [etcd]}]}\n", "kube-apiserver"),
        ("kind: Pod\nspec: {containers: [{name: kube-apiserver}]}\n", "elsewhere"),
        (
            "kind: Pod\nspec: {containers: [{name: kube-apiserver, command: [/bin/sh, -c, x]}]}\n",
            "by hand",
        ),
    ],
)
def test_what_is_no_apiserver_manifest_is_refused_with_a_hint(text: str, hint: str) -> None:
    """And named by its path."""
    with pytest.raises(RefusalError, match=hint) as refusal:
        patch(text, {}, "/m/x.yaml")
    assert str(refusal.value).startswith("/m/x.yaml: ")


def test_a_file_that_is_no_manifest_is_not_quoted() -> None:
    """Whoever may run this as root need not be allowed to read every file."""
    for read in (observe, lambda text, path: patch(text, {}, path)):
        for text in ("root:$6$hash:19000:0: [", "password: hunter2\npassword: $6$hash\n"):
            with pytest.raises(RefusalError) as refusal:
                read(text, "/etc/shadow")
            assert "hash" not in str(refusal.value)


@pytest.mark.parametrize(
    "asked",
    [
        {"audit-log-path": "audit.log"},
        {"audit-log-path": "/audit.log"},
        {"audit-log-path": "/var/log/audit.log"},
        {"audit-log-path": "/etc/kubernetes/manifests/audit.log"},
        {"audit-log-path": "/var/log/x/../audit.log"},
        {"audit-log-format": "legacy"},
        {"audit-policy-file": "/var/log/kubernetes/audit.log"},
    ],
)
def test_a_value_that_would_do_harm_is_refused(asked: dict[str, str]) -> None:
    """Nothing is mounted that holds more than the log."""
    with pytest.raises(RefusalError, match=r"--(log-path|format|policy-path)"):
        patch(kubeadm(), asked)


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        (ALL["kubeadm-1.16"], Owner.KUBEADM),
        (ALL["kubeadm-1.34"], Owner.KUBEADM),
        (ALL["rke2"], Owner.RKE2),
        (ALL["k3s"], Owner.K3S),
        (ALL["talos"], Owner.TALOS),
        (ALL["kops"], Owner.KOPS),
        (ARGS_APART, Owner.UNKNOWN),
    ],
)
def test_the_writer_of_a_manifest_is_recognised(text: str, owner: Owner) -> None:
    """By its marks and its paths."""
    assert patch(text, {}).apiserver.owner is owner


halves = st.lists(
    st.one_of(
        st.sampled_from(["--audit-log-compress", "--audit-log-format", "--v=2"]),
        st.builds(
            "--{}={}".format,
            st.sampled_from(sorted(DEFAULTS)),
            st.sampled_from(["7", "json", "-", "/var/log/a/b.log", "/etc/kubernetes/p.yml", ""]),
        ),
    ),
    max_size=6,
)


@settings(max_examples=40)  # each parses and writes the manifest twice
@given(halves)
def test_whatever_is_half_there_the_result_is_whole_and_stable(found: Any) -> None:
    """Or it is refused; never anything in between."""
    try:
        done = patch(kubeadm(flags=found), {})
    except RefusalError:
        return
    assert patch(done.text, {}).text == done.text
    command = command_of(done.text)
    assert all(len(flags.find(command, name)) == 1 for name in DEFAULTS)
