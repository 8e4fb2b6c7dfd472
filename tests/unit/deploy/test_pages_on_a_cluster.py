"""The lines of the pages, as a newcomer copies them, on a real kube-apiserver.

It has neither nodes nor controllers: what waits for a pod is left out, and only that.
"""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy.cluster import TOKEN

pytestmark = [pytest.mark.interop, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[3]
NEEDS_A_POD = re.compile(r"rollout status|helm test|exec daemonset|^kind |^docker |get pod -o name")
NAMESPACE = re.compile(r"(?<=-n )k8s-audit-otlp|(?<=namespace )k8s-audit-otlp")


def section(page: Path, heading: str) -> str:
    text = f"{page.read_text()}\n## "
    return text.partition(f"\n{heading}\n")[2].partition("\n## ")[0] if heading else text


def block(text: str, language: str) -> str:
    """Return what stands in the blocks of a language."""
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE))


def commands(text: str, namespace: str) -> list[str]:
    lines = re.sub(r"\\\n\s*", "", block(text, "sh")).splitlines()
    bare = [line.partition("  #")[0].strip() for line in lines]
    return [
        NAMESPACE.sub(namespace, line) for line in bare if line and not NEEDS_A_POD.search(line)
    ]


@pytest.fixture
def shell(cluster: Any, kube_bin: Any, tmp_path: Path) -> Any:
    """Run a line in the repository's root, with the cluster as the current context."""
    user, server = {"token": TOKEN}, {"server": cluster.url, "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": server}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    programs = ":".join(str(Path(kube_bin(name)).parent) for name in ("kubectl", "helm"))
    env = {
        **os.environ,
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{os.environ['PATH']}",
    }

    def run(line: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", line],
            cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


@pytest.mark.parametrize(
    ("heading", "controller"), [("## Install", "daemonset"), ("## A webhook", "statefulset")]
)
def test_the_charts_page_installs_upgrades_and_rolls_back(
    shell: Any, chart: Path, tmp_path: Path, heading: str, controller: str
) -> None:
    """With the values that stand below the lines."""
    text, page = section(chart / "README.md", heading), chart / "README.md"
    values = tmp_path / "my-values.yaml"
    values.write_text(block(text, "yaml"))
    for name in ("server.crt", "server.key"):
        pair = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {tmp_path}/server.key"
        shell(f"test -e {tmp_path}/{name} || {pair} -out {tmp_path}/server.crt -subj /CN=a")
    again = section(page, "## Upgrade and roll back")
    lines = [*commands(text, controller), *commands(again, controller)]
    assert [line.split()[1] for line in lines if line.startswith("helm")] == [
        "install",
        "upgrade",
        "rollback",
    ]
    for line in lines:
        shell(re.sub(r"(?<=[ =])(my-values.yaml|server\.crt|server\.key)", rf"{tmp_path}/\1", line))
    assert shell(f"kubectl -n {controller} get {controller} -o name").strip() == (
        f"{controller}.apps/k8s-audit-otlp"
    )


def test_the_page_without_helm_applies_what_it_ships(shell: Any, deploy: Path) -> None:
    """Then the Secret that the pods wait for; its last lines render the file anew."""
    page = deploy / "kubernetes" / "README.md"
    shipped = (deploy / "kubernetes" / "k8s-audit-otlp.yaml").read_text()
    apply, secret, render = commands(section(page, ""), "k8s-audit-otlp")
    shell(apply)
    shell(secret)
    assert "daemonset.apps/k8s-audit-otlp" in shell(
        "kubectl -n k8s-audit-otlp get daemonset -o name"
    )
    assert shell(render.partition(" > ")[0]) == shipped
