"""Policies are listed from the package and checked as kube-apiserver would."""

import pytest
import yaml

from k8s_audit_otlp.setup.policies import mistakes, names, text_of
from k8s_audit_otlp.setup.settings import RefusalError

GOOD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\n"


def test_every_policy_of_the_package_would_load():
    """What is printed can be used."""
    for name in names():
        assert mistakes(text_of(name)) == []


def test_profiles_are_the_files_of_the_folder(tmp_path):
    """A new file is a new profile."""
    (tmp_path / "b.yaml").write_text(GOOD)
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "README.md").write_text("no policy")
    assert names(tmp_path) == ["a", "b"]
    assert text_of("a", tmp_path) == GOOD


def test_an_unknown_profile_is_refused_with_the_known_ones(tmp_path):
    """So that the next try can succeed."""
    (tmp_path / "a.yaml").write_text(GOOD)
    with pytest.raises(RefusalError, match="choose one of a"):
        text_of("../a", tmp_path)


def test_a_policy_that_would_load_has_no_mistakes():
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
    assert mistakes(yaml.safe_dump(policy)) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("rules:\n - level: None\n  users: x: y\n", "not YAML"),
        ("- 1\n", "not a mapping"),
        (GOOD.replace("/v1", "/v1beta1"), "audit.k8s.io/v1 Policy"),
        (GOOD.replace("Policy", "PodPolicy"), "audit.k8s.io/v1 Policy"),
        (GOOD.replace("[{level: Metadata}]", "[]"), "at least one rule"),
        (GOOD.replace("rules: [{level: Metadata}]", ""), "at least one rule"),
        (GOOD.replace("[{level: Metadata}]", "[Metadata]"), "rules[0]: not a mapping"),
        (GOOD.replace("Metadata", "metadata"), "rules[0].level: 'metadata'"),
        (GOOD.replace("level", "Level"), "rules[0].Level: unknown key"),
        (GOOD + "omitstages: []\n", "omitstages: unknown key"),
        (GOOD + "omitStages: [Response]\n", "omitStages: 'Response'"),
        (GOOD.replace("}]", ", omitStages: [x]}]"), "rules[0].omitStages: 'x'"),
        (GOOD.replace("}]", ", nonResourceURLs: ['/a*b']}]"), "* only at its end"),
        (GOOD.replace("}]", ", nonResourceURLs: [/a], namespaces: [b]}]"), "cannot stand beside"),
        (GOOD.replace("}]", ", resources: [{group: apps/v1}]}]"), "without its version"),
        (GOOD.replace("}]", ", resources: [{resourceNames: [a]}]}]"), "needs resources"),
    ],
)
def test_each_mistake_is_named_at_its_place(text, what):
    """Damaged indentation, a wrong version, no rules, misspelled levels."""
    assert any(what in mistake for mistake in mistakes(text))


def test_all_mistakes_are_told_at_once():
    """One round of repairs is enough."""
    assert len(mistakes(GOOD.replace("Metadata", "meta") + "x: 1\nomitStages: [y]\n")) == 3
