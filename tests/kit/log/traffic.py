"""What happens in a small cluster: drafts of events, weighted as real traffic is."""

import base64
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.kit.log.cluster import (
    ADMIN,
    ANONYMOUS,
    AUTHENTICATED,
    CONTROLLER,
    DEPLOYER,
    KUBELETS,
    MALLORY,
    NAMESPACES,
    PEOPLE,
    ROBOTS,
    WORKLOADS,
    Actor,
    Object,
)


@dataclass(slots=True)
class Draft:
    """An event without its id and times."""

    actor: Actor | None  # None: nobody was authenticated
    verb: str
    uri: str
    ref: Object | None = None
    code: int = 200
    level: str = "Metadata"
    stage: str = "ResponseComplete"
    failure: tuple[str, str] | None = None  # reason and message
    request: Object | None = None
    response: Object | None = None
    impersonated: Object | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    milliseconds: float = 3.0
    then: "Draft | None" = None  # a later stage of the same request


def _ref(resource: str, namespace: str = "", name: str = "", **more: str) -> Object:
    """Make an objectRef in kube-apiserver's order of keys."""
    ref = {"resource": resource, "namespace": namespace, "name": name}
    ref["uid"] = more.get("uid", "")
    ref["apiGroup"] = more.get("group", "")
    ref["apiVersion"] = more.get("version", "v1")
    ref["resourceVersion"] = more.get("resource_version", "")
    ref["subresource"] = more.get("subresource", "")
    return {key: value for key, value in ref.items() if value}


def _core(namespace: str, resource: str, name: str = "") -> str:
    return f"/api/v1/namespaces/{namespace}/{resource}" + (f"/{name}" if name else "")


def _pod_name(rng: random.Random) -> str:
    return f"{rng.choice(WORKLOADS)}-6f7d9c8b5-{rng.getrandbits(20):05x}"


def _meta(rng: random.Random, namespace: str, name: str) -> Object:
    return {
        "name": name,
        "namespace": namespace,
        "uid": f"{rng.getrandbits(32):08x}-1a2b-4c3d-8e4f-{rng.getrandbits(48):012x}",
        "resourceVersion": str(rng.randrange(10_000, 900_000)),
        "creationTimestamp": "2026-01-02T03:04:05Z",
    }


def _lease(rng: random.Random) -> Draft:
    kubelet = rng.choice(KUBELETS)
    node = kubelet.username.rpartition(":")[2]
    uri = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}?timeout=10s"
    ref = _ref("leases", "kube-node-lease", node, group="coordination.k8s.io")
    return Draft(kubelet, "update", uri, ref)


def _lease_conflict(rng: random.Random) -> Draft:
    draft = _lease(rng)
    draft.code = 409
    name = draft.uri.rpartition("/")[2].partition("?")[0]
    text = f'Operation cannot be fulfilled on leases.coordination.k8s.io "{name}"'
    draft.failure = ("Conflict", f"{text}: the object has been modified; please try again")
    return draft


def _node_status(rng: random.Random) -> Draft:
    kubelet = rng.choice(KUBELETS)
    node = kubelet.username.rpartition(":")[2]
    body = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    uri = f"/api/v1/nodes/{node}/status?timeout=10s"
    ref = _ref("nodes", "", node, subresource="status")
    return Draft(kubelet, "patch", uri, ref, level="Request", request=body)


def _robot_read(rng: random.Random) -> Draft:
    robot, resource = rng.choice(ROBOTS), rng.choice(("pods", "services", "endpoints"))
    namespace = rng.choice(NAMESPACES)
    uri = f"{_core(namespace, resource)}?limit=500&resourceVersion=0"
    return Draft(robot, "list", uri, _ref(resource, namespace))


def _watch(rng: random.Random) -> Draft:
    robot, resource = rng.choice(ROBOTS), rng.choice(("configmaps", "pods", "secrets"))
    uri = f"/api/v1/{resource}?allowWatchBookmarks=true&resourceVersion=4711&timeoutSeconds=380"
    uri += "&watch=true"
    end = Draft(robot, "watch", uri, _ref(resource), milliseconds=380_000)
    return Draft(robot, "watch", uri, _ref(resource), stage="ResponseStarted", then=end)


def _person_read(rng: random.Random) -> Draft:
    namespace, person = rng.choice(NAMESPACES), rng.choice(PEOPLE)
    resource = rng.choice(("pods", "configmaps", "services"))
    if rng.random() < 0.5:
        return Draft(
            person, "list", f"{_core(namespace, resource)}?limit=500", _ref(resource, namespace)
        )
    name = _pod_name(rng)
    return Draft(person, "get", _core(namespace, resource, name), _ref(resource, namespace, name))


def _not_found(rng: random.Random) -> Draft:
    draft = _robot_read(rng)
    draft.verb, draft.code = "get", 404
    draft.uri, draft.ref = _core("shop", "configmaps", "old"), _ref("configmaps", "shop", "old")
    draft.failure = ("NotFound", 'configmaps "old" not found')
    return draft


def _secret(rng: random.Random) -> Draft:
    namespace, name = rng.choice(NAMESPACES), f"{rng.choice(WORKLOADS)}-db"
    value = base64.b64encode(f"made-up-{rng.getrandbits(64):016x}".encode()).decode()
    data = {"username": base64.b64encode(b"app").decode(), "password": value}
    body: Object = {"kind": "Secret", "apiVersion": "v1"}
    sent = {**body, "metadata": {"name": name, "namespace": namespace}, "data": data}
    stored = {**body, "metadata": _meta(rng, namespace, name), "data": data, "type": "Opaque"}
    person = rng.choice((*PEOPLE, DEPLOYER))
    if rng.random() < 0.5:
        uri = _core(namespace, "secrets", name)
        return Draft(person, "get", uri, _ref("secrets", namespace, name))
    uri = f"{_core(namespace, 'secrets')}?fieldManager=kubectl-create&fieldValidation=Strict"
    draft = Draft(person, "create", uri, _ref("secrets", namespace, name), 201, "RequestResponse")
    draft.request, draft.response = sent, stored
    return draft


def _config_map(rng: random.Random) -> Draft:
    namespace, name = rng.choice(NAMESPACES), f"{rng.choice(WORKLOADS)}-settings"
    text = f"timeout = {rng.randrange(60)}\nquery = a<b && c>d\n"
    body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}}
    body["data"] = {"app.conf": text}
    uri, ref = _core(namespace, "configmaps", name), _ref("configmaps", namespace, name)
    return Draft(DEPLOYER, "update", uri, ref, level="Request", request=body)


def _pod_create(rng: random.Random) -> Draft:
    namespace, name = rng.choice(NAMESPACES), _pod_name(rng)
    container = {
        "name": "app",
        "image": "registry.example/app:1.4.2",
        "args": ["--listen=:8080", f"--token=made-up-{rng.getrandbits(40):010x}"],
        "env": [{"name": "DB_PASSWORD", "value": f"made-up-{rng.getrandbits(40):010x}"}],
        "resources": {"limits": {"memory": "256Mi"}},
    }
    spec = {"containers": [container], "serviceAccountName": "app", "restartPolicy": "Always"}
    body: Object = {"kind": "Pod", "apiVersion": "v1"}
    sent = {**body, "metadata": {"name": name, "labels": {"app": name[:4]}}, "spec": spec}
    stored = {**body, "metadata": _meta(rng, namespace, name), "spec": spec}
    stored["status"] = {"phase": "Pending", "qosClass": "Burstable"}
    ref = _ref("pods", namespace, name)
    draft = Draft(DEPLOYER, "create", _core(namespace, "pods"), ref, 201, "RequestResponse")
    draft.request, draft.response = sent, stored
    draft.annotations = {"pod-security.kubernetes.io/enforce-policy": "baseline:latest"}
    return draft


def _scale(rng: random.Random) -> Draft:
    namespace, name = rng.choice(NAMESPACES), rng.choice(WORKLOADS)
    uri = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}?fieldManager=kubectl-edit"
    body = {"spec": {"replicas": rng.randrange(1, 9)}}
    ref = _ref("deployments", namespace, name, group="apps")
    draft = Draft(rng.choice(PEOPLE), "patch", uri, ref, level="Request", request=body)
    if rng.random() < 0.2:
        draft.actor = ADMIN
        draft.impersonated = {"username": "bob@example.com", "groups": ["ops", AUTHENTICATED]}
    return draft


def _pod_delete(rng: random.Random) -> Draft:
    namespace, name = rng.choice(NAMESPACES), _pod_name(rng)
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    uri, ref = _core(namespace, "pods", name), _ref("pods", namespace, name)
    return Draft(rng.choice(PEOPLE), "delete", uri, ref, level="Request", request=body)


def _exec(rng: random.Random) -> Draft:
    namespace, name = rng.choice(NAMESPACES), _pod_name(rng)
    query = "command=sh&command=-c&command=env&container=app&stdin=true&stdout=true&tty=true"
    uri = f"{_core(namespace, 'pods', name)}/exec?{query}"
    ref = _ref("pods", namespace, name, subresource="exec")
    person = rng.choice(PEOPLE)
    end = Draft(person, "get", uri, ref, 101, milliseconds=41_000)
    return Draft(person, "get", uri, ref, 101, stage="ResponseStarted", then=end)


def _forbidden(rng: random.Random) -> Draft:
    namespace = rng.choice(NAMESPACES)
    draft = Draft(MALLORY, "list", f"{_core(namespace, 'secrets')}?limit=500")
    draft.ref, draft.code = _ref("secrets", namespace), 403
    text = f'secrets is forbidden: User "{MALLORY.username}" cannot list resource "secrets" in API'
    draft.failure = ("Forbidden", f'{text} group "" in the namespace "{namespace}"')
    draft.annotations = {"authorization.k8s.io/decision": "forbid"}
    return draft


def _unauthorized(rng: random.Random) -> Draft:
    uri = _core(rng.choice(NAMESPACES), "pods") + "?limit=500"
    draft = Draft(None, "list", uri, _ref("pods", "shop"), 401, stage="ResponseStarted")
    draft.failure = ("Unauthorized", "Authentication failed, attempted: bearer")
    return draft


def _token(rng: random.Random) -> Draft:
    namespace, kubelet = rng.choice(NAMESPACES), rng.choice(KUBELETS)
    ref = _ref("serviceaccounts", namespace, "app", subresource="token")
    draft = Draft(kubelet, "create", f"{_core(namespace, 'serviceaccounts')}/app/token", ref, 201)
    credential = f"JTI={rng.getrandbits(32):08x}-5e6f-4a7b-9c8d-{rng.getrandbits(48):012x}"
    draft.annotations = {"authentication.kubernetes.io/issued-credential-id": credential}
    return draft


def _probe(rng: random.Random) -> Draft:
    if rng.random() < 0.7:
        return Draft(ANONYMOUS, "get", rng.choice(("/readyz", "/livez?verbose=true")))
    return Draft(CONTROLLER, "get", "/openapi/v3?timeout=32s", code=304)


def _panic(rng: random.Random) -> Draft:
    draft = Draft(rng.choice(PEOPLE), "get", "/apis/agg.example/v1/namespaces/shop/widgets/w")
    draft.ref = _ref("widgets", "shop", "w", group="agg.example")
    draft.stage, draft.code = "Panic", 500
    draft.failure = ("InternalError", "APIServer panic'd: net/http: abort Handler")
    return draft


Activity: TypeAlias = Callable[[random.Random], Draft]

# how many of a hundred requests of a small cluster are of each kind
TRAFFIC: tuple[tuple[float, Activity], ...] = (
    (22, _lease),
    (6, _node_status),
    (18, _robot_read),
    (8, _watch),
    (9, _person_read),
    (3, _not_found),
    (5, _secret),
    (5, _config_map),
    (5, _pod_create),
    (3, _scale),
    (3, _pod_delete),
    (2, _exec),
    (3, _forbidden),
    (1.5, _unauthorized),
    (2, _token),
    (3, _probe),
    (1, _lease_conflict),
    (0.5, _panic),
)
