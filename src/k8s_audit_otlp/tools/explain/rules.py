"""Describes the rules of a policy: number, line in the file, and in words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from k8s_audit_otlp.config.reading.document import Yaml11Loader, read_document
from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.event.policy_rules import GroupResources, PolicyRule

NO_RULE = "no rule"
NO_POLICY = "no policy"
UNREAD = "not an event"


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule; `line` is 0 where none stands in a file."""

    name: str
    level: str
    text: str
    line: int = 0


# What happens beside the rules of a file.
OTHERS = {
    NO_RULE: RuleText(NO_RULE, "None", "no rule matches, so the event is dropped"),
    NO_POLICY: RuleText(NO_POLICY, "", "every event is kept at the level it was logged at"),
    UNREAD: RuleText(UNREAD, "", "lines that are no event: kept, without their text"),
}


def rule_texts(policy: Policy | None, text: str) -> dict[str, RuleText]:
    """Return the rules by the names that decisions give them; none without a policy."""
    lines = read_document(text, Yaml11Loader).lines
    return {
        name: RuleText(name, rule.level, in_words(rule), lines.get(f"rules::{i}", 0))
        for i, rule in enumerate(policy.rules if policy else ())
        if (name := f"rule {i + 1}")
    }


def in_words(rule: PolicyRule) -> str:
    """Write the conditions of a rule; one without any takes everything."""
    parts = [
        _listed("users", rule.users),
        _listed("groups", rule.groups),
        _listed("verbs", rule.verbs),
        _listed("namespaces", rule.namespaces, empty="cluster scope"),
        _resources(rule.resources),
        _listed("paths", rule.paths),
        _listed("not at stage", rule.omit_stages),
        _listed("not with code", map(str, rule.omit_codes)),
    ]
    return " · ".join(filter(None, parts)) or "everything else"


def _listed(what: str, values: Iterable[str], *, empty: str = '""') -> str:
    names = [value or empty for value in sorted(values)]
    return f"{what} {', '.join(names)}" if names else ""


def _resources(groups: Sequence[GroupResources]) -> str:
    whole = [_group(one.group) for one in groups if not one.resources]
    parts = [f"all of {', '.join(whole)}"] if whole else []
    for one in groups:
        if one.resources:
            names = f" named {', '.join(sorted(one.names))}" if one.names else ""
            parts.append(f"{', '.join(one.resources)} ({_group(one.group)}){names}")
    return "; ".join(parts)


def _group(name: str) -> str:
    return {"": "core", "*": "any group"}.get(name, name)
