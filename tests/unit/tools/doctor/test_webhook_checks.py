"""How kube-apiserver posts to a webhook: what would be lost is said before it is."""

from pathlib import Path

import pytest

from k8s_audit_otlp.apiserver.observed import Apiserver, audit_flags
from k8s_audit_otlp.apiserver.webhook import flags
from k8s_audit_otlp.tools.doctor import apiserver_checks
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts
from k8s_audit_otlp.tools.doctor.verdict import CheckResult, State
from k8s_audit_otlp.tools.doctor.webhook_checks import CHECKS

TABLE = {check.name: check.look for check in (*apiserver_checks.CHECKS, *CHECKS)}
MIB = 1 << 20
POLICY = "--audit-policy-file=/etc/policy.yaml"
LOG = "--audit-log-path=/var/log/kubernetes/audit.log"
POSTS = "--audit-webhook-config-file=/etc/webhook.yaml"
GIVEN_UP, BATCHES = "apiserver.webhook", "apiserver.webhook-batches"


def look(name: str, *more: str, most_body: int = 64 * MIB) -> CheckResult | None:
    found = audit_flags([POLICY, *(f"--audit-{one}" if one[:2] != "--" else one for one in more)])
    return TABLE[name](ApiserverFacts(Apiserver(found), Path("/"), most_body=most_body))


@pytest.mark.parametrize(
    ("name", "state", "said", "more"),
    [
        (GIVEN_UP, State.SKIPPED, "no webhook", [LOG]),
        (GIVEN_UP, State.WARN, "within 1m21s, and what does not fit into its buffer", [POSTS]),
        (GIVEN_UP, State.WARN, "within 8s", [POSTS, "webhook-initial-backoff=1s"]),
        (GIVEN_UP, State.OK, "is in /var/log/kubernetes/audit.log", [POSTS, LOG]),
        (GIVEN_UP, State.WARN, "waits up to 1m21s", [POSTS, LOG, "webhook-mode=blocking"]),
        (GIVEN_UP, State.WARN, "refuses", [POSTS, LOG, "webhook-mode=blocking-strict"]),
        (GIVEN_UP, State.FAIL, "is none", [POSTS, "webhook-mode=fast"]),
        (GIVEN_UP, State.FAIL, "no duration", [POSTS, "webhook-initial-backoff=soon"]),
        (BATCHES, State.SKIPPED, "no webhook", [LOG]),
        (BATCHES, State.SKIPPED, "by itself", [POSTS, "webhook-mode=blocking"]),
        (BATCHES, State.OK, "at most 4,000 events/s, and 10,000 more", [POSTS]),
        (BATCHES, State.OK, "as fast", [POSTS, "webhook-batch-throttle-enable=false"]),
        (BATCHES, State.WARN, "at most 400 events/s", [POSTS, "webhook-batch-throttle-qps=1"]),
        (BATCHES, State.WARN, "and 50 more", [POSTS, "webhook-batch-buffer-size=50"]),
        (BATCHES, State.WARN, "over 6.6 KiB each", [POSTS, "webhook-batch-max-size=10000"]),
        (BATCHES, State.FAIL, "131072", [POSTS, "webhook-batch-max-size=200000"]),
        (BATCHES, State.FAIL, "no number", [POSTS, "webhook-batch-max-size=many"]),
        ("apiserver.truncation", State.WARN, "lose", [POSTS, "--audit-webhook-truncate-enabled"]),
    ],
)
def test_what_a_webhook_would_lose_is_said(
    name: str, state: State, said: str, more: list[str]
) -> None:
    """By the apiserver's own defaults, where a flag is not set."""
    found = look(name, *more)
    assert found.state is state
    assert said in found.why
    assert found.hint or state in {State.OK, State.SKIPPED}


@pytest.mark.parametrize("mode", ["batch", "blocking"])
def test_the_flags_that_are_printed_pass_beside_a_log(mode: str) -> None:
    """What the product asks for is what the doctor asks for."""
    for name in TABLE:
        found = look(name, LOG, *flags("/etc/webhook.yaml", mode))
        if "webhook" in name:
            assert found.state in {State.OK, State.SKIPPED}, found


def test_an_apiserver_that_only_posts_is_no_fault() -> None:
    """A hosted control plane writes no file; then nothing is said of one."""
    assert look("apiserver.flags", POSTS).state is State.OK
    assert look("apiserver.flags").state is State.FAIL
    for name in ("log-path", "log-mount", "mode", "retention"):
        assert look(f"apiserver.{name}", POSTS).state is State.SKIPPED, name
