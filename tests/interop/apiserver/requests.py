"""Requests to a kube-apiserver that an audit policy may tell apart, each with its own audit ID.

Who asks, what for, how it ends, with which kind of patch: what a rule can name occurs here.
"""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any, NamedTuple

# Tokens are known only to a server on the loopback address.
TOKENS = """\
admin-token,admin,1,"system:masters"
alice-token,alice,2,"dev"
node-token,system:node:n1,3,"system:nodes"
proxy-token,system:kube-proxy,4,"system:node-proxier"
manager-token,system:kube-controller-manager,5,"system:masters"
"""
NS = "/api/v1/namespaces/shop"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


class Ask(NamedTuple):
    who: str
    method: str
    path: str
    body: Any = None
    kind: str = "application/json"


def thing(api: str, kind: str, name: str, **members: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **members}


CONTAINER = {"name": "c", "image": "i", "env": [{"name": "A", "value": "b"}]}
POD = thing("v1", "Pod", "web", spec={"containers": [CONTAINER], "nodeName": "n1"})
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER]}}
DEPLOYMENT = thing(
    "apps/v1",
    "Deployment",
    "web",
    spec={"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE, "replicas": 1},
)
MAP = thing("v1", "ConfigMap", "map", data={"key": "value"})
ROLE = thing(
    "rbac.authorization.k8s.io/v1",
    "Role",
    "reader",
    rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
)
LEASE = thing("coordination.k8s.io/v1", "Lease", "lease", spec={"holderIdentity": "me"})
REVIEW = {
    "apiVersion": "authorization.k8s.io/v1",
    "kind": "SubjectAccessReview",
    "spec": {"user": "alice", "resourceAttributes": {"verb": "get", "resource": "pods"}},
}
TOKEN_REVIEW = {
    "apiVersion": "authentication.k8s.io/v1",
    "kind": "TokenReview",
    "spec": {"token": "alice-token"},
}
TOKEN_REQUEST = {
    "apiVersion": "authentication.k8s.io/v1",
    "kind": "TokenRequest",
    "spec": {"expirationSeconds": 3600},
}
EVENT = thing("v1", "Event", "event", involvedObject={"kind": "Pod", "namespace": "shop"})
APPS = "/apis/apps/v1/namespaces/shop/deployments"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop/roles"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
READS = ("", "?watch=true&timeoutSeconds=1")

ASKS = (
    *(Ask("admin", "GET", path) for path in ("/healthz", "/version", "/api", "/metrics", "/nope")),
    Ask("admin", "POST", "/api/v1/namespaces", thing("v1", "Namespace", "shop")),
    Ask("admin", "POST", "/api/v1/nodes", thing("v1", "Node", "n1")),
    *(Ask(who, "GET", "/api/v1/nodes/n1") for who in ("admin", "node", "alice", "nobody")),
    *(Ask(who, "GET", "/api/v1/namespaces/shop") for who in ("admin", "alice")),
    Ask("admin", "POST", f"{NS}/serviceaccounts", thing("v1", "ServiceAccount", "bot")),
    Ask("admin", "POST", f"{NS}/serviceaccounts/bot/token", TOKEN_REQUEST),
    Ask("admin", "POST", f"{NS}/configmaps", MAP),
    Ask("admin", "POST", f"{NS}/configmaps", MAP),  # 409
    Ask("admin", "PATCH", f"{NS}/configmaps/map", {"data": {"a": "b"}}, MERGE),
    Ask("admin", "POST", f"{NS}/secrets", thing("v1", "Secret", "key", data={"k": "dmFsdWU="})),
    *(Ask(who, "GET", f"{NS}/secrets/key") for who in ("admin", "alice", "manager")),
    Ask("admin", "GET", f"{NS}/secrets"),
    Ask("admin", "POST", f"{NS}/pods", POD),
    Ask("alice", "POST", f"{NS}/pods", POD),  # 403
    Ask("nobody", "POST", f"{NS}/pods", POD),  # 401
    Ask("admin", "POST", f"{NS}/pods", {**POD, "metadata": {"name": "N O"}}),  # 422
    Ask("admin", "PATCH", f"{NS}/pods/web", {"metadata": {"labels": {"x": "y"}}}, STRATEGIC),
    Ask("admin", "PATCH", f"{NS}/pods/web/status", {"status": {"message": "m"}}, MERGE),
    Ask("admin", "GET", f"{NS}/pods/web/exec?command=ls&stdout=true"),
    Ask("admin", "GET", f"{NS}/pods/web/log"),
    *(Ask("admin", "GET", f"{NS}/pods{query}") for query in READS),
    *(Ask("proxy", "GET", f"/api/v1/endpoints{query}") for query in READS),
    Ask("admin", "POST", f"{NS}/events", {**EVENT, "metadata": {"name": "e", "namespace": "shop"}}),
    Ask("admin", "POST", APPS, DEPLOYMENT),
    Ask("admin", "GET", f"{APPS}/web"),
    Ask("admin", "PATCH", f"{APPS}/web/scale", {"spec": {"replicas": 2}}, MERGE),
    Ask("admin", "PATCH", f"{APPS}/web", [{"op": "add", "path": "/metadata/labels", "value": {"q": "r"}}], JSON_PATCH),  # noqa: E501
    Ask("admin", "PATCH", f"{APPS}/more?fieldManager=me", {**DEPLOYMENT, "metadata": {"name": "more"}}, APPLY),  # noqa: E501
    Ask("manager", "GET", f"{APPS}/web"),
    Ask("manager", "PATCH", f"{APPS}/web/status", {"status": {"replicas": 1}}, MERGE),
    Ask("admin", "POST", ROLES, ROLE),
    Ask("admin", "GET", ROLES),
    Ask("admin", "PUT", f"{ROLES}/reader", {**ROLE, "rules": []}),
    Ask("admin", "POST", LEASES, LEASE),
    Ask("manager", "GET", f"{LEASES}/lease"),
    Ask("admin", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", REVIEW),
    Ask("admin", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", TOKEN_REVIEW),
    Ask("alice", "GET", "/apis/apps/v1"),
    Ask("admin", "GET", f"{NS}/pods/gone"),  # 404
    Ask("admin", "DELETE", f"{ROLES}/reader"),
    Ask("admin", "DELETE", APPS),
    Ask("admin", "DELETE", f"{NS}/pods/web?gracePeriodSeconds=0"),
    Ask("admin", "DELETE", f"{NS}/secrets/key"),
)  # fmt: skip


def send_all(base: str) -> Iterator[tuple[str, int]]:
    """Send every request in turn; yield its audit ID and the answer's code."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    for number, ask in enumerate(ASKS):
        audit_id = f"ask-{number:03d}"
        headers = {"Audit-ID": audit_id, "Authorization": f"Bearer {ask.who}-token"}
        data = None if ask.body is None else json.dumps(ask.body).encode()
        if data:
            headers["Content-Type"] = ask.kind
        request = urllib.request.Request(  # noqa: S310 - the address is the test's own
            base + ask.path, data, headers, method=ask.method
        )
        try:
            with opener.open(request, timeout=20) as answer:
                answer.read()
                yield audit_id, answer.status
        except urllib.error.HTTPError as error:
            yield audit_id, error.code
