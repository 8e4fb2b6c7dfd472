"""The chart renders for every platform, refuses what cannot work, and says what to do."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s_audit_otlp.cli.evidence import report
from k8s_audit_otlp.config.load import load_text

pytestmark = pytest.mark.interop

CI = sorted((Path(__file__).parents[3] / "deploy/helm/k8s-audit-otlp/ci").glob("*.yaml"))
KUBEADM = CI[0].with_name("kubeadm-values.yaml")
FETCHED = "mode=kafka,source.receiver.brokers={a:9092},source.receiver.topics={audit}"
PLATFORMS = {
    "kubeadm": ("/var/log/kubernetes", 0),
    "kind": ("/var/log/kubernetes", 0),
    "kops": ("/var/log/kubernetes", 0),
    "rke2": ("/var/lib/rancher/rke2/server/logs", 0),
    "k3s": ("/var/lib/rancher/k3s/server/logs", 0),
    "talos": ("/var/log/audit/kube", 65534),
}


def daemonset(text: str) -> Any:
    return next(d for d in yaml.safe_load_all(text) if d and d["kind"] == "DaemonSet")


def pod_of(text: str) -> Any:
    return daemonset(text)["spec"]["template"]["spec"]


def agent_of(text: str) -> Any:
    return next(c for c in pod_of(text)["containers"] if c["name"] == "agent")


def config_of(text: str) -> Any:
    config_map = next(d for d in yaml.safe_load_all(text) if d and d["kind"] == "ConfigMap")
    return config_map["data"]


@pytest.mark.parametrize("values", CI, ids=lambda path: path.stem)
def test_helm_lint_has_nothing_to_say(chart: Any, kube_bin: Any, values: Any) -> None:
    """Strictly."""
    done = subprocess.run(
        [kube_bin("helm"), "lint", "--strict", chart, "-f", values, "--kube-version", "1.33.0"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_platform_sets_path_and_user(render: Any, platform: Any) -> None:
    """And the tolerations that its nodes need."""
    text = render(KUBEADM, "--set", f"platform={platform}")
    directory, user = PLATFORMS[platform]
    pod = pod_of(text)
    log = next(volume for volume in pod["volumes"] if volume["name"] == "log")
    assert log["hostPath"]["path"] == directory
    assert pod["securityContext"]["runAsUser"] == user
    assert pod["securityContext"]["runAsNonRoot"] is (user != 0)
    tolerated = {toleration["key"] for toleration in pod["tolerations"]}
    wanted = {"node-role.kubernetes.io/etcd", "CriticalAddonsOnly"}
    assert (wanted <= tolerated) is (platform in ("rke2", "k3s"))


def values_of_the_readme() -> dict[str, Any]:
    """Return each of its blocks by its place, with what the first one alone says."""
    readme = (KUBEADM.parents[1] / "README.md").read_text()
    blocks = [yaml.safe_load(b) for b in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)]
    return {f"README-{n}": {**blocks[0], **block} for n, block in enumerate(blocks, 1)}


RENDERED = {path.stem: yaml.safe_load(path.read_text()) for path in CI} | values_of_the_readme()


@pytest.mark.parametrize("name", RENDERED)
def test_what_is_rendered_configures_the_agent(render: Any, name: Any, tmp_path: Path) -> None:
    """The agent's own loader takes it, with the files where the volumes put them."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(RENDERED[name]))
    text = render(values)
    for document in yaml.safe_load_all(text):
        folder = document["metadata"]["name"].rpartition("-")[2]
        if document["kind"] == "ConfigMap" and folder in {"policies", "certificates"}:
            (tmp_path / folder).mkdir()
            for file, content in document["data"].items():
                (tmp_path / folder / file).write_text(content)
    env = {
        "NODE_NAME": "cp-1",
        "POD_IP": "10.0.0.7",
        "POD_NAME": "pod-0",
        "SIEM_TOKEN": "t",
        "KAFKA_PASSWORD": "t",
        "K8S_AUDIT_OTLP_WEBHOOK_TOKEN": "t",
    }
    config = config_of(text)["config.yaml"].replace("/var/run/k8s-audit-otlp", str(tmp_path))
    load_text(config, "config.yaml", env)


def test_the_manifests_for_kubectl_are_the_chart_rendered(render: Any, deploy: Any) -> None:
    """`deploy/kubernetes/README.md` has the command."""
    folder = deploy / "kubernetes"
    assert render(folder / "values.yaml") == (folder / "k8s-audit-otlp.yaml").read_text()


def test_the_report_on_evidence_asks_for_every_cluster(render: Any, tmp_path: Path) -> None:
    """Off by default; with the exporters' own settings, and trusted keys beside them."""
    values = tmp_path / "values.yaml"
    values.write_text(
        "image: {repository: x}\nmode: webhook\n"
        "webhook: {tls: {insecure: true}, clusters: {prod-eu: {}, prod-us: {}}}\n"
        "exporters: {otlp_http/a: {endpoint: 'http://a:4318'}}\nsecretFiles: [siem]\n"
        "evidenceReport: {enabled: true, store: loki, url: 'http://loki:3100',\n"
        "  headers: {authorization: 'Bearer ${env:T}'},\n"
        "  publicKeys: {seal.pub: '-----BEGIN PUBLIC KEY-----'}}\n"
    )
    assert "CronJob" not in render(values, "--set", "evidenceReport.enabled=false")
    documents = [one for one in yaml.safe_load_all(render(values)) if one]
    (job,) = [one for one in documents if one["kind"] == "CronJob"]
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    clusters = ["prod-eu", "prod-us"]
    assert [one["args"][4] for one in pod["containers"]] == [f"--cluster={c}" for c in clusters]
    for container in pod["containers"]:
        assert container["command"] == ["k8s-audit-otlp"]
        named = {key.lstrip("-").partition("=")[0] for key in container["args"][2:]}
        known = {option for one in report.params for option in one.opts}
        assert {f"--{name}" for name in named} <= known
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    with pytest.raises(ValueError, match="url are required"):
        render(values, "--set", "evidenceReport.url=")


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("image.repository=", "docker build -f deploy/Dockerfile"),
        ("image.repository=", "ctr -n k8s.io images import"),
        ("clusterName=", "--set clusterName=NAME"),
        ("platform=eks", "platform"),
        ("imagee.tag=1", "imagee"),
        ("log.maxLineMiB=0", "maxLineMiB"),
        ("terminationGracePeriodSeconds=5", "terminationGracePeriodSeconds"),
        ("collector.enabled=true", "collector.image is required"),
        ("resources.requests.memory=1Gi", "above the limit (472Mi)"),
        ("resources.requests.memory=0.5Gi", "lower the request"),
        ("resources.requests.memory=1Q", "memory"),
        ("log.path=/audit.log", "path"),
        ("mode=webhook", "webhook.tls.secretName is required"),
        ("mode=webhook,webhook.tls.secretName=a,webhook.clientNames={x}", "clientCA=true"),
        ("mode=webhook,webhook.tls.insecure=true,webhook.spoolMiB=20480", "raise it"),
        ("mode=webhook,webhook.tls.insecure=true,webhook.port=8686", "change one"),
        ("mode=webhook,webhook.tls.insecure=true,untilCaughtUp.enabled=true", "mode=node"),
        ("mode=kafka", "needs brokers and topics"),
        ("mode=kafka,source.receiver.brokers={a:9092}", "needs brokers and topics"),
        (f"{FETCHED},source.spoolMiB=20480", "raise it, or lower source.spoolMiB"),
        (f"{FETCHED},untilCaughtUp.enabled=true", "mode=node"),
        (f"{FETCHED},clusterName=", "--set clusterName=NAME"),
        (f"{FETCHED},source.brokers={{a:9092}}", "brokers"),
        ("mode=cloudwatch", "source.receiver.log_group is required"),
        ("mode=cloudwatch,source.receiver.log_group=/a,source.replicas=2", "leave it at 1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_a_hint(
    render: Any, setting: Any, hint: Any
) -> None:
    """By the schema, or by the chart in its own words."""
    with pytest.raises(ValueError, match="Error") as refusal:
        render(KUBEADM, "--set", setting)
    assert hint in str(refusal.value)


def test_a_capability_for_another_user_than_root_is_refused(render: Any) -> None:
    """It would never reach the process."""
    with pytest.raises(ValueError, match=r"runAs\.user=0"):
        render(KUBEADM, "--set", "platform=talos,dacReadSearch=true")


def test_no_exporter_is_refused_with_an_example(render: Any, tmp_path: Path) -> None:
    """An agent that sends nowhere is a mistake."""
    values = yaml.safe_load(KUBEADM.read_text())
    del values["exporters"]
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    with pytest.raises(ValueError, match="exporters is required"):
        render(tmp_path / "values.yaml")


def test_the_capability_is_added_only_when_asked_for(render: Any) -> None:
    """Opt-in."""
    assert "add" not in agent_of(render(KUBEADM))["securityContext"]["capabilities"]
    asked = agent_of(render(KUBEADM, "--set", "dacReadSearch=true"))
    assert asked["securityContext"]["capabilities"]["add"] == ["DAC_READ_SEARCH"]


def test_the_memory_limit_follows_the_line_limit(render: Any) -> None:
    """Unless the operator knows better."""
    derived = agent_of(render(KUBEADM, "--set", "log.maxLineMiB=8"))["resources"]["limits"]
    assert derived == {"memory": "192Mi"}
    own = agent_of(render(KUBEADM, "--set", "resources.limits.memory=1Gi"))["resources"]["limits"]
    assert own == {"memory": "1Gi"}


def test_the_owner_of_the_state_is_set_by_an_init_container_on_request(render: Any) -> None:
    """With the two capabilities that this takes, and only there."""
    assert "initContainers" not in pod_of(render(KUBEADM))
    pod = pod_of(render(KUBEADM, "--set", "platform=talos,state.setOwner=true"))
    (init,) = pod["initContainers"]
    assert init["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["CHOWN", "FOWNER"]}
    assert "(65534, 65534)" in init["command"][-1]
    assert [mount["name"] for mount in init["volumeMounts"]] == ["state"]


def test_a_node_that_goes_away_is_drained_of_its_log(render: Any) -> None:
    """The agent waits until it has caught up, and kubelet waits for the agent."""
    text = render(KUBEADM, "--set", "untilCaughtUp.enabled=true")
    assert pod_of(text)["terminationGracePeriodSeconds"] == 1800
    assert yaml.safe_load(config_of(text)["config.yaml"])["service"]["until"] == "caught_up"


def test_a_collector_beside_the_agent_gets_everything_on_the_loopback_address(render: Any) -> None:
    """And is configured by the same ConfigMap."""
    text = render(CI[0].with_name("talos-everything-values.yaml"))
    pod = pod_of(text)
    collector = next(c for c in pod["initContainers"] if c["name"] == "collector")
    assert collector["restartPolicy"] == "Always"  # it outlives the agent
    data = config_of(text)
    exporters = yaml.safe_load(data["config.yaml"])["exporters"]
    assert exporters["otlp_http/collector"]["endpoint"] == "http://127.0.0.1:4318"
    collector = yaml.safe_load(data["collector.yaml"])
    assert collector["service"]["pipelines"]["logs"] == {
        "receivers": ["otlp"],
        "exporters": ["otlp_http/siem"],
    }


def test_a_collector_needs_a_cluster_that_stops_it_last(render: Any) -> None:
    """Older ones would wait for it to end before the agent starts."""
    values = CI[0].with_name("talos-everything-values.yaml")
    with pytest.raises(ValueError, match=r"needs Kubernetes 1\.29"):
        render(values, "--kube-version", "1.28.9")


def test_a_changed_configuration_replaces_the_pods(render: Any) -> None:
    """By a checksum in the pod template."""
    sums = {
        daemonset(render(KUBEADM, "--set", f"clusterName={name}"))["spec"]["template"]["metadata"][
            "annotations"
        ]["checksum/config"]
        for name in ("one", "two")
    }
    assert len(sums) == 2


def test_a_pod_that_fetches_keeps_its_partitions_and_may_reach_the_brokers(render: Any) -> None:
    """Known by its name, with a volume of its own, and out of the NetworkPolicy at their ports."""
    text = render(CI[0].with_name("kafka-values.yaml"))
    of = {d["kind"]: d for d in yaml.safe_load_all(text) if d}
    receiver = yaml.safe_load(config_of(text)["config.yaml"])["receivers"]["kafka"]
    assert receiver["group_instance_id"] == "${env:POD_NAME}"
    assert of["StatefulSet"]["spec"]["replicas"] == 3
    assert of["StatefulSet"]["spec"]["volumeClaimTemplates"][0]["metadata"]["name"] == "state"
    assert "DaemonSet" not in of
    ports = [p["port"] for rule in of["NetworkPolicy"]["spec"]["egress"] for p in rule["ports"]]
    assert {9093, 9094} <= set(ports)
