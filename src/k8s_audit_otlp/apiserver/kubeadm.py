"""Writes kubeadm's configuration for the flags of the audit log, and its roll-out. No I/O.

A patched manifest lasts until kubeadm writes it again, at the next upgrade; what it writes from,
also for a node that joins, is the ClusterConfiguration in kube-system/kubeadm-config.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import yaml

from k8s_audit_otlp.apiserver.mounts import NeededMount, log_directory, policy_file
from k8s_audit_otlp.apiserver.settings import LOG_PATH, POLICY_FILE

API_VERSIONS = ("v1beta3", "v1beta4")  # a map of extraArgs, and a list of name and value


def fragment(flags: Mapping[str, str], api_version: str) -> str:
    """Write the part of a ClusterConfiguration that switches the audit log on."""
    ordered = dict(sorted(flags.items()))
    extra_args: Any = ordered
    if api_version == "v1beta4":
        extra_args = [{"name": name, "value": value} for name, value in ordered.items()]
    volumes = [_volume(policy_file(flags[POLICY_FILE])), _volume(log_directory(flags[LOG_PATH]))]
    document = {
        "apiVersion": f"kubeadm.k8s.io/{api_version}",
        "kind": "ClusterConfiguration",
        "apiServer": {"extraArgs": extra_args, "extraVolumes": volumes},
    }
    return yaml.safe_dump(document, sort_keys=False, width=1000)


def _volume(want: NeededMount) -> dict[str, Any]:
    return {
        "name": want.volume,
        "hostPath": want.path,
        "mountPath": want.path,
        "readOnly": want.read_only,
        "pathType": want.kind,
    }


def roll_out(flags: Mapping[str, str], api_version: str) -> str:
    """Write the commands that bring the configuration to the nodes, one after the other.

    Only one apiserver is away at a time, and the next node waits until this one writes its log.
    localAPIEndpoint is spelled out: with --config, kubeadm would otherwise guess the address.
    """
    script = files(__package__).joinpath("roll_out.sh").read_text(encoding="utf-8")
    places = {"policy": flags[POLICY_FILE], "log": flags[LOG_PATH], "version": api_version}
    for name, value in places.items():
        script = script.replace(f"@{name}@", value)
    return script
