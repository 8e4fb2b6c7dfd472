"""The audit policies that come with the package, and whether a policy file would load.

In: a profile's name, or the text of a policy. Out: its text, or every mistake in it.
"""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from k8s_audit_otlp.setup.settings import RefusalError

# kubernetes/apiserver pkg/apis/audit/validation/validation.go and pkg/audit/policy/reader.go
LEVELS = frozenset({"None", "Metadata", "Request", "RequestResponse"})
STAGES = frozenset({"RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"})
API_VERSION = "audit.k8s.io/v1"
POLICY_KEYS = frozenset(
    {"apiVersion", "kind", "metadata", "rules", "omitStages"}
    | {
        "omitManagedFields",
    }
)
RULE_KEYS = frozenset({
    "level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs",
    "omitStages", "omitManagedFields",
})  # fmt: skip


def names(folder: Traversable | None = None) -> list[str]:
    """List the profiles that can be printed."""
    return sorted(
        entry.name.removesuffix(".yaml")
        for entry in _folder(folder).iterdir()
        if entry.name.endswith(".yaml")
    )


def text_of(name: str, folder: Traversable | None = None) -> str:
    """Return the policy of a profile, comments and all."""
    if name not in (known := names(folder)):
        raise RefusalError(f"--profile: there is no {name!r}; choose one of {', '.join(known)}")
    return (_folder(folder) / f"{name}.yaml").read_text(encoding="utf-8")


def mistakes(text: str) -> list[str]:
    """Say why kube-apiserver would not load this policy; empty where it would."""
    try:
        policy = yaml.safe_load(text)
    except yaml.YAMLError as error:
        return [f"not YAML: {error}"]
    if not isinstance(policy, dict):
        return ["not a mapping with apiVersion, kind and rules"]
    return list(_policy_mistakes(policy))


def _policy_mistakes(policy: Mapping[str, Any]) -> Iterator[str]:
    if policy.get("apiVersion") != API_VERSION or policy.get("kind") != "Policy":
        found = f"{policy.get('apiVersion')} {policy.get('kind')}"
        yield f"is {found}, must be {API_VERSION} Policy"
    yield from (f"{key}: unknown key" for key in policy if key not in POLICY_KEYS)
    yield from _stage_mistakes("omitStages", policy)
    rules = policy.get("rules")
    if not isinstance(rules, list) or not rules:
        yield "rules: must hold at least one rule"
        return
    for at, rule in enumerate(rules):
        if isinstance(rule, dict):
            yield from (f"rules[{at}]{fault}" for fault in _rule_mistakes(rule))
        else:
            yield f"rules[{at}]: not a mapping"


def _rule_mistakes(rule: Mapping[str, Any]) -> Iterator[str]:
    yield from (f".{key}: unknown key" for key in rule if key not in RULE_KEYS)
    if rule.get("level") not in LEVELS:
        yield f".level: {rule.get('level')!r} is none of {', '.join(sorted(LEVELS))}"
    if rule.get("nonResourceURLs") and (rule.get("resources") or rule.get("namespaces")):
        yield ".nonResourceURLs: cannot stand beside resources or namespaces"
    for url in rule.get("nonResourceURLs") or []:
        if url != "*" and not (str(url).startswith("/") and "*" not in str(url)[:-1]):
            yield f".nonResourceURLs: {url!r} must start with / and have * only at its end"
    for resource in rule.get("resources") or []:
        if not isinstance(resource, dict) or "/" in str(resource.get("group", "")):
            yield f".resources: {resource!r} must name a group without its version"
        elif resource.get("resourceNames") and not resource.get("resources"):
            yield ".resources: resourceNames needs resources beside it"
    yield from (f".{fault}" for fault in _stage_mistakes("omitStages", rule))


def _stage_mistakes(key: str, node: Mapping[str, Any]) -> Iterator[str]:
    for stage in node.get(key) or []:
        if stage not in STAGES:
            yield f"{key}: {stage!r} is none of {', '.join(sorted(STAGES))}"


def _folder(folder: Traversable | None) -> Traversable:
    return folder if folder is not None else files(__package__) / "policies"
