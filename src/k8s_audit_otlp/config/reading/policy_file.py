"""Reads an audit.k8s.io/v1 Policy, or every mistake in it with its line. No I/O.

Strictly, as kube-apiserver does: a text is no number, and an unknown key is a mistake.
"""

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from k8s_audit_otlp.config.blocks import ConfigBlock
from k8s_audit_otlp.config.mistakes import ConfigError, Mistake
from k8s_audit_otlp.config.reading.document import Yaml11Loader, read_document
from k8s_audit_otlp.config.reading.model_errors import explain
from k8s_audit_otlp.config.types import mistake, shown
from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.event.policy_rules import GroupResources, PolicyRule

# k8s.io/apimachinery pkg/api/validation NameIsDNSSubdomain
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_GROUP_CHARS = 253
API_VERSION = "audit.k8s.io/v1"
_OTHER = "name the file of --audit-policy-file, or one that k8s-audit-otlp apiserver policy prints"


def _group(name: str) -> str:
    valid = _DNS_SUBDOMAIN.fullmatch(name) and len(name) <= _MAX_GROUP_CHARS
    if name not in ("", "*") and not valid:
        raise mistake(f"{name!r} is no API group", "write it without its version")
    return name


def _path(path: str) -> str:
    if path != "*" and not path.startswith("/"):
        raise mistake(f"{path!r} does not begin with a slash", f"write /{path}")
    if "*" in path[:-1]:
        raise mistake(f"{path!r} holds a * within", "write * as its last character only")
    return path


Names = frozenset[str]
Stages = frozenset[Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]]
Codes = frozenset[Annotated[int, Field(strict=True, ge=100, le=599)]]


class _Block(ConfigBlock):
    model_config = ConfigDict(coerce_numbers_to_str=False)


class _GroupResources(_Block):
    group: Annotated[str, AfterValidator(_group)] = ""
    resources: tuple[str, ...] = ()
    names: Names = Field(Names(), alias="resourceNames")

    @model_validator(mode="after")
    def _names_have_a_resource(self) -> "_GroupResources":
        if self.names and not self.resources:
            raise mistake("resourceNames without resources", "write resources beside it")
        return self


class _Rule(_Block):
    level: Literal["None", "Metadata", "Request", "RequestResponse"] = Field(
        description="None, Metadata, Request or RequestResponse."
    )
    users: Names = Names()
    groups: Names = Field(Names(), alias="userGroups")
    verbs: Names = Names()
    namespaces: Names = Names()
    resources: tuple[_GroupResources, ...] = ()
    paths: tuple[Annotated[str, AfterValidator(_path)], ...] = Field((), alias="nonResourceURLs")
    omit_stages: Stages = Field(Stages(), alias="omitStages")
    omit_codes: Codes = Field(Codes(), alias="omitResponseCodes")
    omit_managed_fields: bool | None = Field(None, alias="omitManagedFields", strict=True)

    @model_validator(mode="after")
    def _is_for_one_kind(self) -> "_Rule":
        if self.paths and (self.resources or self.namespaces):
            raise mistake(
                "a rule is for resources and namespaces, or for nonResourceURLs, not for both",
                "make two rules of it",
            )
        return self

    def rule(self) -> PolicyRule:
        groups = tuple(GroupResources(**dict(one)) for one in self.resources)
        return PolicyRule(**{**dict(self), "resources": groups})


class _Policy(_Block):
    api_version: Literal["audit.k8s.io/v1"] = Field(
        alias="apiVersion", description="audit.k8s.io/v1."
    )
    kind: Literal["Policy"] = Field(description="Policy.")
    metadata: Any = None
    rules: tuple[_Rule, ...] = Field(description="a list, at least `- level: Metadata`.")
    omit_stages: Stages = Field(Stages(), alias="omitStages")
    omit_codes: Codes = Field(Codes(), alias="omitResponseCodes")
    omit_managed_fields: bool = Field(False, alias="omitManagedFields", strict=True)

    @field_validator("rules")
    @classmethod
    def _has_rules(cls, rules: tuple[_Rule, ...]) -> tuple[_Rule, ...]:
        if not rules:
            raise mistake("no rule", "write at least `- level: Metadata`")
        return rules

    def policy(self) -> Policy:
        rules = tuple(rule.rule() for rule in self.rules)
        return Policy(rules, self.omit_stages, self.omit_codes, self.omit_managed_fields)


def parse_policy(text: str, file_name: str) -> Policy:
    """Return the policy that *text* says. Raise ConfigError with every mistake in it."""
    document, found = read_document(text, Yaml11Loader), None
    mistakes = [*document.mistakes]
    if not document.lines and not mistakes:
        mistakes = [Mistake("", "is empty", f"write an {API_VERSION} Policy")]
    elif isinstance(document.tree, dict) and document.tree.get("kind", "Policy") != "Policy":
        mistakes = [Mistake("kind", f"{shown(document.tree['kind'])} is no Policy", _OTHER)]
    elif document.lines:
        try:
            found = _Policy.model_validate(document.tree)
        except ValidationError as error:
            mistakes += explain(error, _Policy, "", ())
    if found is None or mistakes:
        placed = (replace(one, line=one.line or document.line_of(one.where)) for one in mistakes)
        raise ConfigError(file_name, placed)
    return found.policy()
