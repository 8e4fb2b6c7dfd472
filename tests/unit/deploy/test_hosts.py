"""The files for nodes and for kind say the same as the program and the chart."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from k8s_audit_otlp.apiserver.kubeadm import fragment
from k8s_audit_otlp.apiserver.settings import DEFAULTS
from k8s_audit_otlp.config.load import load_text


@pytest.fixture
def unit(deploy: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[method-assign,assignment] # as its documentation says
    parser.read(deploy / "systemd" / "k8s-audit-otlp.service")
    return parser


def test_kind_gets_the_configuration_that_the_program_prints(deploy: Path) -> None:
    """One truth about flags and volumes."""
    cluster = yaml.safe_load((deploy / "kind" / "cluster.yaml").read_text())
    (node,) = cluster["nodes"]
    (patch,) = node["kubeadmConfigPatches"]
    assert yaml.safe_load(patch) == yaml.safe_load(fragment(DEFAULTS, "v1beta3"))
    (mount,) = node["extraMounts"]
    assert mount["containerPath"] == DEFAULTS["audit-policy-file"]


def test_the_recipes_use_the_programs_flags(deploy: Path) -> None:
    """A flag that is renamed must be renamed there too."""
    recipes = "\n".join(path.read_text() for path in (deploy / "kube-apiserver").glob("*.md"))
    named = set(re.findall(r"audit-[a-z]+-[a-z]+(?==)", recipes))
    assert named <= set(DEFAULTS)
    assert set(DEFAULTS) <= named


def test_the_unit_has_no_capability_and_no_view_of_the_clusters_keys(
    unit: configparser.RawConfigParser,
) -> None:
    """Root that owns the log, and nothing more."""
    service = unit["Service"]
    assert service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert "-/etc/kubernetes" in service["InaccessiblePaths"].split()
    assert service["ExecStart"].endswith(
        "k8s-audit-otlp run --config /etc/k8s-audit-otlp/config.yaml"
    )


def test_the_unit_limits_memory_as_the_chart_does(
    unit: configparser.RawConfigParser, deploy: Path
) -> None:
    """128 MiB, the budget, five times the longest line."""
    values = yaml.safe_load((deploy / "helm" / "k8s-audit-otlp" / "values.yaml").read_text())
    limit = 128 + values["memoryBudgetMiB"] + 5 * values["log"]["maxLineMiB"]
    assert unit["Service"]["MemoryMax"] == f"{limit}M"


def test_systemd_finds_no_mistake_in_the_unit(deploy: Path, tmp_path: Path) -> None:
    """The program itself need not be installed for that."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    text = (deploy / "systemd" / "k8s-audit-otlp.service").read_text()
    unit = tmp_path / "k8s-audit-otlp.service"
    unit.write_text(text.replace("/opt/k8s-audit-otlp/bin/k8s-audit-otlp", "/bin/true"))
    done = subprocess.run(
        [analyze, "verify", unit], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_readmes_token_is_read_by_shell_and_systemd_alike(deploy: Path, tmp_path: Path) -> None:
    """As it is written there, blanks and all; systemd takes off single quotes too."""
    lines = (deploy / "systemd" / "README.md").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("printf "))
    file = tmp_path / "environment"
    made = line.replace("/etc/k8s-audit-otlp/environment", str(file)) + f"; . {file}; echo $TOKEN"
    done = subprocess.run(
        ["sh", "-c", made], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("the token\n", "")
    assert file.read_text() == "TOKEN='the token'\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_systemd_calls_the_unit_well_confined(deploy: Path) -> None:
    """At most 2.0 of 10: what is left is network, root as the log's owner, and its view of /."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    unit = deploy / "systemd" / "k8s-audit-otlp.service"
    done = subprocess.run(
        [analyze, "security", "--offline=yes", "--no-pager", "--threshold=20", unit],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_the_units_configuration_is_one_that_the_agent_takes(deploy: Path) -> None:
    """After no edit but that of the README: the names in capitals."""
    readme = (deploy / "systemd" / "README.md").read_text()
    (names,) = re.findall('^sed -i "(.*)" ', readme, re.MULTILINE)
    text = (deploy / "systemd" / "config.yaml").read_text()
    for name, own in re.findall(r"s/(.*?)/(.*?)/", names):
        text = text.replace(name, own.replace("$(hostname)", "node-1"))  # as a shell does
    config = load_text(text, "config.yaml", {"TOKEN": "t"}).config
    assert config.receivers["k8s_audit"].include == (DEFAULTS["audit-log-path"],)
    assert config.service.telemetry.metrics.address == "127.0.0.1:8686"
    assert config.service.state_dir == "/var/lib/k8s-audit-otlp"  # the unit's StateDirectory
