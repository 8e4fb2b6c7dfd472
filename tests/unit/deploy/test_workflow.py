"""The release workflow, which cannot run here: linted, pinned, and without rights to spare."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = Path(__file__).parents[3] / ".github" / "workflows"
RELEASE = WORKFLOWS / "release.yml"
SECRET = re.compile(r"\$\{\{[^}]*(github\.(ref|head|event)|secrets\.|vars\.)")


@pytest.fixture
def jobs() -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(RELEASE.read_text())
    assert workflow["permissions"] == {}  # each job asks for its own
    return dict(workflow["jobs"])


def test_each_action_is_pinned_by_its_commit() -> None:
    """With the release that it is, for whoever renews it."""
    uses = re.findall(r"uses: (.*)", RELEASE.read_text())
    assert uses
    pinned = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
    assert [one for one in uses if not pinned.fullmatch(one)] == []


def test_no_script_has_a_text_from_outside_put_into_it(jobs: dict[str, Any]) -> None:
    """It comes by a variable, which the shell does not read as its own words."""
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert scripts
    assert [script for script in scripts if SECRET.search(script)] == []


def test_nothing_is_published_before_all_checks_passed(jobs: dict[str, Any]) -> None:
    """And only the job that publishes may write."""
    writing = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writing == {"publish"}
    assert jobs["publish"]["needs"] == "check"
    assert any(step.get("run") == "bash .ci/run" for step in jobs["check"]["steps"])


def test_the_image_is_built_on_the_pinned_base() -> None:
    """What the Dockerfile names, with the tag's version and the commit."""
    text = RELEASE.read_text()
    assert "BASE" not in text
    assert '--build-arg "VERSION=${GITHUB_REF_NAME#v}" --build-arg "REVISION=$GITHUB_SHA"' in text


@pytest.mark.interop
def test_actionlint_has_nothing_to_say(kube_bin: Callable[[str], str]) -> None:
    """Of keys, types, expressions and, where shellcheck is, scripts."""
    done = subprocess.run(
        [kube_bin("actionlint"), "-no-color", RELEASE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_zizmor_finds_no_weakness() -> None:
    """Of the kinds that workflows have, without asking the network."""
    zizmor = shutil.which("zizmor")
    if zizmor is None:
        pytest.skip("zizmor is not here; it comes with the extra check")
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--persona=pedantic", WORKFLOWS],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
