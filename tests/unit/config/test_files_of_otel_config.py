"""Every configuration that is shipped for the agent loads, and the reference is up to date."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from k8s_audit_otlp.config.load import load, load_text, load_tree
from k8s_audit_otlp.config.mistakes import ConfigError, Kind
from k8s_audit_otlp.config.reading.collector_keys import table_of
from k8s_audit_otlp.config.reading.expand import placeholder
from k8s_audit_otlp.otlp.mapping import TABLE
from tests.kit.config_reference import EXAMPLES, reference_file

ROOT = Path(__file__).parents[3]
AGENT = sorted((ROOT / "otel-config" / "agent").glob("*.yaml"))
ENV = dict.fromkeys(
    (
        "BEARER_TOKEN",
        "BASIC_USER",
        "BASIC_PASSWORD",
        "CLIENT_ID",
        "CLIENT_SECRET",
        "DD_API_KEY",
        "CLUSTER_NAME",
    ),
    "sesame",
)
HARMLESS = {Kind.MISSING, Kind.UNREADABLE}  # files that are not on this machine


@pytest.mark.parametrize("path", AGENT, ids=lambda path: path.stem)
def test_a_shipped_configuration_loads(path: Path) -> None:
    """Without mistakes, and with no remark but on disabled exporters and on foreign files."""
    loaded = load(path, ENV)
    remarks = [r for r in loaded.remarks if r.kind not in HARMLESS and "disabled" not in r.why]
    assert remarks == []
    assert list(loaded.config.routes())


CONFIGMAP = next(
    document
    for document in yaml.safe_load_all(
        (ROOT / "deploy" / "kubernetes" / "k8s-audit-otlp.yaml").read_text()
    )
    if document["kind"] == "ConfigMap"
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ((ROOT / "deploy" / "systemd" / "config.yaml").read_text(), ["CLUSTER", "NODE", "BACKEND"]),
        (CONFIGMAP["data"]["config.yaml"], ["BACKEND", "CLUSTER"]),
    ],
    ids=["systemd", "kubernetes"],
)
def test_a_shipped_file_to_fill_in_is_refused_unedited(text: str, left: list[str]) -> None:
    """It names each place: whoever forgot one would send under a name that is none."""
    env = {"TOKEN": "t", "SIEM_TOKEN": "t", "NODE_NAME": "n", "POD_IP": "10.0.0.7"}
    with pytest.raises(ConfigError) as told:
        load_text(text, "config.yaml", env)
    found = [mistake.what for mistake in told.value.mistakes]
    assert found == [f"{name} is a placeholder" for name in left]


@pytest.mark.parametrize("name", ["NODE-1", "prod/NODEs", "CLUSTER_A", "${env:NODE}", "my NODE"])
def test_a_name_in_capitals_is_no_placeholder(name: str) -> None:
    assert placeholder(name) == ""


def test_the_reference_is_made_from_the_schema() -> None:
    """Make it anew after a change of a key; otel-config/README.md says how."""
    shipped = ROOT / "otel-config" / "agent" / "reference.yaml"
    assert shipped.read_text() == reference_file()


def test_the_reference_changes_no_default() -> None:
    """It means the same as the smallest file with the same components."""
    tree = yaml.safe_load(reference_file())
    small = {
        section: {
            kind: _required(table_of(section, kind), block) for kind, block in tree[section].items()
        }
        for section in ("receivers", "exporters", "extensions")
    }
    assert load_tree(tree, "full", ENV).config == load_tree(small, "small", ENV).config


def _required(kind: str, block: dict[str, object]) -> dict[str, object]:
    if kind == "basicauth":
        return {"client_auth": EXAMPLES[kind]}
    return {key: block[key] for key in EXAMPLES[kind]}


def test_every_key_of_the_reference_has_a_comment() -> None:
    """On the line above it."""
    lines = reference_file().splitlines()
    for above, line in pairwise(lines):
        key = line.strip()
        is_section = not line.startswith(" ") and not key.startswith("service")
        if key and not key.startswith("#") and not is_section:
            assert above.strip().startswith("# "), line


def test_datakits_side_opens_what_the_agents_side_sends_to() -> None:
    """The input is on and listens for other pods."""
    guance = ROOT / "deploy" / "guance"
    patch = yaml.safe_load((guance / "datakit-env.yaml").read_text())
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    env = {variable["name"]: variable["value"] for variable in container["env"]}
    assert "opentelemetry" in env["ENV_DEFAULT_ENABLED_INPUTS"].split(",")
    assert env["ENV_HTTP_LISTEN"] == "0.0.0.0:9529"
    assert json.loads(env["ENV_INPUT_OTEL_GRPC"])["addr"] == "0.0.0.0:4317"
    sent = {row.key.replace("{p}", "k8s.audit.").replace(".", "_") for row in TABLE}
    sent.add("__orig_time")  # DataKit's own
    searched = re.findall(r"@(\w+):", (guance / "README.md").read_text())
    assert sent.issuperset(searched)
