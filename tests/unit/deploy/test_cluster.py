"""A real kube-apiserver starts with the patched flags, takes the chart, and baseline refuses it."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from k8s_audit_otlp.apiserver import profiles
from k8s_audit_otlp.cli.apiserver import command
from tests.unit.deploy.cluster import Cluster

pytestmark = pytest.mark.interop

HERE = Path(__file__)
MANIFESTS = HERE.parents[1] / "apiserver" / "manifests"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def log(folder):
    return folder / "log" / "audit.log"


@pytest.fixture(scope="module")
def cluster(folder, log, kube_bin):
    """Start the apiserver with the audit flags of a manifest that was patched in place."""
    for name in ("etcd", "kube-apiserver", "kubectl", "openssl"):
        kube_bin(name)
    manifest, policy = folder / "manifests" / "kube-apiserver.yaml", folder / "policy.yml"
    manifest.parent.mkdir()
    log.parent.mkdir(mode=0o700)  # hostPath DirectoryOrCreate
    manifest.write_text((MANIFESTS / "kubeadm-1.30.yaml").read_text())
    policy.write_text(profiles.text_of("recipe"))
    options = ["--policy-path", policy, "--log-path", log, "--backup-dir", folder / "backups"]
    done = CliRunner().invoke(
        command, ["patch", str(manifest), "--in-place", *(str(option) for option in options)]
    )
    assert done.exit_code == 0, done.output
    patched = yaml.safe_load(manifest.read_text())["spec"]["containers"][0]["command"]
    running = Cluster(folder, kube_bin)
    try:
        running.start([flag for flag in patched if flag.startswith("--audit-")])
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def namespaces(cluster):
    """Make one namespace for each level of Pod Security."""
    for level in ("privileged", "baseline"):
        assert cluster.kubectl("create", "namespace", level).returncode == 0
        label = f"pod-security.kubernetes.io/enforce={level}"
        assert cluster.kubectl("label", "namespace", level, label).returncode == 0
        made = cluster.kubectl("-n", level, "create", "serviceaccount", "k8s-audit-otlp")
        assert made.returncode == 0


@pytest.fixture(scope="module")
def values(chart):
    return sorted((chart / "ci").glob("*.yaml"))


def as_pod(text):
    daemonset = next(d for d in yaml.safe_load_all(text) if d and d["kind"] == "DaemonSet")
    template = daemonset["spec"]["template"]
    metadata = {"name": "agent", "labels": template["metadata"]["labels"]}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    )


def test_the_log_grows_under_the_patched_flags(cluster, log):
    """The apiserver takes each flag and the policy, and writes JSON."""
    assert cluster.kubectl("create", "namespace", "seen").returncode == 0
    until = time.monotonic() + 20
    while '"seen"' not in (text := log.read_text()) and time.monotonic() < until:
        time.sleep(0.2)
    lines = [json.loads(line) for line in text.splitlines()]
    assert any(
        line["verb"] == "create" and line.get("objectRef", {}).get("name") == "seen"
        for line in lines
    )
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_apiserver_takes_the_chart_for_every_platform(cluster, namespaces, render, values):  # noqa: ARG001
    """A server-side dry run, strict about unknown fields."""
    for path in values:
        text = render(path, "--set", "podMonitor.enabled=false,namespace.create=false",
                      namespace="privileged")  # fmt: skip
        done = cluster.kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text
        )
        assert done.returncode == 0, (path.name, done.stderr)
        assert "daemonset.apps/k8s-audit-otlp" in done.stdout


def test_the_manifests_for_kubectl_are_taken(cluster, deploy):
    """Its namespace is made first: a dry run makes none."""
    text = (deploy / "kubernetes" / "k8s-audit-otlp.yaml").read_text()
    namespace = next(d for d in yaml.safe_load_all(text) if d and d["kind"] == "Namespace")
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    done = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr


def test_a_privileged_namespace_admits_the_pods_of_every_platform(
    cluster,
    namespaces,  # noqa: ARG001
    render,
    values,
):
    """Volumes of the node are allowed there."""
    for path in values:
        pod = as_pod(render(path, namespace="privileged"))
        done = cluster.kubectl(
            "-n", "privileged", "create", "--dry-run=server", "-f", "-", stdin=pod
        )
        assert done.returncode == 0, (path.name, done.stderr)


def test_a_baseline_namespace_refuses_the_pods_for_the_reason_in_the_notes(
    cluster, namespaces, render, values, chart  # noqa: ARG001
):  # fmt: skip
    """The operator finds the server's words in the notes, with the way out beside them."""
    pod = as_pod(render(values[0], namespace="baseline"))
    done = cluster.kubectl("-n", "baseline", "create", "--dry-run=server", "-f", "-", stdin=pod)
    assert done.returncode != 0
    assert "hostPath volumes" in done.stderr
    notes = cluster.helm("install", "k8s-audit-otlp", chart, "-n", "default", "-f", values[0],
                         "--dry-run=server")  # fmt: skip
    assert "hostPath volumes" in notes.stdout, notes.stderr
    assert "pod-security.kubernetes.io/enforce=privileged" in notes.stdout


def test_kubeconform_agrees_with_the_apiservers_own_schema(
    cluster, render, values, kube_bin, tmp_path
):
    """Strictly; the schemas are made from what this apiserver serves."""
    served = json.loads(cluster.kubectl("get", "--raw", "/openapi/v2").stdout)
    write_schemas(served["definitions"], tmp_path)
    for path in values:
        manifests = tmp_path / path.name
        manifests.write_text(render(path))
        done = subprocess.run(
            [
                kube_bin("kubeconform"), "-strict", "-summary", "-skip", "PodMonitor",
                "-schema-location", f"{tmp_path}/{{{{ .ResourceKind }}}}.json", manifests,
            ],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Invalid: 0" in done.stdout


def write_schemas(definitions, folder):
    """One JSON Schema a kind; an unknown field is a mistake."""
    for definition in definitions.values():
        if "properties" in definition:
            definition["additionalProperties"] = False
        if definition.get("format") == "int-or-string":
            del definition["type"]
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            if kind["kind"] in {
                "ConfigMap",
                "DaemonSet",
                "Namespace",
                "NetworkPolicy",
                "ServiceAccount",
            }:
                schema = {"$ref": f"#/definitions/{name}", "definitions": definitions}
                (folder / f"{kind['kind'].lower()}.json").write_text(json.dumps(schema))
