# 1. Once, on any control-plane node, as root: merge the fragment into the stored configuration.
export KUBECONFIG=/etc/kubernetes/admin.conf
kubectl -n kube-system get configmap kubeadm-config \
  -o jsonpath='{.data.ClusterConfiguration}' > /root/kubeadm-cluster.yaml
"${EDITOR:-vi}" /root/kubeadm-cluster.yaml
kubeadm config validate --config /root/kubeadm-cluster.yaml
# Stored, because upgrades and joining nodes take their manifests from there.
kubeadm init phase upload-config kubeadm --config /root/kubeadm-cluster.yaml

# 2. On each control-plane node, ONE AT A TIME, as root (bring /root/kubeadm-cluster.yaml along):
test -s @policy@ || { echo 'write @policy@ first: without it the apiserver stops'; exit 1; }
manifest=/etc/kubernetes/manifests/kube-apiserver.yaml
address=$(sed -n 's/.*--advertise-address=//p' "$manifest")
port=$(sed -n 's/.*--secure-port=//p' "$manifest")
cp -p "$manifest" /root/kube-apiserver.yaml.before   # never into the manifests directory
cat /root/kubeadm-cluster.yaml - > /root/kubeadm-node.yaml <<END
---
apiVersion: kubeadm.k8s.io/@version@
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: $address, bindPort: ${port:-6443}}
END
kubeadm init phase control-plane apiserver --config /root/kubeadm-node.yaml

# 3. Wait for this node's own apiserver, then for its log to grow; only then go to the next node.
ready() { kubectl --kubeconfig /etc/kubernetes/admin.conf \
  --server "https://$address:${port:-6443}" get --raw /readyz; }
sleep 10; until test -s @log@ && ready; do sleep 3; done
before=$(stat -c %s @log@)
ready; sleep 10
after=$(stat -c %s @log@)
[ "$after" -ne "$before" ] && echo "@log@ grows: go on" || echo "@log@ does not grow: stop here"

# If it does not come back: crictl logs $(crictl ps -a --name kube-apiserver -q | head -1),
# then mv /root/kube-apiserver.yaml.before $manifest
