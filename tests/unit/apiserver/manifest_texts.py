"""Manifests of kube-apiserver, and what stands in one."""

from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).with_name("manifests")
ALL = {path.stem: path.read_text() for path in sorted(HERE.glob("*.yaml"))}
KUBEADM = ALL["kubeadm-1.30"]
ARGS_APART = ALL["args-apart"]


def kubeadm(flags: tuple[()] | list[str] = (), mounts: str = "", volumes: str = "") -> str:
    """Lay out kubeadm's manifest with something already there."""
    items = "".join(f"    - {flag}\n" for flag in flags)
    text = KUBEADM.replace("    image: ", items + "    image: ")
    text = text.replace("  hostNetwork:", mounts + "  hostNetwork:")
    return text.replace("status: {}\n", volumes + "status: {}\n")


def command_of(text: str) -> list[str]:
    container = yaml.safe_load(text)["spec"]["containers"][0]
    return [str(i) for i in [*container.get("command", []), *container.get("args", [])]]


def mount_of(text: str, path: str) -> tuple[Any, ...]:
    spec = yaml.safe_load(text)["spec"]
    mount = next(m for m in spec["containers"][0]["volumeMounts"] if m["mountPath"] == path)
    volume = next(v for v in spec["volumes"] if v["name"] == mount["name"])
    return mount, volume


def paths_of(text: str) -> list[str]:
    return [m["mountPath"] for m in yaml.safe_load(text)["spec"]["containers"][0]["volumeMounts"]]
