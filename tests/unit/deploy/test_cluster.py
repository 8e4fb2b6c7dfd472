"""A real kube-apiserver starts with the patched flags, takes the chart, and baseline refuses it."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.odd_values import combinations
from tests.unit.deploy.schemas import write_schemas

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(400),
]  # the apiserver starts slowly under load

HERE = Path(__file__)
OF_OPERATORS = {"PodMonitor", "ServiceMonitor", "PrometheusRule", "SecurityContextConstraints"}


class Strict(yaml.SafeLoader):
    """A name that is there twice is a mistake, as it is for the apiserver."""

    def construct_mapping(self, node: Any, deep: Any = False) -> Any:  # noqa: FBT002 - as its base has it
        names = [key.value for key, _ in node.value]
        assert len(names) == len(set(names)), names
        return super().construct_mapping(node, deep)


@pytest.fixture(scope="module")
def namespaces(cluster: Any) -> None:
    """Make one namespace for each level of Pod Security."""
    for level in ("privileged", "baseline", "restricted"):
        assert cluster.kubectl("create", "namespace", level).returncode == 0
        label = f"pod-security.kubernetes.io/enforce={level}"
        assert cluster.kubectl("label", "namespace", level, label).returncode == 0
        made = cluster.kubectl("-n", level, "create", "serviceaccount", "k8s-audit-otlp")
        assert made.returncode == 0


@pytest.fixture(scope="module")
def values(chart: Any) -> Any:
    return sorted((chart / "ci").glob("*.yaml"))


def known(text: str) -> Any:
    """Leave out what only an operator's definitions would make known, and pods: see `pods_of`."""
    documents = yaml.load_all(text, Strict)
    return as_stream(d for d in documents if d and d["kind"] not in {*OF_OPERATORS, "Pod"})


def pods_of(text: str) -> Any:
    """Return every pod that comes of the objects, of a service account that is there."""
    pods: list[dict[str, Any]] = []
    for document in (d for d in yaml.safe_load_all(text) if d):
        pod = document if document["kind"] == "Pod" else document.get("spec", {}).get("template")
        if not pod:
            continue
        name = f"{document['kind'].lower()}-{len(pods)}"
        metadata = {"name": name, "labels": pod["metadata"]["labels"]}
        spec = {**pod["spec"], "serviceAccountName": "k8s-audit-otlp"}
        if claims := document["spec"].get("volumeClaimTemplates"):
            claimed = [{"name": one["metadata"]["name"], "emptyDir": {}} for one in claims]
            spec["volumes"] = spec["volumes"] + claimed
        pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return as_stream(pods)


def as_stream(documents: Any) -> Any:
    """JSON: PyYAML and kubectl differ in what is a number."""
    return "\n".join(json.dumps(document) for document in documents)


def test_the_log_grows_under_the_patched_flags(cluster: Any, audit_log: Any) -> None:
    """The apiserver takes each flag and the policy, and writes JSON."""
    assert cluster.kubectl("create", "namespace", "seen").returncode == 0
    until = time.monotonic() + 60
    while '"seen"' not in (text := audit_log.read_text()) and time.monotonic() < until:
        time.sleep(0.2)
    lines = [json.loads(line) for line in text.splitlines()]
    assert any(
        line["verb"] == "create" and line.get("objectRef", {}).get("name") == "seen"
        for line in lines
    )
    assert audit_log.stat().st_mode & 0o777 == 0o600


def test_the_apiserver_takes_the_chart_for_every_platform(
    cluster: Any,
    namespaces: Any,  # noqa: ARG001
    render: Any,
    values: Any,
) -> None:
    """A server-side dry run, strict about unknown fields."""
    for path in values:
        text = render(path, "--set", "namespace.create=false", namespace="privileged")
        done = cluster.kubectl(
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-",
            stdin=known(text),
        )  # fmt: skip
        assert done.returncode == 0, (path.name, done.stderr)
        assert ".apps/" in done.stdout


def test_the_manifests_for_kubectl_are_taken(cluster: Any, deploy: Any) -> None:
    """Its namespace is made first: a dry run makes none."""
    text = (deploy / "kubernetes" / "k8s-audit-otlp.yaml").read_text()
    namespace = next(d for d in yaml.safe_load_all(text) if d and d["kind"] == "Namespace")
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(namespace))
    done = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=text)
    assert done.returncode == 0, done.stderr


def test_a_privileged_namespace_admits_the_pods_of_every_platform(
    cluster: Any,
    namespaces: Any,  # noqa: ARG001
    render: Any,
    values: Any,
) -> None:
    """Volumes of the node are allowed there."""
    for path in values:
        pod = pods_of(render(path, namespace="privileged"))
        done = cluster.kubectl(
            "-n", "privileged", "create", "--dry-run=server", "-f", "-", stdin=pod
        )
        assert done.returncode == 0, (path.name, done.stderr)


@pytest.mark.parametrize("mode", ["webhook", "kafka", "cloudwatch"])
def test_a_restricted_namespace_admits_the_pods_that_need_no_node(
    cluster: Any,
    namespaces: Any,  # noqa: ARG001
    render: Any,
    chart: Any,
    mode: str,
) -> None:
    """They read no file of it."""
    pod = pods_of(render(chart / "ci" / f"{mode}-values.yaml", namespace="restricted"))
    done = cluster.kubectl("-n", "restricted", "create", "--dry-run=server", "-f", "-", stdin=pod)
    assert done.returncode == 0, done.stderr


def test_the_apiserver_takes_odd_but_legal_values(
    cluster: Any,
    namespaces: Any,  # noqa: ARG001
    render: Any,
    tmp_path: Path,
) -> None:
    """Each combination renders, with texts where texts must be; also the pods are valid."""
    objects, pods = [], []
    for number, values in enumerate(combinations(30)):
        path = tmp_path / f"case-{number}.yaml"
        path.write_text(json.dumps(values))
        text = render(path, namespace="privileged", release=f"case-{number}")
        objects.append(known(text))
        pods.append(pods_of(text))
    dry = ("--dry-run=server", "--validate=strict", "-f", "-")
    done = cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", *dry, stdin="\n".join(objects)
    )
    assert done.returncode == 0, done.stderr[-4000:]
    done = cluster.kubectl("-n", "privileged", "create", *dry, stdin="\n".join(pods))
    assert done.returncode == 0, done.stderr[-4000:]


def test_upgrade_and_rollback_keep_where_positions_are(
    cluster: Any,
    namespaces: Any,  # noqa: ARG001
    chart: Any,
) -> None:
    """The server takes each step, and nothing of it touches the state's place or the selector."""
    for release, name, change in (
        ("nodes", "kubeadm-values.yaml", "log.maxLineMiB=8"),
        ("posts", "webhook-values.yaml", "webhook.spoolMiB=1024"),
    ):
        arguments = (release, chart, "-n", "privileged", "-f", chart / "ci" / name)
        plain = ("--set", "serviceMonitor.enabled=false")
        kept = []
        for step in (
            ("install", *arguments, *plain),
            ("upgrade", *arguments, *plain, "--set", f"clusterName=other,{change}"),
            ("rollback", release, "1", "-n", "privileged"),
        ):
            done = cluster.helm(*step)
            assert done.returncode == 0, done.stderr
            kept.append(where_positions_are(cluster, release))
        assert kept[0] == kept[1] == kept[2]
        assert all(kept[0])
        assert cluster.helm("uninstall", release, "-n", "privileged").returncode == 0


def where_positions_are(cluster: Any, release: Any) -> Any:
    objects = cluster.kubectl(
        "-n", "privileged", "get", "daemonsets,statefulsets", "-o", "json",
        "-l", f"app.kubernetes.io/instance={release}",
    )  # fmt: skip
    (controller,) = json.loads(objects.stdout)["items"]
    spec = controller["spec"]
    volumes = spec["template"]["spec"]["volumes"]
    claims = [claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])]
    return (
        controller["metadata"]["uid"],
        spec["selector"],
        claims or [volume for volume in volumes if volume["name"] == "state"],
    )


def test_a_baseline_namespace_refuses_the_pods_for_the_reason_in_the_notes(
    cluster: Any,
    namespaces: Any,  # noqa: ARG001
    render: Any,
    chart: Any,
) -> None:  # fmt: skip
    """The operator finds the server's words in the notes, with what to do beside them."""
    kubeadm = chart / "ci" / "kubeadm-values.yaml"
    pod = pods_of(render(kubeadm, namespace="baseline"))
    done = cluster.kubectl("-n", "baseline", "create", "--dry-run=server", "-f", "-", stdin=pod)
    assert done.returncode != 0
    assert "hostPath volumes" in done.stderr
    notes = cluster.helm("install", "k8s-audit-otlp", chart, "-n", "default", "-f", kubeadm,
                         "--dry-run=server")  # fmt: skip
    assert "hostPath volumes" in notes.stdout, notes.stderr
    assert "pod-security.kubernetes.io/enforce=privileged" in notes.stdout


def test_kubeconform_agrees_with_the_apiservers_own_schema(
    cluster: Any, render: Any, values: Any, kube_bin: Any, tmp_path: Path
) -> None:
    """Strictly; the schemas are made from what this apiserver serves."""
    served = json.loads(cluster.kubectl("get", "--raw", "/openapi/v2").stdout)
    write_schemas(served["definitions"], tmp_path)
    for path in values:
        manifests = tmp_path / path.name
        manifests.write_text(render(path))
        done = subprocess.run(
            [
                kube_bin("kubeconform"), "-strict", "-summary", "-skip", ",".join(OF_OPERATORS),
                "-schema-location", f"{tmp_path}/{{{{ .ResourceKind }}}}.json", manifests,
            ],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Invalid: 0" in done.stdout
