"""Tells who wrote a kube-apiserver manifest and will write it again. No I/O.

Only kubeadm's manifests may be patched in place; the others are rewritten by their owner at the
next start, so each row names the configuration that the owner reads instead.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any


class Owner(Enum):
    KUBEADM = "kubeadm"
    RKE2 = "RKE2"
    K3S = "k3s"
    TALOS = "Talos"
    KOPS = "kOps"
    UNKNOWN = "an unknown installer"


# Sources: docs.rke2.io/security/hardening_guide, docs.k3s.io/security/hardening-guide,
# docs.siderolabs.com (cluster.apiServer), kops.sigs.k8s.io/cluster_spec/#audit-logging
HINTS: Mapping[Owner, str] = {
    Owner.RKE2: (
        "set `audit-policy-file: /etc/rancher/rke2/audit-policy.yaml` and `kube-apiserver-arg:` "
        "(audit-log-maxage=…, audit-log-maxbackup=…, audit-log-maxsize=…) in "
        "/etc/rancher/rke2/config.yaml, then restart rke2-server"
    ),
    Owner.K3S: (
        "list audit-log-path=…, audit-policy-file=… and audit-log-maxage=… under "
        "`kube-apiserver-arg:` in /etc/rancher/k3s/config.yaml, then restart k3s"
    ),
    Owner.TALOS: (
        "put the policy under `cluster.apiServer.auditPolicy` of the machine configuration; "
        "the log is already at /var/log/audit/kube/kube-apiserver.log"
    ),
    Owner.KOPS: (
        "set spec.kubeAPIServer.auditLogPath, auditLogMaxAge, auditLogMaxBackups, auditLogMaxSize "
        "and auditPolicyFile (the file through spec.fileAssets) with `kops edit cluster`"
    ),
}


def owner_of(path: str, metadata: Mapping[str, Any], items: Sequence[str]) -> Owner:
    """Tell whose manifest this is from its path, the pod's metadata and the paths in its flags."""
    command = "\n".join(items)
    if "/rancher/k3s/" in path or "/rancher/k3s/" in command:
        return Owner.K3S
    if "/rancher/" in path or "/rancher/rke2/" in command:
        return Owner.RKE2
    if (metadata.get("labels") or {}).get("app.kubernetes.io/managed-by") == "Talos":
        return Owner.TALOS
    if "/srv/kubernetes/" in command or path.endswith(".manifest"):
        return Owner.KOPS
    annotations = metadata.get("annotations") or {}
    marked = any(key.startswith("kubeadm.kubernetes.io/") for key in annotations)
    if marked or "/etc/kubernetes/pki/" in command:
        return Owner.KUBEADM
    return Owner.UNKNOWN


V1BETA4_SINCE = (1, 31)  # kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4


def kubeadm_api_version(image: str) -> str:
    """Return the ClusterConfiguration version that kubeadm of the image's release prefers."""
    found = re.search(r":v(\d+)\.(\d+)", image)
    release = (int(found[1]), int(found[2])) if found else V1BETA4_SINCE
    return "v1beta4" if release >= V1BETA4_SINCE else "v1beta3"
