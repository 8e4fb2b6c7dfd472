"""kubeadm is told the same as the manifest, in both versions of its configuration."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.apiserver import kubeadm
from k8s_audit_otlp.apiserver.manifest import patch
from k8s_audit_otlp.apiserver.platforms import kubeadm_api_version
from k8s_audit_otlp.apiserver.settings import DEFAULTS

BIN = os.environ.get("KUBE_BIN", Path.home() / ".cache/k8s-audit-otlp/bin")


@pytest.fixture
def written_by_kubeadm(tmp_path: Path) -> Any:
    """Let a real kubeadm write the apiserver's manifest from a configuration."""
    program = shutil.which("kubeadm", path=f"{BIN}:{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("kubeadm is not here; build k8s.io/kubernetes/cmd/kubeadm with Go")
    node = (
        "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n"
        "localAPIEndpoint: {advertiseAddress: 10.1.2.3, bindPort: 6443}\n"
    )
    phase = [program, "init", "phase", "control-plane", "apiserver", "--dry-run"]

    def write(cluster: Any) -> Any:
        config = tmp_path / "kubeadm.yaml"
        config.write_text(f"{cluster}kubernetesVersion: v1.37.2\n---\n{node}")
        done = subprocess.run(
            [*phase, "--config", config],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "KUBEADM_INIT_DRYRUN_DIR": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr
        return (tmp_path / "kube-apiserver.yaml").read_text()

    return write


@pytest.mark.interop
def test_a_manifest_that_kubeadm_writes_from_the_fragment_needs_no_patch(
    written_by_kubeadm: Any,
) -> None:
    """Both ways of setting the log up end at the same manifest."""
    text = written_by_kubeadm(kubeadm.fragment(DEFAULTS, "v1beta4"))
    assert "--audit-policy-file=" in text
    assert patch(text, {}).text == text


@pytest.mark.interop
def test_a_manifest_of_a_real_kubeadm_is_only_added_to(written_by_kubeadm: Any) -> None:
    """Not one of its lines changes."""
    text = written_by_kubeadm("apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n")
    after = iter(patch(text, {}).text.splitlines())
    assert [line for line in text.splitlines() if line not in after] == []


def test_v1beta3_has_a_map_of_strings() -> None:
    """A bare number there is refused by kubeadm."""
    api_server = yaml.safe_load(kubeadm.fragment(DEFAULTS, "v1beta3"))["apiServer"]
    assert api_server["extraArgs"] == DEFAULTS


def test_v1beta4_has_a_list_of_names_and_values() -> None:
    """So that a flag may be given twice."""
    document = yaml.safe_load(kubeadm.fragment(DEFAULTS, "v1beta4"))
    assert document["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    pairs = document["apiServer"]["extraArgs"]
    assert {pair["name"]: pair["value"] for pair in pairs} == DEFAULTS


@pytest.mark.parametrize("version", kubeadm.API_VERSIONS)
def test_the_volumes_are_the_log_directory_and_the_policy_file(version: str) -> None:
    """Under kubeadm's own names for the fields."""
    volumes = yaml.safe_load(kubeadm.fragment(DEFAULTS, version))["apiServer"]["extraVolumes"]
    assert volumes == [
        {
            "name": "audit-policy",
            "hostPath": "/etc/kubernetes/audit-policy.yml",
            "mountPath": "/etc/kubernetes/audit-policy.yml",
            "readOnly": True,
            "pathType": "File",
        },
        {
            "name": "audit-log",
            "hostPath": "/var/log/kubernetes",
            "mountPath": "/var/log/kubernetes",
            "readOnly": False,
            "pathType": "DirectoryOrCreate",
        },
    ]


@pytest.mark.parametrize("version", kubeadm.API_VERSIONS)
def test_the_roll_out_is_a_script_that_a_shell_accepts(version: str) -> None:
    """It can be pasted as it is."""
    script = kubeadm.roll_out(DEFAULTS, version)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert f"kubeadm.k8s.io/{version}" in script


def test_the_roll_out_waits_for_this_node_before_the_next() -> None:
    """Ready, and its log grows."""
    script = kubeadm.roll_out(DEFAULTS, "v1beta4")
    order = ["upload-config", "ONE AT A TIME", "control-plane apiserver", "/readyz", "grows"]
    places = [script.index(word) for word in order]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry.k8s.io/kube-apiserver:v1.30.9", "v1beta3"),
        ("registry.k8s.io/kube-apiserver:v1.31.0", "v1beta4"),
        ("registry.example:5000/kube-apiserver:v1.9.1@sha256:00", "v1beta3"),
        ("kube-apiserver@sha256:00", "v1beta4"),
    ],
)
def test_the_release_of_the_image_chooses_the_version(image: str, version: str) -> None:
    """1.31 brought v1beta4."""
    assert kubeadm_api_version(image) == version
