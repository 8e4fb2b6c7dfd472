"""The rendered manifests keep the promises of the chart, read as plain YAML."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.config.load import load_tree
from tests.kit.chart_readme import CHART, renewed
from tests.kit.pages import filled


@pytest.fixture(scope="module")
def objects(
    deploy: Path,
) -> dict[str, Any]:
    text = (deploy / "kubernetes" / "k8s-audit-otlp.yaml").read_text()
    return {document["kind"]: document for document in yaml.safe_load_all(text) if document}


@pytest.fixture(scope="module")
def pod(
    objects: dict[str, Any],
) -> dict[str, Any]:
    spec: dict[str, Any] = objects["DaemonSet"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def agent(pod: dict[str, Any]) -> dict[str, Any]:
    return next(container for container in pod["containers"] if container["name"] == "agent")


def test_the_namespace_admits_hostpath_volumes(
    objects: dict[str, Any],
) -> None:
    """Baseline would refuse every pod."""
    labels = objects["Namespace"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"


def test_every_object_lies_in_that_namespace(
    objects: dict[str, Any],
) -> None:
    """So that `kubectl apply -f` needs no -n."""
    name = objects["Namespace"]["metadata"]["name"]
    rest = [document for kind, document in objects.items() if kind != "Namespace"]
    assert rest
    assert {document["metadata"]["namespace"] for document in rest} == {name}


def test_it_runs_wherever_the_label_exists_whatever_its_value(pod: dict[str, Any]) -> None:
    """Installers write "", "true" and more."""
    affinity = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    roles = [
        expression["key"]
        for term in affinity["nodeSelectorTerms"]
        for expression in term["matchExpressions"]
        if expression["operator"] == "Exists"
    ]
    assert roles == [
        "node-role.kubernetes.io/control-plane",
        "node-role.kubernetes.io/master",
    ]


def test_tolerations_name_no_effect(pod: dict[str, Any]) -> None:
    """NoSchedule and NoExecute alike."""
    keys = {toleration["key"] for toleration in pod["tolerations"]}
    assert {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"} <= keys
    assert all(set(toleration) == {"key", "operator"} for toleration in pod["tolerations"])


def test_the_container_can_do_nothing_but_read_its_log(
    pod: dict[str, Any], agent: dict[str, Any]
) -> None:
    """No capability, no token, no writable root, no escalation."""
    context = agent["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["privileged"] is False
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not pod.get("hostNetwork")
    assert not pod.get("hostPID")


def test_the_log_is_a_read_only_directory_and_the_state_is_on_the_node(
    pod: dict[str, Any], agent: dict[str, Any]
) -> None:
    """Nothing else of the node is mounted."""
    on_host = {v["name"]: v["hostPath"] for v in pod["volumes"] if "hostPath" in v}
    mounts = {mount["name"]: mount for mount in agent["volumeMounts"]}
    assert on_host == {
        "log": {"path": "/var/log/kubernetes", "type": "Directory"},
        "state": {"path": "/var/lib/k8s-audit-otlp", "type": "DirectoryOrCreate"},
    }
    assert mounts["log"]["readOnly"] is True
    assert mounts["log"]["mountPath"] == "/var/log/kubernetes"
    assert "readOnly" not in mounts["state"]


def test_memory_is_limited_by_the_longest_line_and_cpu_is_not(agent: dict[str, Any]) -> None:
    """128 MiB, a budget of 24, five times 64."""
    assert agent["resources"]["limits"] == {"memory": "472Mi"}


def test_probes_ask_the_pod_ip(agent: dict[str, Any]) -> None:
    """As an httpGet without a host does."""
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert agent[probe]["httpGet"] == {"path": path, "port": "health"}


def test_the_command_line_is_the_agents(agent: dict[str, Any]) -> None:
    """The configuration lies where it is mounted."""
    assert agent["command"] + agent["args"] == [
        "k8s-audit-otlp", "run", "--config", "/etc/k8s-audit-otlp/config.yaml"
    ]  # fmt: skip


def test_a_secret_is_only_referred_to(
    objects: dict[str, Any],
    agent: dict[str, Any],
) -> None:
    """No value of a Secret in any manifest."""
    token = next(entry for entry in agent["env"] if entry["name"] == "SIEM_TOKEN")
    assert token["valueFrom"] == {"secretKeyRef": {"name": "siem", "key": "token"}}
    assert "Secret" not in objects


def test_the_configuration_is_one_that_the_agent_takes(
    objects: dict[str, Any],
    agent: dict[str, Any],
) -> None:
    """Cluster and node are named, the listener is on the pod's IP and on the probed port."""
    tree = filled(yaml.safe_load(objects["ConfigMap"]["data"]["config.yaml"]))
    env = {"NODE_NAME": "cp-1", "POD_IP": "10.0.0.7", "SIEM_TOKEN": "t"}
    config = load_tree(tree, "config.yaml", env).config
    (receiver,) = config.receivers.values()
    assert receiver.include == ("/var/log/kubernetes/audit.log",)
    assert receiver.resource["k8s.node.name"] == "cp-1"
    assert receiver.resource["k8s.cluster.name"]
    assert receiver.max_line_bytes == 64 << 20
    port = agent["ports"][0]["containerPort"]
    assert config.service.telemetry.metrics.address == f"10.0.0.7:{port}"
    assert config.service.state_dir == "/var/lib/k8s-audit-otlp"


def test_the_charts_readme_has_the_table_of_its_values() -> None:
    """`python -m tests.kit.chart_readme` makes it anew."""
    readme = (CHART / "README.md").read_text()
    assert renewed(readme) == readme
    assert "| `log.maxLineMiB` | `64` |" in readme


def test_the_schema_knows_exactly_the_values_that_there_are() -> None:
    """Strict on each level that the chart gives a shape."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) == {*values, "global"}
    for name, default in values.items():
        shape = schema["properties"][name]
        if "properties" in shape:
            assert shape["additionalProperties"] is False
            assert set(shape["properties"]) == set(default) or name in {
                *("affinity", "resources", "runAs", "seLinuxOptions")
            }
