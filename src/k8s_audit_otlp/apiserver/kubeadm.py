"""Writes kubeadm's configuration for the flags of the audit log, and its roll-out. No I/O.

A patched manifest lasts until kubeadm writes it again, at the next upgrade; what it writes from,
also for a node that joins, is the ClusterConfiguration in kube-system/kubeadm-config.
"""

from collections.abc import Mapping
from string import Template
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


# Only one apiserver is away at a time, and the next node waits until this one writes its log.
# localAPIEndpoint is spelled out: with --config, kubeadm would otherwise guess the address.
_ROLL_OUT = Template("""\
# 1. Once, on any control-plane node, as root: merge the fragment into the stored configuration.
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl -n kube-system get configmap kubeadm-config \\
  -o jsonpath='{.data.ClusterConfiguration}' > /root/kubeadm-cluster.yaml
"$${EDITOR:-vi}" /root/kubeadm-cluster.yaml
kubeadm config validate --config /root/kubeadm-cluster.yaml
# Stored, because upgrades and joining nodes take their manifests from there.
kubeadm init phase upload-config kubeadm --config /root/kubeadm-cluster.yaml

# 2. On each control-plane node, ONE AT A TIME, as root (bring /root/kubeadm-cluster.yaml along):
test -s $policy || { echo 'write $policy first: without it the apiserver stops'; exit 1; }
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
address=$$(sed -n 's/.*--advertise-address=//p' "$$manifest")
port=$$(sed -n 's/.*--secure-port=//p' "$$manifest")
cp -p "$$manifest" /root/kube-apiserver.yaml.before   # never into the manifests directory
cat /root/kubeadm-cluster.yaml - > /root/kubeadm-node.yaml <<END
---
apiVersion: kubeadm.k8s.io/$version
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: $$address, bindPort: $${port:-6443}}
END
kubeadm init phase control-plane apiserver --config /root/kubeadm-node.yaml

# 3. Wait for this node's own apiserver, then for its log to grow; only then go to the next node.
ready() { kubectl --kubeconfig /etc/kubernetes/admin.conf \\
  --server "https://$$address:$${port:-6443}" get --raw /readyz; }
sleep 10; until test -s $log && ready; do sleep 3; done
before=$$(stat -c %s $log)
ready; sleep 10
after=$$(stat -c %s $log)
[ "$$after" -ne "$$before" ] && echo "$log grows: go on" || echo "$log does not grow: stop here"

# If it does not come back: crictl logs $$(crictl ps -a --name kube-apiserver -q | head -1),
# then mv /root/kube-apiserver.yaml.before $$manifest
""")


def roll_out(flags: Mapping[str, str], api_version: str) -> str:
    """Write the commands that bring the configuration to the nodes, one after the other."""
    return _ROLL_OUT.substitute(
        policy=flags[POLICY_FILE],
        log=flags[LOG_PATH],
        version=api_version,
    )
