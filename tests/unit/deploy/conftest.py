"""What the tests of the deployment share: its folder, its programs, a rendered chart."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from k8s_audit_otlp.apiserver import profiles
from k8s_audit_otlp.cli.apiserver import command
from tests.unit.deploy.cluster import Cluster

MANIFESTS = Path(__file__).parents[1] / "apiserver" / "manifests"
DEPLOY = Path(__file__).parents[3] / "deploy"
BIN = Path(os.environ.get("KUBE_BIN", Path.home() / ".cache/k8s-audit-otlp/bin"))


def program(name: str) -> Any:
    """Find a program that was built from its Go module, or skip the test."""
    found = shutil.which(name, path=f"{BIN}:{os.environ.get('PATH', '')}")
    if found is None:
        pytest.skip(f"{name} is not here; build it with Go into {BIN}")
    return found


@pytest.fixture(scope="session")
def deploy() -> Path:
    return DEPLOY


@pytest.fixture(scope="session")
def kube_bin() -> Any:
    return program


@pytest.fixture(scope="session")
def chart() -> Any:
    return DEPLOY / "helm" / "k8s-audit-otlp"


@pytest.fixture(scope="session")
def render(chart: Any) -> Any:
    """Render the chart with helm: `render("a.yaml", "--set", "x=y")` gives the documents."""
    helm = program("helm")

    def rendered(
        values: Any,
        *arguments: Any,
        namespace: Any = "k8s-audit-otlp",
        release: Any = "k8s-audit-otlp",
    ) -> Any:
        command = [helm, "template", release, chart, "-n", namespace, "-f", values]
        command += ["--kube-version", "1.33.0"]  # without a cluster helm assumes an old one
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise ValueError(done.stderr)
        return done.stdout

    return rendered


@pytest.fixture(scope="session")
def documents() -> Any:
    return lambda text: [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="session")
def cluster_folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="session")
def audit_log(cluster_folder: Any) -> Any:
    return cluster_folder / "log" / "audit.log"


@pytest.fixture(scope="session")
def cluster(cluster_folder: Any, audit_log: Any, kube_bin: Any) -> Any:
    """Start the apiserver with the audit flags of a manifest that was patched in place."""
    for name in ("etcd", "kube-apiserver", "kubectl", "openssl"):
        kube_bin(name)
    folder, log = cluster_folder, audit_log
    manifest, policy = folder / "manifests" / "kube-apiserver.yaml", folder / "policy.yml"
    manifest.parent.mkdir()
    log.parent.mkdir(mode=0o700)  # hostPath DirectoryOrCreate
    manifest.write_text((MANIFESTS / "kubeadm-1.30.yaml").read_text())
    policy.write_text(profiles.text_of("recipe"))
    options = ["--policy-path", policy, "--log-path", log, "--backup-dir", folder / "backups"]
    done = CliRunner().invoke(
        command,
        [
            "patch",
            str(manifest),
            "--in-place",
            "--wait",
            "0s",
            *(str(option) for option in options),
        ],
    )
    assert done.exit_code == 0, done.output
    patched = yaml.safe_load(manifest.read_text())["spec"]["containers"][0]["command"]
    running = Cluster(folder, kube_bin)
    try:
        running.start([flag for flag in patched if flag.startswith("--audit-")])
        yield running
    finally:
        running.stop()
