"""Reads the rules of an audit.k8s.io/v1 Policy, or every mistake with its line."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml

from k8s_audit_otlp.event.policy_rules import LEVELS, STAGES, GroupResources, PolicyRule

API_VERSION = "audit.k8s.io/v1"
_TAG = "tag:yaml.org,2002:"
# k8s.io/apimachinery pkg/api/validation NameIsDNSSubdomain
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_GROUP_CHARS = 253

Read = Callable[[yaml.Node, str], Any]


class PolicyError(ValueError):
    """Every mistake of a policy file, one a line."""


class PolicyDocument(NamedTuple):
    rules: tuple[PolicyRule, ...]
    omit_stages: frozenset[str]
    omit_codes: frozenset[int]
    omit_managed_fields: bool


def read_policy(text: str, file_name: str) -> PolicyDocument:
    """Read strictly: unknown members and wrong types are mistakes, as is a repeated member."""
    reader = _PolicyReader(file_name)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file_name}:{mark.line + 1}" if mark else file_name
        what = getattr(error, "problem", None) or error
        if isinstance(error, RecursionError):
            what = "brackets or blocks are nested too deeply"
        raise PolicyError(f"{where}: {what}") from error
    document = reader.document(node) if node else None
    if document is None and not reader.mistakes:
        reader.mistakes.append(f"{file_name}: empty; an {API_VERSION} Policy is expected")
    if document is None or reader.mistakes:
        raise PolicyError("\n".join(reader.mistakes))
    return document


class _PolicyReader:
    def __init__(self, file_name: str) -> None:
        self.file_name = file_name
        self.mistakes: list[str] = []

    def wrong(self, node: yaml.Node, where: str, what: str) -> None:
        line = node.start_mark.line + 1
        self.mistakes.append(f"{self.file_name}:{line}: {where}: {what}")

    def is_another_kind(self, node: yaml.Node) -> bool:
        """Say so where the file is an object of another kind: all else in it would be wrong too."""
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        kinds = [value for key, value in pairs if key.value == "kind"]
        if not kinds or kinds[0].value == "Policy":
            return False
        self.wrong(kinds[0], "kind", f"{kinds[0].value!r} is none of Policy")
        return True

    def document(self, node: yaml.Node) -> PolicyDocument | None:
        if self.is_another_kind(node):
            return None
        found = self.mapping(node, "policy", {
            "apiVersion": self.exactly(API_VERSION), "kind": self.exactly("Policy"),
            "metadata": lambda _node, _where: {}, "rules": self.rules, "omitStages": self.stages,
            "omitManagedFields": self.boolean, "omitResponseCodes": self.codes,
        })  # fmt: skip
        for name in ("apiVersion", "kind", "rules"):
            if found is not None and name not in found:
                self.wrong(node, name, "missing")
        if found is None:
            return None
        return PolicyDocument(
            found.get("rules") or (),
            found.get("omitStages") or frozenset(),
            found.get("omitResponseCodes") or frozenset(),
            found.get("omitManagedFields") or False,
        )

    def rules(self, node: yaml.Node, where: str) -> tuple[PolicyRule, ...]:
        rules = tuple(self.sequence(node, where, self.rule))
        if not rules and not self.mistakes:
            self.wrong(node, where, "no rule; write at least `- level: Metadata`")
        return tuple(rule for rule in rules if rule)

    def rule(self, node: yaml.Node, where: str) -> PolicyRule | None:
        found = self.mapping(node, where, {
            "level": self.one_of(LEVELS), "users": self.strings, "userGroups": self.strings,
            "verbs": self.strings, "namespaces": self.strings, "resources": self.resources,
            "nonResourceURLs": self.paths, "omitStages": self.stages,
            "omitManagedFields": self.boolean, "omitResponseCodes": self.codes,
        })  # fmt: skip
        if found is None:
            return None
        if "level" not in found:
            self.wrong(node, f"{where}.level", f"missing; one of {', '.join(LEVELS)}")
        if found.get("nonResourceURLs") and (found.get("resources") or found.get("namespaces")):
            both = "a rule is for resources and namespaces, or for nonResourceURLs, not for both"
            self.wrong(node, where, both)
        return PolicyRule(
            level=found.get("level") or "None",
            users=frozenset(found.get("users") or ()),
            groups=frozenset(found.get("userGroups") or ()),
            verbs=frozenset(found.get("verbs") or ()),
            namespaces=frozenset(found.get("namespaces") or ()),
            resources=found.get("resources") or (),
            paths=found.get("nonResourceURLs") or (),
            omit_stages=found.get("omitStages") or frozenset(),
            omit_codes=found.get("omitResponseCodes") or frozenset(),
            omit_managed_fields=found.get("omitManagedFields"),
        )

    def resources(self, node: yaml.Node, where: str) -> tuple[GroupResources, ...]:
        return tuple(item for item in self.sequence(node, where, self.group_resources) if item)

    def group_resources(self, node: yaml.Node, where: str) -> GroupResources | None:
        members: dict[str, Read] = {
            "group": self.group, "resources": self.strings, "resourceNames": self.strings,
        }  # fmt: skip
        found = self.mapping(node, where, members)
        if found is None:
            return None
        if found.get("resourceNames") and not found.get("resources"):
            self.wrong(node, f"{where}.resourceNames", "needs at least one entry in resources")
        return GroupResources(
            found.get("group") or "",
            found.get("resources") or (),
            frozenset(found.get("resourceNames") or ()),
        )

    def group(self, node: yaml.Node, where: str) -> str:
        group = self.string(node, where)
        valid = _DNS_SUBDOMAIN.fullmatch(group) and len(group) <= _MAX_GROUP_CHARS
        if group not in ("", "*") and not valid:
            self.wrong(node, where, f"{group!r} is no API group; write it without its version")
        return group

    def paths(self, node: yaml.Node, where: str) -> tuple[str, ...]:
        return tuple(self.sequence(node, where, self.path))

    def path(self, node: yaml.Node, where: str) -> str:
        path = self.string(node, where)
        if path != "*" and not path.startswith("/"):
            self.wrong(node, where, f"{path!r} must begin with a slash")
        if "*" in path[:-1]:
            self.wrong(node, where, f"{path!r} may hold * as its last character only")
        return path

    def stages(self, node: yaml.Node, where: str) -> frozenset[str]:
        return frozenset(self.sequence(node, where, self.one_of(STAGES)))

    def codes(self, node: yaml.Node, where: str) -> frozenset[int]:
        return frozenset(self.sequence(node, where, self.code))

    def code(self, node: yaml.Node, where: str) -> int:
        if node.tag == _TAG + "int" and re.fullmatch(r"[1-5]\d\d", node.value):
            return int(node.value)
        self.wrong(node, where, f"{shown(node)} is no HTTP status code")
        return 0

    def strings(self, node: yaml.Node, where: str) -> tuple[str, ...]:
        return tuple(self.sequence(node, where, self.string))

    def string(self, node: yaml.Node, where: str) -> str:
        if node.tag == _TAG + "str":
            return str(node.value)
        self.wrong(node, where, f"{shown(node)} is no string")
        return ""

    def boolean(self, node: yaml.Node, where: str) -> bool | None:
        if node.tag == _TAG + "null":
            return None
        if node.tag != _TAG + "bool":
            self.wrong(node, where, f"{shown(node)} is neither true nor false")
        return str(node.value).lower() in ("true", "yes", "on")

    def exactly(self, wanted: str) -> Read:
        return self.one_of((wanted,))

    def one_of(self, allowed: tuple[str, ...]) -> Read:
        def read(node: yaml.Node, where: str) -> str:
            value = self.string(node, where)
            if node.tag == _TAG + "str" and value not in allowed:
                self.wrong(node, where, f"{value!r} is none of {', '.join(allowed)}")
            return value

        return read

    def sequence(self, node: yaml.Node, where: str, read: Read) -> Iterator[Any]:
        if isinstance(node, yaml.SequenceNode):
            for i, item in enumerate(node.value):
                yield read(item, f"{where}[{i}]")
        elif node.tag != _TAG + "null":
            self.wrong(node, where, f"{shown(node)} is no list")

    def mapping(
        self, node: yaml.Node, where: str, members: dict[str, Read]
    ) -> dict[str, Any] | None:
        if not isinstance(node, yaml.MappingNode):
            self.wrong(node, where, f"{shown(node)} is no mapping of {', '.join(members)}")
            return None
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = str(key.value)
            path = name if where == "policy" else f"{where}.{name}"
            if name not in members:
                self.wrong(key, path, f"unknown; one of {', '.join(members)}")
            elif name in found:
                self.wrong(key, path, "stands here a second time")
            else:
                found[name] = members[name](value, path)
        return found


def shown(node: yaml.Node) -> str:
    return (
        repr(node.value)
        if isinstance(node, yaml.ScalarNode)
        else "a list"
        if isinstance(node, yaml.SequenceNode)
        else "a mapping"
    )
