"""Reads what a kube-apiserver manifest says about the audit log. No I/O.

Unlike a patch it takes everything as it stands, mistakes included: it is for looking, not changing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8s_audit_otlp.apiserver import flags as command_line
from k8s_audit_otlp.apiserver.mounts import Mounts, Node
from k8s_audit_otlp.apiserver.platforms import Owner, owner_of
from k8s_audit_otlp.apiserver.settings import LOG_PATH, MANIFEST, POLICY_FILE, RefusalError
from k8s_audit_otlp.config.reading.plain_yaml import YamlError, parse_yaml

_ADDRESS = "127.0.0.1", 6443


@dataclass(frozen=True, slots=True)
class Apiserver:
    """How kube-apiserver is started. `flags` holds the `audit-*` ones, without dashes."""

    flags: Mapping[str, str]
    owner: Owner = Owner.UNKNOWN
    image: str = ""
    host_paths: Mapping[str, str] = field(default_factory=dict)  # of paths in the container
    mount_points: Mapping[str, bool] = field(default_factory=dict)  # path -> writable
    address: tuple[str, int] = _ADDRESS  # where it answers on its node

    @property
    def log_path(self) -> str:
        """The log on the node, '' where there is none."""
        return self.on_host(self.flags.get(LOG_PATH, ""))

    @property
    def policy_path(self) -> str:
        """The policy on the node, '' where there is none."""
        return self.on_host(self.flags.get(POLICY_FILE, ""))

    def on_host(self, path: str) -> str:
        return self.host_paths.get(path, path)


def observe(text: str, path: str = "manifest") -> Apiserver:
    """Read a static pod manifest.

    Raise RefusalError where it is not the manifest of a kube-apiserver.
    """
    try:
        pod = parse_yaml(text)
    except YamlError as error:
        raise not_yaml(path, error.line) from None
    container = container_of(pod, path)
    items = command_line.command_of(container)
    found = audit_flags(items)
    mounts = Mounts(pod["spec"], container)
    paths = [value for value in found.values() if value.startswith("/")]
    return Apiserver(
        found,
        owner_of(path, pod.get("metadata") or {}, items),
        str(container.get("image", "")),
        {inside: mounts.host_path(inside) for inside in paths},
        {str(m.get("mountPath", "")): not m.get("readOnly") for m in mounts.mounts},
        _address(container, items),
    )


def not_yaml(path: str, line: int | None) -> RefusalError:
    """Return the refusal of a text that is no YAML; it may be any file, so nothing is quoted."""
    where = f" (line {line})" if line else ""
    hint = "repair the file, or give the static pod manifest of kube-apiserver"
    return RefusalError(f"{path}: not one YAML document{where}; {hint}")


def container_of(pod: Any, path: str) -> Node:
    """Return the container of a pod that runs kube-apiserver. Raise RefusalError without one."""
    spec = pod.get("spec") if isinstance(pod, dict) else None
    containers = spec.get("containers") if isinstance(spec, dict) else None
    for container in containers if isinstance(containers, list) else ():
        if isinstance(container, dict) and command_line.runs_apiserver(container):
            return container
    raise RefusalError(
        f"{path}: no pod with a container that runs kube-apiserver; give its static pod manifest, "
        f"on kubeadm nodes {MANIFEST}"
    )


def audit_flags(items: Sequence[str]) -> dict[str, str]:
    """Return the `audit-*` flags of a command line, as kube-apiserver would take them."""
    names = {item[2:].partition("=")[0] for item in items if item.startswith("--audit-")}
    values = {name: command_line.value_of(items, name) for name in sorted(names)}
    # a boolean flag stands alone; what follows it is another item
    return {name: "true" if value is None else value for name, value in values.items()}


def _address(container: Any, items: Sequence[str]) -> tuple[str, int]:
    probe: Mapping[str, Any] = (container.get("livenessProbe") or {}).get("httpGet") or {}
    host, default = _ADDRESS
    port = str(command_line.value_of(items, "secure-port") or probe.get("port") or default)
    return (str(probe.get("host") or host), int(port)) if port.isdecimal() else _ADDRESS
