"""The image holds what is locked, by hash, and runs as nobody."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def locked(text):
    return {canonicalize_name(name): version for name, version in LOCKED.findall(text)}


@pytest.fixture
def requirements(deploy):
    project = tomllib.loads((deploy.parent / "pyproject.toml").read_text())
    return [Requirement(line) for line in project["project"]["dependencies"]]


def test_every_dependency_is_locked_to_a_version_that_the_project_takes(deploy, requirements):
    """A new dependency needs a new lock."""
    versions = locked((deploy / "requirements.lock").read_text())
    for requirement in requirements:
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_each_locked_package_has_hashes(deploy, name):
    """Without one, pip would refuse the whole file."""
    text = (deploy / name).read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", "\n" + text)[1:]
    packages = [block for block in blocks if LOCKED.match(block)]
    assert len(packages) == len(locked(text))
    assert all("--hash=sha256:" in block for block in packages)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock"])
def test_a_lock_names_no_index(deploy, name):
    """Where packages come from is the builder's business."""
    assert not re.search(r"://|--(extra-)?index-url|--find-links", (deploy / name).read_text())


def test_the_image_runs_as_nobody_and_installs_by_hash(deploy):
    """Both stages of the promise."""
    text = (deploy / "Dockerfile").read_text()
    final = text.split("FROM ")[-1]
    assert re.search(r"^USER 65534:65534$", final, re.MULTILINE)
    installs = [line for line in text.splitlines() if "install" in line and "-r deploy/" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_what_the_image_is_built_from_is_there_and_not_ignored(deploy):
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
