"""Audit policies: upstream's semantics, clause by clause, and a policy that can only take away."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s_audit_otlp.config.reading.policy_file import parse_policy
from k8s_audit_otlp.event.policy import Kept, Policy
from k8s_audit_otlp.event.stages import Dropped
from k8s_audit_otlp.model import EMPTY, AuditEvent

decode = msgspec.json.Decoder(AuditEvent).decode
SHIPPED = sorted((Path(__file__).parents[3] / "otel-config" / "policies").glob("*.yaml"))
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
PATCH = "patch.webhook.admission.k8s.io/round_0_index_0"


def policy_of(*rules: str, head: str = "") -> Policy:
    return parse_policy(f"{HEAD}{head}\nrules:\n" + "\n".join(f"- {r}" for r in rules), "p.yaml")


def line_of(**members: Any) -> bytes:
    event: dict[str, Any] = {
        "kind": "Event",
        "level": "RequestResponse",
        "auditID": "a",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/shop/pods/web",
        "verb": "update",
        "user": {"username": "alice", "groups": ["dev", "system:authenticated"]},
        "objectRef": {"resource": "pods", "namespace": "shop", "name": "web"},
        "responseStatus": {"code": 200},
        "requestObject": {"metadata": {"name": "web", "managedFields": [{"a": 1}]}, "n": 1.50},
        "responseObject": {"kind": "Pod", "metadata": {"managedFields": [], "name": "web"}},
        "stageTimestamp": "2026-01-02T03:04:05.000006Z",
        "annotations": {"a/b": "c"},
    }
    event |= members
    kept = {k: v for k, v in event.items() if v is not None}
    return json.dumps(kept, separators=(",", ":")).encode()


def ref(resource: str, **members: str) -> dict[str, Any]:
    name, _, sub = resource.partition("/")
    return {"objectRef": {"resource": name, "subresource": sub, **members}}


PATH: dict[str, Any] = {"objectRef": None, "requestURI": "/healthz/ready?verbose"}
NOBODY: dict[str, Any] = {"user": {}, "stage": "ResponseStarted"}

# (rule, members of the event, does the rule match)
CLAUSES: list[tuple[str, dict[str, Any], bool]] = [
    ("level: Metadata", {}, True),
    ("level: Metadata", PATH, True),
    ("{level: Metadata, users: [alice]}", {}, True),
    ("{level: Metadata, users: [bob]}", {}, False),
    ("{level: Metadata, users: ['']}", NOBODY, False),
    ("{level: Metadata, userGroups: [ops, dev]}", {}, True),
    ("{level: Metadata, userGroups: [ops]}", {}, False),
    ("{level: Metadata, userGroups: [ops]}", NOBODY, False),
    ("{level: Metadata, users: [alice], userGroups: [ops]}", {}, False),
    ("{level: Metadata, users: [bob]}", {"impersonatedUser": {"username": "bob"}}, False),
    ("{level: Metadata, verbs: [get, update]}", {}, True),
    ("{level: Metadata, verbs: ['*']}", {}, False),
    ("{level: Metadata, namespaces: [shop]}", {}, True),
    ("{level: Metadata, namespaces: [kube-system]}", {}, False),
    ("{level: Metadata, namespaces: ['']}", ref("nodes"), True),
    ("{level: Metadata, namespaces: ['']}", {}, False),
    ("{level: Metadata, namespaces: ['']}", PATH, False),
    ("{level: Metadata, resources: [{}]}", {}, True),
    ("{level: Metadata, resources: [{group: ''}]}", {}, True),
    ("{level: Metadata, resources: [{group: ''}]}", PATH, False),
    ("{level: Metadata, resources: [{group: apps}]}", {}, False),
    ("{level: Metadata, resources: [{group: apps}]}", ref("deployments", apiGroup="apps"), True),
    ("{level: Metadata, resources: [{group: '*'}]}", ref("deployments", apiGroup="apps"), True),
    ("{level: Metadata, resources: [{resources: [pods]}]}", {}, True),
    ("{level: Metadata, resources: [{resources: [pods]}]}", ref("pods/log"), False),
    ("{level: Metadata, resources: [{resources: [pods/log]}]}", ref("pods/log"), True),
    ("{level: Metadata, resources: [{resources: [pods/log]}]}", {}, False),
    ("{level: Metadata, resources: [{resources: [pods/*]}]}", ref("pods/log"), True),
    ("{level: Metadata, resources: [{resources: [pods/*]}]}", {}, True),
    ("{level: Metadata, resources: [{resources: [pods/*]}]}", ref("podsets/log"), False),
    ("{level: Metadata, resources: [{resources: ['*/scale']}]}", ref("things/scale"), True),
    ("{level: Metadata, resources: [{resources: ['*/scale']}]}", ref("scale"), False),
    ("{level: Metadata, resources: [{resources: ['*']}]}", ref("pods/log"), True),
    ("{level: Metadata, resources: [{resources: ['*/*']}]}", ref("pods/log"), False),
    ("{level: Metadata, resources: [{resources: [pods], resourceNames: [web]}]}", {}, True),
    ("{level: Metadata, resources: [{resources: [pods], resourceNames: [db]}]}", {}, False),
    (
        "{level: Metadata, resources: [{resources: [pods], resourceNames: [web]}]}",
        {"verb": "create", "requestURI": "/api/v1/namespaces/shop/pods?dryRun=All"},
        False,  # the name in objectRef came from the body, which the checker has not seen
    ),
    ("{level: Metadata, resources: [{resources: [a]}, {resources: [pods]}]}", {}, True),
    ("{level: Metadata, namespaces: [other], resources: [{group: ''}]}", {}, False),
    ("{level: Metadata, nonResourceURLs: ['/healthz*']}", PATH, True),
    ("{level: Metadata, nonResourceURLs: [/healthz]}", PATH, False),
    ("{level: Metadata, nonResourceURLs: [/healthz/ready]}", PATH, True),
    ("{level: Metadata, nonResourceURLs: ['*']}", PATH, True),
    ("{level: Metadata, nonResourceURLs: ['*']}", {}, False),
    ("{level: Metadata, nonResourceURLs: ['/api*']}", {}, False),
    ("{level: Metadata, nonResourceURLs: ['/a b']}", PATH | {"requestURI": "/a%20b"}, True),
    ("{level: Metadata, users: []}", {}, True),
]


@pytest.mark.parametrize(("rule", "members", "matches"), CLAUSES)
def test_a_rule_matches_as_upstream_says(rule: str, members: dict[str, Any], matches: bool) -> None:
    """Each clause of the checker, and an event that no rule matches is dropped."""
    decision = policy_of(rule).decide(decode(line_of(**members)))
    assert (decision.rule, decision.omitted) == (
        ("rule 1", False) if matches else ("no rule", True)
    )


def test_the_first_match_wins() -> None:
    """Even when a later rule would keep more."""
    policy = policy_of(
        "{level: None, users: [bob]}", "{level: None, verbs: [update]}", "level: Request"
    )
    line = line_of()
    assert policy.apply(decode(line), line) == Dropped("rule 2")


LEVELS = ["Metadata", "Request", "RequestResponse"]


@pytest.mark.parametrize("written", LEVELS)
@pytest.mark.parametrize("asked", LEVELS)
def test_a_policy_lowers_and_never_raises(written: str, asked: str) -> None:
    """Bodies above the lower of both levels go; every other byte stays."""
    bodies = {
        "requestObject": None if written == "Metadata" else {"a": 1},
        "responseObject": {"b": 2} if written == "RequestResponse" else None,
    }
    line = line_of(level=written, **bodies)
    kept = policy_of(f"level: {asked}").apply(decode(line), line)
    assert isinstance(kept, Kept)
    level = LEVELS[min(LEVELS.index(written), LEVELS.index(asked))]
    expected = {
        "level": level,
        "requestObject": None if level == "Metadata" else {"a": 1},
        "responseObject": {"b": 2} if level == "RequestResponse" else None,
    }
    assert kept.line == line_of(**expected)
    assert kept.event.level == level
    assert (kept.event.request_object is EMPTY) == (level == "Metadata")


def test_metadata_has_no_webhook_patches() -> None:
    """Upstream writes them from level Request on: they repeat the body."""
    for others in ({}, {"a/b": "c"}):
        line = line_of(annotations={PATCH: "{}", **others})
        kept = policy_of("level: Metadata").apply(decode(line), line)
        assert isinstance(kept, Kept)
        bare = line_of(level="Metadata", requestObject=None, responseObject=None)
        expected = json.loads(bare) | {"annotations": others}
        assert json.loads(kept.line) == {k: v for k, v in expected.items() if v != {}}
        assert kept.event == decode(kept.line)


OMITTED = [
    ("omitStages: [ResponseComplete]", "level: Metadata", "rule 1 stage"),
    ("", "{level: Metadata, omitStages: [ResponseComplete]}", "rule 1 stage"),
    ("omitStages: [Panic]", "{level: Metadata, omitStages: [ResponseComplete]}", "rule 1 stage"),
    ("omitStages: [ResponseComplete]", "{level: Metadata, omitStages: [Panic]}", "rule 1 stage"),
    ("omitResponseCodes: [200]", "level: Metadata", "rule 1 code"),
    ("", "{level: Metadata, omitResponseCodes: [404, 200]}", "rule 1 code"),
    ("omitStages: [Panic]\nomitResponseCodes: [404]", "level: Metadata", ""),
]


@pytest.mark.parametrize(("head", "rule", "dropped"), OMITTED)
def test_stages_and_codes_are_omitted_on_both_levels(head: str, rule: str, dropped: str) -> None:
    """The union of the policy's and the rule's counts."""
    line = line_of()
    result = policy_of(rule, head=head).apply(decode(line), line)
    assert (result.rule if isinstance(result, Dropped) else "") == dropped


MANAGED = [
    ("", "level: RequestResponse", True),
    ("omitManagedFields: true", "level: RequestResponse", False),
    ("omitManagedFields: true", "{level: RequestResponse, omitManagedFields: false}", True),
    ("omitManagedFields: false", "{level: RequestResponse, omitManagedFields: true}", False),
]


@pytest.mark.parametrize(("head", "rule", "stays"), MANAGED)
def test_managed_fields_go_where_the_rule_or_else_the_policy_says(
    head: str,
    rule: str,
    stays: bool,
) -> None:
    """From objects, lists and tables; a patch stays as it was sent; other bytes stay."""
    line = line_of()
    kept = policy_of(rule, head=head).apply(decode(line), line)
    assert isinstance(kept, Kept)
    bare = line.replace(b',"managedFields":[{"a":1}]', b"").replace(b'"managedFields":[],', b"")
    assert kept.line == (line if stays else bare)
    patch = line_of(verb="patch", responseObject={"items": [{"metadata": {"managedFields": [1]}}]})
    kept = policy_of(rule, head=head).apply(decode(patch), patch)
    assert isinstance(kept, Kept)
    assert b'"managedFields":[{"a":1}]' in kept.line
    assert (b'"managedFields":[1]' in kept.line) == stays


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_policies_load_and_keep_what_they_promise(path: Path) -> None:
    """Failed authentications, exec and changes of RBAC are in every one but for its own reasons."""
    policy = parse_policy(path.read_text(), path.name)
    role = ref("clusterroles", apiGroup="rbac.authorization.k8s.io") | {"verb": "create"}
    for members in (role, ref("pods/exec") | {"verb": "get"}):
        assert not policy.decide(decode(line_of(**members))).omitted
    failed = line_of(**NOBODY, verb="list", level="Metadata")
    assert policy.decide(decode(failed)).omitted == (path.stem == "mutations-only")
    for resource in ("secrets", "serviceaccounts/token", "configmaps"):
        line = line_of(**ref(resource), verb="create")
        kept = policy.apply(decode(line), line)
        assert isinstance(kept, Dropped) or kept.event.level == "Metadata"


names = st.sampled_from(["alice", "bob", "pods", "web", "", "get", "shop", "*", "pods/*"])


@settings(max_examples=100, deadline=None)
@given(
    event=st.fixed_dictionaries(
        {},
        optional={
            "level": names | st.sampled_from(LEVELS),
            "stage": names,
            "verb": names,
            "requestURI": st.text(max_size=20),
            "user": st.fixed_dictionaries({"username": names}),
            "objectRef": st.fixed_dictionaries({"resource": names, "name": names}),
            "responseStatus": st.fixed_dictionaries({"code": st.integers(0, 600)}),
            "requestObject": st.dictionaries(names, st.dictionaries(names, names)),
            "responseObject": st.lists(names),
            "annotations": st.dictionaries(names | st.just(PATCH), names),
            "future": st.dictionaries(names, names),
        },
    ),
    level=st.sampled_from(LEVELS),
)
def test_any_event_passes_or_goes_but_never_crashes(event: dict[str, Any], level: str) -> None:
    """What stays is JSON that agrees with the event, and no longer than before but for spacing."""
    line = json.dumps(event, separators=(",", ":")).encode()
    kept = policy_of(f"level: {level}", head="omitManagedFields: true").apply(decode(line), line)
    assert isinstance(kept, Kept)
    again = decode(kept.line)
    for field in ("level", "stage", "verb", "user", "annotations"):
        assert (getattr(again, field) or None) == (getattr(kept.event, field) or None)
