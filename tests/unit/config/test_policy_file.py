"""Policies as they are written: what kube-apiserver would refuse is told, each with its line."""

import pytest

from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.reading.policy_file import parse_policy

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
RULES = HEAD + "rules:\n- "
MISTAKES = [
    (
        RULES + "level: None\n  user: [a]\n- level: Some\n",
        ["5: rules::0::user: unknown key; did you mean users?", "6: rules::1::level"],
    ),
    ("kind: Policy\nrules: []\n", ["p.yaml: apiVersion: is missing; add it: audit.k8s.io/v1"]),
    (HEAD + "rules: []\n", ["p.yaml:3: rules: no rule"]),
    (HEAD.replace("v1", "v1beta1") + "rules: [{level: None}]", ["p.yaml:1: apiVersion"]),
    (RULES + "verbs: [get]\n", ["p.yaml:4: rules::0::level: is missing"]),
    (RULES + "level: None\n  verbs: get\n", ["p.yaml:5: rules::0::verbs: is not a list"]),
    (RULES + "level: None\n  users: [1, true]\n", ["rules::0::users::0", "rules::0::users::1"]),
    (RULES + "level: None\n  verbs: [on, 2026-01-02]\n", ["verbs::0", "verbs::1"]),
    (RULES + "level: None\n  level: Request\n", ["p.yaml:5: rules::0::level: the key is there"]),
    (RULES + "level: None\n  nonResourceURLs: [api, '/a*/b']\n", ["URLs::0", "URLs::1"]),
    (
        RULES + "level: None\n  nonResourceURLs: [/a]\n  namespaces: [b]\n",
        ["p.yaml:4: rules::0: a rule is for resources and namespaces, or for nonResourceURLs"],
    ),
    (RULES + "level: None\n  resources: [{group: apps/v1}]\n", ["resources::0::group"]),
    (RULES + "level: None\n  resources: [{grp: apps}]\n", ["::grp: unknown key; did you mean"]),
    (RULES + "level: None\n  resources: [{resourceNames: [a]}]\n", ["resourceNames without"]),
    (HEAD + "omitStages: [Late]\nomitManagedFields: 1\nrules: [{level: None}]", ["l:3", "l:4"]),
    (HEAD + "omitResponseCodes: [9, ok]\nrules: [{level: None}]\n", ["Codes::0", "Codes::1"]),
    (RULES + "level: None\n  omit: Stages: a\n", ["p.yaml:5: not YAML"]),
    (RULES + "level: meta\n  level: all\n", ["the key is there twice", "'all' is not known"]),
    ("kind: Pod\nspec: {}\n", ["p.yaml:1: kind: 'Pod' is no Policy"]),
    ("", ["p.yaml: is empty"]),
    ("- a\n", ["p.yaml: is not a block of keys"]),
    ("[" * 3000, ["p.yaml: brackets or blocks are nested too deeply"]),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_every_mistake_is_told_with_its_line(text: str, told: list[str]) -> None:
    """All at once, one a line."""
    with pytest.raises(ConfigError) as caught:
        parse_policy(text, "p.yaml")
    for part in told:
        assert part in str(caught.value)


def test_of_another_kind_of_object_nothing_else_is_told() -> None:
    """All of it would be wrong."""
    with pytest.raises(ConfigError) as caught:
        parse_policy("apiVersion: v1\nkind: Pod\nspec: {}\n", "p.yaml")
    assert len(caught.value.mistakes) == 1


def test_what_kubernetes_takes_for_a_boolean_is_one() -> None:
    """It reads YAML 1.1, and what is empty as what is not there."""
    text = (
        HEAD + "omitManagedFields: yes\nmetadata: {name: a}\nrules:\n- level: Metadata\n  users:\n"
    )
    policy = parse_policy(text, "p.yaml")
    assert policy.omit_managed_fields
    assert policy.rules[0].users == frozenset()
    assert policy.rules[0].omit_managed_fields is None


def test_a_policy_may_be_long() -> None:
    """kube-apiserver sets no bound; one that aliases multiply has no end."""
    rules = "- {level: Metadata, users: [a, b], verbs: [get, list], namespaces: [c]}\n" * 3_000
    assert len(parse_policy(f"{HEAD}rules:\n{rules}", "p.yaml").rules) == 3_000
    bomb = "".join(f"x{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 20)}]\n" for n in range(1, 9))
    with pytest.raises(ConfigError, match="more than 400000 values"):
        parse_policy(f"x0: &a0 [a]\n{bomb}", "p.yaml")
