"""Checks kube-apiserver's policy: whether it loads, and what it lets pass."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from k8s_audit_otlp.apiserver.profiles import mistakes
from k8s_audit_otlp.config.mistakes import ConfigError
from k8s_audit_otlp.config.reading.policy_file import parse_policy
from k8s_audit_otlp.event.policy import Policy
from k8s_audit_otlp.model import AuditEvent, ObjectRef, UserInfo
from k8s_audit_otlp.tools.doctor.apiserver_facts import ApiserverFacts
from k8s_audit_otlp.tools.doctor.findings import CheckResult, Checks, fail, ok, skipped, warn

PRINT = "print one that does not: k8s-audit-otlp apiserver policy"
_RANK = {"None": 0, "Metadata": 1, "Request": 2, "RequestResponse": 3}

# Who asks: an operator, a workload, a node's kubelet. Policies treat them differently.
USERS = (
    UserInfo("kubernetes-admin", groups=("kubeadm:cluster-admins", "system:authenticated")),
    UserInfo(
        "system:serviceaccount:shop:cart",
        groups=("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"),
    ),
    UserInfo("system:node:cp-1", groups=("system:nodes", "system:authenticated")),
)


class Leak(NamedTuple):
    """A request whose bodies hold secrets from a level on."""

    what: str
    resource: str
    verb: str
    from_level: str
    subresource: str = ""
    group: str = ""


# From which level on the body that holds the secret is written: kubernetes.io/docs/tasks/
# debug/debug-cluster/audit/#audit-policy. A TokenRequest's token is in its response only, a
# TokenReview's is in the request.
SECRETS = (
    Leak("Secrets", "secrets", "create", "Request"),
    Leak("Secrets", "secrets", "update", "Request"),
    Leak("Secrets", "secrets", "patch", "Request"),
    Leak("Secrets", "secrets", "get", "RequestResponse"),
    Leak("Secrets", "secrets", "list", "RequestResponse"),
    Leak("service account tokens", "serviceaccounts", "create", "RequestResponse", "token"),
    Leak(
        "tokens under review",
        "tokenreviews",
        "create",
        "Request",
        group="authentication.k8s.io",
    ),
)
CONFIG_MAPS = (
    Leak("ConfigMaps", "configmaps", "create", "Request"),
    Leak("ConfigMaps", "configmaps", "update", "Request"),
    Leak("ConfigMaps", "configmaps", "get", "RequestResponse"),
)
RBAC = "rbac.authorization.k8s.io"
EVERYDAY = (
    Leak("pods", "pods", "create", "Metadata"),
    Leak("cluster role bindings", "clusterrolebindings", "create", "Metadata", "", RBAC),
)


def loads(facts: ApiserverFacts) -> CheckResult:
    """Read it as kube-apiserver does, which does not start with one that it cannot read."""
    path = facts.apiserver.policy_path
    if facts.policy is None:
        return fail(
            f"{path}: {facts.policy_trouble}: kube-apiserver does not start without it",
            f"k8s-audit-otlp apiserver policy > {path}",
        )
    if found := mistakes(facts.policy, path):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return fail(f"{found[0]}{more}", f"k8s-audit-otlp apiserver policy > {path}")
    return ok(f"{path} loads")


def _policy(facts: ApiserverFacts) -> Policy | None:
    if facts.policy is None:
        return None
    try:
        return parse_policy(facts.policy, facts.apiserver.policy_path)
    except ConfigError:  # which the check of the policy itself says
        return None


def tokens(facts: ApiserverFacts) -> CheckResult:
    """Ask the policy about tokens: whoever reads one in the log could act as its owner."""
    return _closed(facts, SECRETS, fail)


def config_maps(facts: ApiserverFacts) -> CheckResult:
    """Ask it about ConfigMaps: they are no Secrets, and many hold passwords all the same."""
    return _closed(facts, CONFIG_MAPS, warn)


def _closed(
    facts: ApiserverFacts, leaks: tuple[Leak, ...], bad: Callable[[str, str], CheckResult]
) -> CheckResult:
    policy = _policy(facts)
    if policy is None:
        return skipped("the policy cannot be read", "see policy.loads")
    open_ones = list(_open(policy, leaks))
    if not open_ones:
        names = ", ".join(dict.fromkeys(leak.what for leak in leaks))
        return ok(f"no values of {names} are written")
    leak, level, rule = open_ones[0]
    names = " and ".join(dict.fromkeys(found.what for found, _, _ in open_ones))
    sub = f"/{leak.subresource}" if leak.subresource else ""
    why = f"it writes {names} in clear: {leak.verb} {leak.resource}{sub} is {level} by {rule}"
    hint = f"put a rule of level Metadata for them first, or {PRINT}"
    return bad(why, hint)


def _open(policy: Policy, leaks: tuple[Leak, ...]) -> Iterator[tuple[Leak, str, str]]:
    for leak in leaks:
        for user in USERS:
            decision = policy.decide(_event(leak, user))
            written = not decision.omitted and _RANK[decision.level] >= _RANK[leak.from_level]
            if written:
                yield leak, decision.level, decision.rule
                break


def _event(leak: Leak, user: UserInfo) -> AuditEvent:
    """Make the event that such a request would be, were everything of it written."""
    ref = ObjectRef(
        resource=leak.resource,
        namespace="shop",
        name="one",
        api_group=leak.group,
        subresource=leak.subresource,
    )
    uri = f"/api/v1/namespaces/shop/{leak.resource}/one"
    return AuditEvent(
        level="RequestResponse",
        stage="ResponseComplete",
        verb=leak.verb,
        user=user,
        object_ref=ref,
        request_uri=f"{uri}/{leak.subresource}" if leak.subresource else uri,
    )


def keeps(facts: ApiserverFacts) -> CheckResult:
    """Ask it about everyday changes: some distributions come with a policy that logs nothing."""
    policy = _policy(facts)
    if policy is None:
        return skipped("the policy cannot be read", "see policy.loads")
    lost = [leak.what for leak in EVERYDAY if not list(_open(policy, (leak,)))]
    if lost:
        return fail(
            f"it writes nothing when somebody creates {' or '.join(lost)}",
            f"end it with a rule of level Metadata, or {PRINT}",
        )
    return ok("what people change is written")


def loaded(facts: ApiserverFacts) -> CheckResult:
    """Compare the file's time with the process's: a policy is read once, at the start."""
    if facts.policy is None:
        return skipped("the policy cannot be read", "see policy.loads")
    if facts.process is None:
        return skipped("no kube-apiserver is seen to run here", "ask on the node, with hostPID")
    newer = facts.policy_changed_s - facts.process.started_s
    if newer > 1:  # /proc counts the start in hundredths, btime in seconds
        return warn(
            "the policy was changed after kube-apiserver had started, so it works by the old one",
            "restart it: move its manifest out of the manifests directory for 20 s and back",
        )
    return ok("kube-apiserver has started since the policy was last changed")


CHECKS: Checks[ApiserverFacts] = {
    "policy.loads": loads,
    "policy.secrets": tokens,
    "policy.configmaps": config_maps,
    "policy.keeps": keeps,
    "policy.loaded": loaded,
}
