#!/usr/bin/env bash
# Builds what the interop tests talk to, as far as it is not there yet, into $K8S_AUDIT_OTLP_BIN, by
# default ~/.cache/k8s-audit-otlp/bin: a Collector, etcd, kube-apiserver and its tools, helm and
# kubeconform. From the Go module proxy; about 20 minutes on two cores the first time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${K8S_AUDIT_OTLP_BIN:-$HOME/.cache/k8s-audit-otlp/bin}
mkdir -p "$bin"

cmp -s "$here/build/builder.yaml" "$bin/otelcol.yaml" || OUT=$bin bash "$here/build/build.sh"
OUT=$bin bash "$here/kube/build.sh"
[ -x "$bin/helm" ] || GOBIN=$bin go install helm.sh/helm/v3/cmd/helm@v3.22.0
[ -x "$bin/kubeconform" ] ||
  GOBIN=$bin go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
