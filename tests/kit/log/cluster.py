"""A small cluster as tables: its nodes, namespaces and everybody who asks its apiserver."""

from dataclasses import dataclass
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]
ALLOWED = {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""}
NODES = ("node-a", "node-b", "node-c")
NAMESPACES = ("shop", "billing", "web-prod")
WORKLOADS = ("cart", "checkout", "ledger", "frontend")
KUBERNETES = "v1.36.1 (linux/amd64) kubernetes/3f1c2a9"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class Actor:
    username: str
    groups: tuple[str, ...]
    agent: str
    ips: tuple[str, ...]
    uid: str = ""
    extra: dict[str, list[str]] | None = None
    reason: str = ""  # of the authorizer

    def user(self) -> Object:
        user: Object = {"username": self.username}
        if self.uid:
            user["uid"] = self.uid
        user["groups"] = list(self.groups)
        if self.extra:
            user["extra"] = self.extra
        return user


def _service_account(namespace: str, name: str, ip: str) -> Actor:
    return Actor(
        f"system:serviceaccount:{namespace}:{name}",
        ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED),
        f"{name}/{KUBERNETES}",
        (ip,),
        uid=f"5b0f7c1e-0000-4000-8000-{sum(name.encode()):012x}",
        extra={
            "authentication.kubernetes.io/node-name": [NODES[len(name) % len(NODES)]],
            "authentication.kubernetes.io/pod-name": [f"{name}-7c9d8f6b5-x7k2q"],
        },
        reason=f'RBAC: allowed by RoleBinding "{name}/{namespace}" of Role "{name}" to '
        f'ServiceAccount "{name}/{namespace}"',
    )


def _person(name: str, agent: str, *groups: str, ip: str) -> Actor:
    reason = f'RBAC: allowed by ClusterRoleBinding "dev" of ClusterRole "edit" to User "{name}"'
    return Actor(name, (*groups, AUTHENTICATED), agent, (ip,), reason=reason)


KUBECTL = f"kubectl/{KUBERNETES}"
ADMIN = Actor(
    "kubernetes-admin", ("kubeadm:cluster-admins", AUTHENTICATED), KUBECTL, ("192.0.2.10",)
)
PEOPLE = (
    ADMIN,
    _person("alice@example.com", KUBECTL, "dev", ip="192.0.2.21"),
    _person("oidc:jürgen.müller@example.com", "k9s/v0.50.6", "Größe", ip="192.0.2.22"),
    _person("bob@example.com", "Mozilla/5.0 (X11; Linux x86_64) <Lens>", "ops", ip="192.0.2.23"),
)
MALLORY = _person("mallory@example.com", "curl/8.5.0", ip="203.0.113.66")
ANONYMOUS = Actor("system:anonymous", ("system:unauthenticated",), "kube-probe/1.36", ("10.0.0.2",))
CONTROLLER = Actor(
    "system:kube-controller-manager",
    (AUTHENTICATED,),
    f"kube-controller-manager/{KUBERNETES}/leader-election",
    ("10.0.0.10",),
)
SCHEDULER = Actor(
    "system:kube-scheduler", (AUTHENTICATED,), f"kube-scheduler/{KUBERNETES}", ("10.0.0.10",)
)
ROBOTS = (
    CONTROLLER,
    SCHEDULER,
    _service_account("kube-system", "coredns", "10.244.0.3"),
    _service_account("kube-system", "endpointslice-controller", "10.0.0.10"),
    _service_account("monitoring", "prometheus", "10.244.1.7"),
)
DEPLOYER = _service_account("ci", "deployer", "10.244.2.9")
KUBELETS = tuple(
    Actor(f"system:node:{node}", ("system:nodes", AUTHENTICATED), f"kubelet/{KUBERNETES}", (ip,))
    for node, ip in zip(NODES, ("10.0.0.11", "10.0.0.12", "10.0.0.13"), strict=True)
)
