"""Makes up the audit log of a small cluster, and writes it as kube-apiserver does.

Who asks what of its apiserver, and its answers; the log rotates at a size, its backups are packed.
"""

import base64
import gzip
import os
import random
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from k8s_audit_otlp.tools.text import rfc3339

_NAMESPACES: Final = ("shop", "billing", "web-prod")
_WORKLOADS: Final = ("cart", "checkout", "ledger", "frontend")


class _RequestKind(NamedTuple):
    """One kind of request; `{ns}` and `{name}` are filled in."""

    weight: int  # how many of a hundred are of this kind
    user: str
    verb: str
    resource: str  # with its subresource; "" where a path names none
    path: str
    code: int = 200
    level: str = "Metadata"


_KUBELET: Final = "system:node:node-a"
_CONTROLLER: Final = "system:kube-controller-manager"
_LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-a"
_ROLLOUT: Final = "/apis/apps/v1/namespaces/{ns}/deployments/{name}?fieldManager=kubectl-edit"
_EXEC: Final = "/api/v1/namespaces/{ns}/pods/{name}/exec?command=sh&command=-c&command=env"
_CORE: Final = "/api/v1/namespaces/{ns}/"

_REQUESTS: Final = (
    _RequestKind(24, _KUBELET, "update", "leases", _LEASES),
    _RequestKind(2, _KUBELET, "update", "leases", _LEASES, 409),
    _RequestKind(7, _KUBELET, "patch", "nodes/status", "/api/v1/nodes/node-a/status"),
    _RequestKind(20, _CONTROLLER, "list", "endpoints", _CORE + "endpoints?limit=500"),
    _RequestKind(10, "alice@example.com", "get", "pods", _CORE + "pods/{name}"),
    _RequestKind(4, "alice@example.com", "get", "configmaps", _CORE + "configmaps/{name}", 404),
    _RequestKind(6, "kubernetes-admin", "create", "secrets", _CORE + "secrets", 201, "Request"),
    _RequestKind(5, "bob@example.com", "patch", "deployments", _ROLLOUT),
    _RequestKind(4, "bob@example.com", "delete", "pods", _CORE + "pods/{name}"),
    _RequestKind(4, "alice@example.com", "create", "pods/exec", _EXEC, 101),
    _RequestKind(4, "mallory@example.com", "list", "secrets", _CORE + "secrets?limit=500", 403),
    _RequestKind(3, "", "list", "pods", _CORE + "pods?limit=500", 401),
    _RequestKind(7, "system:anonymous", "get", "", "/readyz"),
)
_WEIGHTS: Final = [request.weight for request in _REQUESTS]


class DemoCluster:
    """The events of the cluster; the same seed gives the same requests."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def event(self) -> tuple[str, bytes]:
        """Return the auditID and the line of the next event, as kube-apiserver orders its keys."""
        rng = self._rng
        request = rng.choices(_REQUESTS, _WEIGHTS)[0]
        audit_id = str(UUID(int=rng.getrandbits(128), version=4))
        names = {"ns": rng.choice(_NAMESPACES), "name": rng.choice(_WORKLOADS)}
        now = time.time()
        event: dict[str, Any] = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": request.level,
            "auditID": audit_id,
            "stage": "ResponseStarted" if request.code == 401 else "ResponseComplete",
            "requestURI": request.path.format(**names),
            "verb": request.verb,
            "user": {"username": request.user} if request.user else {},
            "sourceIPs": ["192.0.2.10"],
            "userAgent": "demo/v1.36.1 (linux/amd64)",
        }
        if request.resource:
            event["objectRef"] = _reference(request.resource, event["requestURI"])
        event["responseStatus"] = {"metadata": {}, "code": request.code}
        if request.level == "Request":
            event["requestObject"] = _secret(rng, names)
        event["requestReceivedTimestamp"] = rfc3339(round((now - 0.003) * 1e9), 6)
        event["stageTimestamp"] = rfc3339(round(now * 1e9), 6)
        if request.user:
            decision = "forbid" if request.code == 403 else "allow"
            event["annotations"] = {"authorization.k8s.io/decision": decision}
        return audit_id, orjson.dumps(event)


def _reference(asked: str, uri: str) -> dict[str, str]:
    """Return what a path names; *asked* is the resource in it, with its subresource."""
    resource, _, subresource = asked.partition("/")
    steps = [*uri.partition("?")[0].split("/"), ""]
    found = {"resource": resource}
    if "namespaces" in steps:
        found["namespace"] = steps[steps.index("namespaces") + 1]
    if name := steps[steps.index(resource) + 1]:
        found["name"] = name
    return {**found, "apiVersion": "v1"} | ({"subresource": subresource} if subresource else {})


def _secret(rng: random.Random, names: dict[str, str]) -> dict[str, Any]:
    value = base64.b64encode(f"made-up-{rng.getrandbits(64):016x}".encode()).decode()
    metadata = {"name": f"{names['name']}-db", "namespace": names["ns"]}
    data = {"password": value}
    return {"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": data}


_GZIP_LEVEL: Final = 6


class RotatingLog:
    """The live file and its backups, written by this object alone."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.rotations = 0
        self._path = path
        self._max_bytes = max_bytes
        self._fd = self._create()
        self._size = 0
        self._rotated_ms = 0
        self._compressing: list[Thread] = []

    def write(self, line: bytes) -> None:
        """Append one event, given without its newline, in a single system call."""
        if self._size and self._size + len(line) >= self._max_bytes:
            self._rotate()
        self._size += os.write(self._fd, line + b"\n")

    def close(self) -> None:
        """Close the live file when all backups are compressed."""
        os.close(self._fd)
        for thread in self._compressing:
            thread.join()

    def _create(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _rotate(self) -> None:
        os.close(self._fd)
        self._rotated_ms = max(time.time_ns() // 10**6, self._rotated_ms + 1)  # a name of its own
        stamp = f"{datetime.fromtimestamp(self._rotated_ms / 1e3, UTC):%Y-%m-%dT%H-%M-%S.%f}"[:-3]
        backup = self._path.with_name(f"{self._path.stem}-{stamp}{self._path.suffix}")
        self._path.rename(backup)
        self._fd, self._size = self._create(), 0
        self.rotations += 1
        thread = Thread(target=_compress, args=(backup,), name="compress", daemon=True)
        self._compressing.append(thread)
        thread.start()


def _compress(plain: Path) -> None:
    """Write the compressed backup at its final name, then unlink the plain one."""
    packed = plain.with_name(plain.name + ".gz")
    with plain.open("rb") as source, gzip.open(packed, "wb", _GZIP_LEVEL) as target:
        shutil.copyfileobj(source, target)
    plain.unlink()
