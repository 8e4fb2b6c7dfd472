"""Audit logs of five shapes, seeded, as the benchmarks read them: bytes of whole lines.

steady    Metadata, 190 callers that repeat: the log that suits a cache best
churn     Metadata, pods that live for ten requests, each with its own token and address
recipe    half of the events with one body: leases, events, patches of a pod's status
bodies    RequestResponse: requests and responses with managedFields, lists now and then
unique    every caller, uid, address and name is new, a third of the events with a body
"""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.bench.bench_encode import callers, uuid
from tests.bench.bench_encode import lines as steady_lines

_START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"
_KEY = "authentication.kubernetes.io/"
_POD_LIFE = 10  # requests
Event = dict[str, Any]


def _go_json(value: object) -> bytes:
    """Write JSON as kube-apiserver does: compact, with `&`, `<` and `>` escaped."""
    text = json.dumps(value, separators=(",", ":"))
    return (
        text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode()
        + b"\n"
    )


def _event(rng: random.Random, now: datetime, who: Event, target: Event, **rest: Any) -> Event:
    base = f"/apis/{target['apiGroup']}" if target.get("apiGroup") else "/api"
    path = f"{base}/{target['apiVersion']}/namespaces/{target['namespace']}/{target['resource']}"
    if target.get("name"):
        path += f"/{target['name']}"
    done = now + timedelta(microseconds=rng.randrange(300, 90_000))
    bodies: Event = {
        key: rest.pop(key) for key in ("requestObject", "responseObject") if key in rest
    }
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": uuid(rng),
        "stage": "ResponseComplete",
        "requestURI": path,
        **rest,
        **who,
        "objectRef": target,
        "responseStatus": {"metadata": {}, "code": 200},
        **bodies,
        "requestReceivedTimestamp": now.strftime(_FORM),
        "stageTimestamp": done.strftime(_FORM),
        "annotations": {
            "authorization.k8s.io/decision": "allow",
            "authorization.k8s.io/reason": 'RBAC: allowed by ClusterRoleBinding "edit"',
        },
    }


def _new_pod(rng: random.Random, number: int) -> Event:
    """Make a service account with a token, a pod and an address of its own."""
    name = f"worker-{rng.getrandbits(40):010x}-{number}"
    space = f"team-{rng.randrange(25)}"
    return {
        "user": {
            "username": f"system:serviceaccount:{space}:runner-{number % 60}",
            "uid": uuid(rng),
            "groups": [
                "system:serviceaccounts",
                f"system:serviceaccounts:{space}",
                "system:authenticated",
            ],
            "extra": {
                _KEY + "credential-id": [f"JTI={uuid(rng)}"],
                _KEY + "node-name": [f"node-{rng.randrange(40)}"],
                _KEY + "node-uid": [uuid(rng)],
                _KEY + "pod-name": [name],
                _KEY + "pod-uid": [uuid(rng)],
            },
        },
        "sourceIPs": [f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"],
        "userAgent": f"runner/v1.{number % 9} (linux/amd64) kubernetes/{number % 500:07x}",
    }


def _target(rng: random.Random, resource: str, name: str = "") -> Event:
    group = {"leases": "coordination.k8s.io", "deployments": "apps"}.get(resource, "")
    name = name or f"{resource[:-1]}-{rng.getrandbits(40):010x}"
    target = {"resource": resource, "namespace": f"team-{rng.randrange(25)}", "name": name}
    return {**target, **({"apiGroup": group} if group else {}), "apiVersion": "v1"}


def _managed(rng: random.Random, manager: str) -> list[Event]:
    fields = {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}, "f:pod-template-hash": {}}},
        "f:spec": {
            "f:containers": {
                'k:{"name":"app"}': {
                    ".": {},
                    "f:image": {},
                    "f:imagePullPolicy": {},
                    "f:resources": {".": {}, "f:limits": {".": {}, "f:memory": {}}},
                    "f:terminationMessagePath": {},
                }
            },
            "f:dnsPolicy": {},
            "f:enableServiceLinks": {},
            "f:restartPolicy": {},
            "f:schedulerName": {},
            "f:securityContext": {},
        },
    }
    time = (_START + timedelta(seconds=rng.randrange(86_400))).strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": time}
    status: dict[str, Any] = {
        "f:status": {"f:conditions": {'k:{"type":"Ready"}': {".": {}, "f:status": {}}}}
    }
    return [
        {**entry, "fieldsType": "FieldsV1", "fieldsV1": fields},
        {**entry, "manager": "kubelet", "fieldsType": "FieldsV1", "fieldsV1": status},
    ]


def _pod(rng: random.Random, target: Event) -> Event:
    name = target["name"]
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": target["namespace"],
            "uid": uuid(rng),
            "resourceVersion": str(rng.randrange(10**9)),
            "labels": {"app": name[:8], "pod-template-hash": f"{rng.getrandbits(32):08x}"},
            "managedFields": _managed(rng, "kube-controller-manager"),
        },
        "spec": {
            "volumes": [{"name": "kube-api-access", "projected": {"defaultMode": 420}}],
            "containers": [
                {
                    "name": "app",
                    "image": f"registry.example/app:{rng.randrange(99)}",
                    "command": ["/app", "--listen=:8080"],
                    "env": [
                        {"name": "LOG_LEVEL", "value": "info"},
                        {"name": "DATABASE_HOST", "value": "db.example"},
                    ],
                    "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "100m"}},
                    "terminationMessagePath": "/dev/termination-log",
                    "imagePullPolicy": "IfNotPresent",
                }
            ],
            "restartPolicy": "Always",
            "serviceAccountName": "default",
            "nodeName": f"node-{rng.randrange(40)}",
        },
        "status": _pod_status(rng),
    }


def _pod_status(rng: random.Random) -> Event:
    address = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}"
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": "2026-01-02T03:04:05Z"}
        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    return {"phase": "Running", "conditions": conditions, "podIP": address}


def _lease(rng: random.Random, target: Event, *, stored: bool) -> Event:
    meta: Event = {"name": target["name"], "namespace": target["namespace"]}
    if stored:
        meta |= {"uid": uuid(rng), "managedFields": _managed(rng, "kubelet")[1:]}
    spec = {
        "holderIdentity": target["name"],
        "leaseDurationSeconds": 40,
        "renewTime": f"2026-01-02T03:04:{rng.randrange(60):02d}.{rng.randrange(10**6):06d}Z",
    }
    kind = {"kind": "Lease", "apiVersion": "coordination.k8s.io/v1"}
    return {**kind, "metadata": meta, "spec": spec}


def churn(count: int) -> Iterator[bytes]:
    rng, now = random.Random(11), _START  # noqa: S311 - the same log each time
    living = [_new_pod(rng, n) for n in range(100)]
    for n in range(count):
        now += timedelta(microseconds=rng.randrange(1, 2000))
        if n % _POD_LIFE == 0:
            living[rng.randrange(len(living))] = _new_pod(rng, n)
        target = _target(rng, rng.choice(("pods", "configmaps", "leases", "deployments")))
        verb = rng.choice(("get", "get", "update", "patch", "delete"))
        yield _go_json(_event(rng, now, rng.choice(living), target, verb=verb))


def recipe(count: int) -> Iterator[bytes]:
    rng, now = random.Random(12), _START  # noqa: S311 - the same log each time
    who = callers(rng)
    for _ in range(count):
        now += timedelta(microseconds=rng.randrange(1, 2000))
        caller, roll = rng.choice(who), rng.random()
        if roll < 0.5:
            target = _target(rng, rng.choice(("pods", "configmaps", "secrets")))
            made = _event(rng, now, caller, target, verb="get")
        elif roll < 0.75:
            target = _target(rng, "leases", f"node-{rng.randrange(40)}")
            body = _lease(rng, target, stored=False)
            rest = {"verb": "update", "level": "Request", "requestObject": body}
            made = _event(rng, now, caller, target, **rest)
        else:
            target = _target(rng, "pods")
            body = {"metadata": {"uid": uuid(rng)}, "status": _pod_status(rng)}
            rest = {"verb": "patch", "level": "RequestResponse", "requestObject": body}
            made = _event(rng, now, caller, target, **rest, responseObject=_pod(rng, target))
        yield _go_json(made)


def bodies(count: int) -> Iterator[bytes]:
    rng, now = random.Random(13), _START  # noqa: S311 - the same log each time
    who = callers(rng)
    for n in range(count):
        now += timedelta(microseconds=rng.randrange(1, 2000))
        caller, roll = rng.choice(who), rng.random()
        rest: Event = {"verb": "update", "level": "RequestResponse"}
        if n % 50 == 0:
            target = _target(rng, "pods")
            items = [_pod(rng, _target(rng, "pods")) for _ in range(20)]
            body = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
            rest |= {"verb": "list", "responseObject": body}
        elif roll < 0.4:
            target = _target(rng, "leases", f"node-{rng.randrange(40)}")
            sent, stored = (_lease(rng, target, stored=s) for s in (False, True))
            rest |= {"requestObject": sent, "responseObject": stored}
        else:
            target = _target(rng, "pods")
            sent, stored = _pod(rng, target), _pod(rng, target)
            rest |= {"requestObject": sent, "responseObject": stored}
        yield _go_json(_event(rng, now, caller, target, **rest))


def unique(count: int) -> Iterator[bytes]:
    rng, now = random.Random(14), _START  # noqa: S311 - the same log each time
    for n in range(count):
        now += timedelta(microseconds=rng.randrange(1, 2000))
        target = _target(rng, rng.choice(("pods", "leases")))
        target["namespace"] = f"space-{rng.getrandbits(40):010x}"
        rest: Event = {"verb": "get"}
        if n % 3 == 0:
            body = _lease(rng, target, stored=True)
            rest = {"verb": "update", "level": "Request", "requestObject": body}
        yield _go_json(_event(rng, now, _new_pod(rng, n), target, **rest))


SHAPES: dict[str, Callable[[int], Iterator[bytes]]] = {
    "steady": steady_lines,
    "churn": churn,
    "recipe": recipe,
    "bodies": bodies,
    "unique": unique,
}
