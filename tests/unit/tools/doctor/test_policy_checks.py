"""What a policy lets into the log: the published recipe's holes are found, ours has none."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from k8s_audit_otlp.apiserver import profiles
from k8s_audit_otlp.apiserver.observed import Apiserver
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts, Process
from k8s_audit_otlp.tools.doctor.findings import CheckResult, State
from k8s_audit_otlp.tools.doctor.policy_checks import CHECKS
from tests.kit.present import present

TABLE = dict(CHECKS)
HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
EVERYTHING = HEAD + "- level: RequestResponse\n"
SECRETS = '- level: Metadata\n  resources: [{group: "", resources: [secrets]}]\n'


def facts(
    policy: str | None,
    *,
    started: Any = 1000.0,
    changed: Any = 500.0,
    path: str = "/etc/kubernetes/audit-policy.yml",
) -> ApiserverFacts:
    return ApiserverFacts(
        Apiserver({"audit-policy-file": path} if path else {}),
        Path("/"),
        policy=policy,
        policy_trouble="" if policy is not None else os.strerror(2),
        policy_changed_s=changed,
        process=Process(1, {}, started),
    )


GOOD = facts(profiles.text_of("recipe"))
BAD = {
    "policy.loads": [
        (facts(None), "No such file"),
        (facts(HEAD + "- level: Metadata\n nodes: x\n"), "audit-policy.yml:5"),
        (facts(HEAD + "- level: Everything\n"), "Everything"),
    ],
    "policy.secrets": [
        (facts(EVERYTHING), "Secrets and service account tokens and tokens under review"),
        (facts(HEAD + SECRETS + "- level: RequestResponse\n"), "service account tokens"),
        (facts(HEAD + SECRETS + "- level: Request\n"), "tokens under review"),
    ],
    "policy.configmaps": [(facts(HEAD + "- level: Request\n"), "ConfigMaps")],
    "policy.keeps": [
        (facts(HEAD + "- level: None\n"), "pods or cluster role bindings"),
        (facts(HEAD + "- level: None\n  verbs: [create]\n- level: Metadata\n"), "pods"),
        (facts(HEAD + "- level: Metadata\n  omitStages: [ResponseComplete]\n"), "pods"),
    ],
    "policy.loaded": [(facts(EVERYTHING, changed=1500.0), "by the old one")],
}


def judge(name: str, facts: ApiserverFacts) -> CheckResult:
    return present(TABLE[name](facts))


@pytest.mark.parametrize("name", TABLE)
def test_the_printed_policy_passes(name: str) -> None:
    """What the product prints is what the doctor asks for."""
    assert judge(name, GOOD).state is State.OK


@pytest.mark.parametrize(
    ("name", "bad", "said"), [(name, *case) for name, of in BAD.items() for case in of]
)
def test_one_thing_wrong_is_found(name: str, bad: ApiserverFacts, said: str) -> None:
    """By its own check, with the reason and a hint."""
    verdict = judge(name, bad)
    assert verdict.state in {State.FAIL, State.WARN}
    assert said in verdict.why
    assert verdict.hint


def test_every_check_has_a_bad_case() -> None:
    """No check without a test in which it fails."""
    assert BAD.keys() == TABLE.keys()


def test_a_leak_that_only_nodes_have_is_found() -> None:
    """Kubelets ask for most tokens; a policy may treat them apart."""
    text = HEAD + "- level: RequestResponse\n  userGroups: ['system:nodes']\n- level: Metadata\n"
    verdict = judge("policy.secrets", facts(text))
    assert verdict.state is State.FAIL
    assert "rule 1" in verdict.why


def test_a_policy_that_does_not_load_is_said_once() -> None:
    """The other checks are skipped."""
    states = {name: judge(name, facts("{")).state for name in TABLE}
    assert states.pop("policy.loads") is State.FAIL
    assert states.pop("policy.loaded") is State.OK
    assert set(states.values()) == {State.SKIPPED}


def test_without_a_process_in_sight_its_age_is_not_guessed() -> None:
    """In a pod without hostPID there is none."""
    unseen = dataclasses.replace(GOOD, process=None)
    assert judge("policy.loaded", unseen).state is State.SKIPPED
