"""Policies are listed from the package and checked as kube-apiserver would."""

from pathlib import Path

import pytest
import yaml

from k8s_audit_otlp.apiserver.profiles import mistakes, names, remarks, text_of
from k8s_audit_otlp.apiserver.settings import RefusalError
from k8s_audit_otlp.config.reading.policy_file import parse_policy
from k8s_audit_otlp.model import AuditEvent, ObjectRef, UserInfo

GOOD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"


def test_every_policy_of_the_package_would_load() -> None:
    """What is printed can be used."""
    for name in names():
        assert mistakes(text_of(name), name) == []


def test_the_package_has_the_profiles_that_are_promised() -> None:
    """The recipe, and three that say what they leave out."""
    assert {"recipe", "security-only", "mutations-only", "low-volume"} <= set(names())


CREDENTIALS = [
    ObjectRef(resource="secrets", namespace="a", name="b"),
    ObjectRef(resource="serviceaccounts", subresource="token", namespace="a", name="b"),
    ObjectRef(resource="tokenreviews", api_group="authentication.k8s.io"),
]


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("reference", CREDENTIALS, ids=lambda reference: reference.resource)
@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "update", "patch", "delete"])
def test_no_profile_lets_a_credential_into_a_body(
    name: str, reference: ObjectRef, verb: str
) -> None:
    """Secrets and tokens at Metadata at most."""
    event = AuditEvent(
        level="RequestResponse",
        stage="ResponseComplete",
        verb=verb,
        user=UserInfo("alice", groups=("system:masters", "system:authenticated")),
        object_ref=reference,
    )
    decision = parse_policy(text_of(name), name).decide(event)
    assert decision.omitted or decision.level == "Metadata"


def test_the_folder_of_examples_shows_the_same_policies() -> None:
    """Links, so that there is one text of each."""
    folder = Path(__file__).parents[3] / "otel-config" / "policies"
    for name in names():
        assert (folder / f"{name}.yaml").read_text() == text_of(name)


def test_profiles_are_the_files_of_the_folder(tmp_path: Path) -> None:
    """A new file is a new profile."""
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "README.md").write_text("no policy")
    assert names(tmp_path) == ["a", "b"]
    assert text_of("a", tmp_path) == GOOD


def test_an_unknown_profile_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """So that the next try can succeed."""
    (tmp_path / "a.yaml").write_text(GOOD)
    with pytest.raises(RefusalError, match="choose one of a"):
        text_of("../a", tmp_path)


def test_a_policy_that_would_load_has_no_mistakes() -> None:
    """Every kind of rule that upstream allows."""
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": True,
        "rules": [
            {"level": "None", "nonResourceURLs": ["*", "/healthz*"]},
            {"level": "None", "users": ["a"], "verbs": ["get"], "omitStages": ["Panic"]},
            {"level": "Request", "resources": [{"group": "", "resources": ["pods"]}]},
            {"level": "RequestResponse", "namespaces": ["a"], "omitManagedFields": False},
        ],
    }
    assert mistakes(yaml.safe_dump(policy), "policy.yml") == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("rules:\n - level: None\n  users: x: y\n", "policy.yml:3"),
        ("- 1\n", "policy.yml: is not a block"),
        ("", "empty"),
        (GOOD.replace("/v1", "/v1beta1"), "audit.k8s.io/v1beta1"),
        (GOOD.replace("Policy", "PodPolicy"), "PodPolicy"),
        (GOOD.replace("[{level: Metadata}]", "[]"), "no rule"),
        (GOOD.replace("rules: [{level: Metadata}]", ""), "rules: is missing"),
        (GOOD.replace("Metadata", "metadata"), "rules::0::level: 'metadata'"),
        (GOOD + "omitStages: [Response]\n", "'Response'"),
    ],
)
def test_each_mistake_is_named_at_its_place(text: str, what: str) -> None:
    """Damaged indentation, a wrong version, no rules, misspelled levels."""
    assert any(what in mistake for mistake in mistakes(text, "policy.yml"))


@pytest.mark.parametrize(
    "text",
    [
        GOOD + "omitResponseCodes: [404]\n",
        GOOD.replace("}]", ", omitResponseCodes: [404]}]"),
    ],
)
def test_what_the_apiserver_passes_over_is_said(text: str) -> None:
    """It would log what was to be left out."""
    assert mistakes(text, "policy.yml") == []
    (remark,) = remarks(text, "policy.yml")
    assert "omitResponseCodes" in remark
    assert list(remarks(GOOD, "policy.yml")) == []


def test_all_mistakes_are_told_at_once() -> None:
    """One round of repairs is enough."""
    text = GOOD.replace("Metadata", "meta") + "x: 1\nomitStages: [y]\n"
    assert len(mistakes(text, "policy.yml")) == 3
