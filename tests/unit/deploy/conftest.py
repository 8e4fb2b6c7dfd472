"""What the tests of the deployment share: its folder, its programs, a rendered chart."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

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
