"""The image holds what is locked, by hash, and runs as nobody; there is one version everywhere."""

import re
import tomllib
from pathlib import Path
from typing import Any

import packaging.requirements
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from k8s_audit_otlp import __version__

LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def locked(text: str) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in LOCKED.findall(text)}


@pytest.fixture
def project(deploy: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((deploy.parent / "pyproject.toml").read_text())
    return dict(metadata["project"])


@pytest.fixture
def requirements(project: dict[str, Any]) -> list[Requirement]:
    """Return what the image needs: everything that runs, and no tool of the developers."""
    extras = project["optional-dependencies"]
    running = [line for name in extras if name not in {"test", "check"} for line in extras[name]]
    return [Requirement(line) for line in [*project["dependencies"], *running]]


def semantic(version: Version) -> str:
    """Write a version as a chart must have it: 1.2.0rc1 is 1.2.0-rc.1."""
    kind, number = version.pre or ("dev", version.dev)
    return version.base_version + ("" if number is None else f"-{kind}.{number}")


@pytest.mark.parametrize(
    ("python", "chart"),
    [("1.2.0", "1.2.0"), ("1.2.0rc1", "1.2.0-rc.1"), ("0.2.0.dev0", "0.2.0-dev.0")],
)
def test_a_version_has_a_semantic_form(python: str, chart: str) -> None:
    """As helm wants it."""
    assert semantic(Version(python)) == chart


def test_the_projects_version_is_the_version_of_everything(
    deploy: Path, project: dict[str, Any]
) -> None:
    """`pyproject.toml` says it; package, image, chart and what the guides print follow."""
    version = project["version"]
    assert __version__ == version
    chart = yaml.safe_load((deploy / "helm" / "k8s-audit-otlp" / "Chart.yaml").read_text())
    assert chart["appVersion"] == version
    assert chart["version"] == semantic(Version(version))
    dockerfile = (deploy / "Dockerfile").read_text()
    assert set(re.findall(r"^ARG VERSION=(.*)$", dockerfile, re.MULTILINE)) == {version}
    texts = [dockerfile, *(path.read_text() for path in deploy.rglob("*.md"))]
    tags = [tag for text in texts for tag in re.findall(r"k8s-audit-otlp:(\d[\w.-]*)", text)]
    assert set(tags) == {version}


def test_the_base_is_named_by_its_digest(deploy: Path) -> None:
    """The same base tomorrow; both stages use it."""
    text = (deploy / "Dockerfile").read_text()
    assert re.search(
        r"^ARG BASE=python:3\.13\.\d+-slim\S*@sha256:[0-9a-f]{64}$", text, re.MULTILINE
    )
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == [
        *("${BASE}", "scratch", "${BASE}", "scratch")
    ]


def test_every_dependency_is_locked_to_a_version_that_the_project_takes(
    deploy: Path, requirements: list[packaging.requirements.Requirement]
) -> None:
    """A new dependency needs a new lock."""
    versions = locked((deploy / "requirements.lock").read_text())
    for requirement in requirements:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_each_locked_package_has_hashes(deploy: Path, name: str) -> None:
    """Without one, pip would refuse the whole file."""
    text = (deploy / name).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)[1:]
    packages = [block for block in blocks if LOCKED.match(block)]
    assert len(packages) == len(locked(text))
    assert all("--hash=sha256:" in block for block in packages)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_a_lock_names_no_index(deploy: Path, name: str) -> None:
    """Where packages come from is the builder's business."""
    assert not re.search(r"://|--(extra-)?index-url|--find-links", (deploy / name).read_text())


def test_the_image_runs_as_nobody_and_installs_by_hash(deploy: Path) -> None:
    """Both stages of the promise."""
    text = (deploy / "Dockerfile").read_text()
    final = text.split("FROM ")[-1]
    assert re.search(r"^USER 65534:65534$", final, re.MULTILINE)
    installs = [line for line in text.splitlines() if "install" in line and "-r deploy/" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_what_the_image_is_built_from_is_there_and_not_ignored(deploy: Path) -> None:
    """Each COPY from the context, past the ignore file."""
    kept = {
        line[1:]
        for line in (deploy / "Dockerfile.dockerignore").read_text().split()
        if line[0] == "!"
    }
    copies = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (deploy / "Dockerfile").read_text(), re.MULTILINE
    )
    sources = {source for line in copies for source in line.split()}
    assert sources == kept
    optional = {"README.md"}
    assert [s for s in sources - optional if not (deploy.parent / s).exists()] == []
