"""Mounts the log's directory and the policy's file into a pod as they must be. No I/O.

The directory, because kube-apiserver renames the log when it rotates: a single-file mount answers
"device or resource busy". The policy as a file, because /etc/kubernetes also holds admin.conf and
the keys of the cluster.
"""

from collections.abc import Iterable, MutableMapping, MutableSequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple, TypeAlias

from k8s_audit_otlp.apiserver.settings import TOO_WIDE

Node: TypeAlias = MutableMapping[str, Any]
Nodes: TypeAlias = MutableSequence[Any]


class NeededMount(NamedTuple):
    """One host path that the apiserver must see."""

    path: str
    kind: str  # hostPath.type
    read_only: bool
    volume: str  # name of the volume, if a new one is needed


def log_directory(log_path: str) -> NeededMount:
    return NeededMount(str(PurePosixPath(log_path).parent), "DirectoryOrCreate", False, "audit-log")


def policy_file(path: str) -> NeededMount:
    return NeededMount(path, "File", True, "audit-policy")


@dataclass(slots=True)
class Mounts:
    """The mounts of one container and the volumes of its pod; `notes` tell what was done."""

    spec: Node
    container: Node
    notes: list[str] = field(default_factory=list)

    @property
    def volumes(self) -> Nodes:
        return _sequence(self.spec, "volumes")

    @property
    def mounts(self) -> Nodes:
        return _sequence(self.container, "volumeMounts")

    def host_path(self, path: str) -> str:
        """Where a path of the container lies on the node, by the nearest mount around it."""
        inner = PurePosixPath(path)
        for mount in sorted(self.mounts, key=lambda m: len(_at(m).parts), reverse=True):
            source = _host(self._volume(mount.get("name")))
            if source and inner.is_relative_to(_at(mount)):
                below = inner.relative_to(_at(mount))
                return str(PurePosixPath(source, mount.get("subPath", ""), below))
        return path

    def drop_file(self, path: str, note: str = "") -> None:
        """Take away a mount of that file alone, and say *note* where there was one."""
        for mount in [m for m in self.mounts if _at(m) == PurePosixPath(path)]:
            self._drop(mount)
            self.notes += [note] * bool(note)

    def drop_too_wide(self, policy_path: str, needed: Iterable[str]) -> None:
        """Take away a mount that shows far more than the policy, unless a flag needs it."""
        policy = PurePosixPath(policy_path)
        for mount in [m for m in self.mounts if str(_at(m)) in TOO_WIDE]:
            if not policy.is_relative_to(_at(mount)):
                continue
            users = [p for p in needed if p != policy_path and self._nearest(p) is mount]
            if users:
                self.notes.append(
                    f"the mount of {_at(mount)} is kept although it shows the apiserver's "
                    f"container every file there: {users[0]} is read through it"
                )
                continue
            self._drop(mount)
            self.notes.append(
                f"the mount of {_at(mount)} is replaced by one of the policy file alone: "
                "it showed admin.conf and the cluster's keys to the container"
            )

    def ensure(self, want: NeededMount, host_path: str) -> None:
        """Add the mount and its volume, or correct what is there."""
        mount = next((m for m in self.mounts if _at(m) == PurePosixPath(want.path)), None)
        if mount is None:
            mount = {"mountPath": want.path, "name": self._add_volume(want, host_path)}
            self.mounts.append(mount)
        elif not _host(self._volume(mount.get("name"))):
            mount["name"] = self._add_volume(want, host_path)
            self.notes.append(f"the volume behind {want.path} is replaced by a hostPath")
        if want.read_only and mount.get("readOnly") is not True:
            mount["readOnly"] = True
        if not want.read_only and mount.get("readOnly"):
            del mount["readOnly"]
        if "subPath" not in mount:  # then the volume is something larger, typed by its own needs
            self._volume(mount["name"])["hostPath"]["type"] = want.kind

    def _add_volume(self, want: NeededMount, host_path: str) -> str:
        taken = {volume.get("name") for volume in self.volumes}
        name, number = want.volume, 1
        while name in taken:
            number += 1
            name = f"{want.volume}-{number}"
        self.volumes.append({"hostPath": {"path": host_path, "type": want.kind}, "name": name})
        return name

    def _volume(self, name: object) -> Node:
        return next((v for v in self.volumes if v.get("name") == name), {})

    def _nearest(self, path: str) -> Node | None:
        around = [m for m in self.mounts if PurePosixPath(path).is_relative_to(_at(m))]
        return max(around, key=lambda m: len(_at(m).parts), default=None)

    def _drop(self, mount: Node) -> None:
        _remove(self.mounts, mount)
        name = mount.get("name")
        groups = (self.spec.get(key) or [] for key in ("initContainers", "containers"))
        containers = [container for group in groups for container in group]
        used = {m.get("name") for c in containers for m in c.get("volumeMounts") or []}
        if name not in used and (volume := self._volume(name)):
            _remove(self.volumes, volume)


def _sequence(node: Node, key: str) -> Nodes:
    if node.get(key) is None:
        node[key] = []
    found: Nodes = node[key]
    return found


def _remove(nodes: Nodes, node: Node) -> None:
    del nodes[next(at for at, other in enumerate(nodes) if other is node)]


def _at(mount: Node) -> PurePosixPath:
    return PurePosixPath(str(mount.get("mountPath", "")))


def _host(volume: Node) -> str:
    source = volume.get("hostPath") or {}
    return str(source.get("path", ""))
