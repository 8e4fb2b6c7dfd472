#!/usr/bin/env bash
# Builds what the interop tests talk to, as far as it is not there yet, into $K8S_AUDIT_OTLP_BIN, by
# default ~/.cache/k8s-audit-otlp/bin: a Collector, etcd, kube-apiserver and its tools, helm and
# kubeconform, VictoriaLogs, DataKit's Pipeline engine. From the Go module proxy; about 20 minutes
# on two cores the first time.
# Where there is Maven, also the jars of Kafka and OpenSearch, beside the bin directory; and ClickHouse
# as a Python library (500 MB).
# With K8S_AUDIT_OTLP_LOKI=1 also Loki, about 10 minutes more (pytest -m loki).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=${K8S_AUDIT_OTLP_BIN:-$HOME/.cache/k8s-audit-otlp/bin}
mkdir -p "$bin"

cmp -s "$here/build/builder.yaml" "$bin/otelcol.yaml" || OUT=$bin bash "$here/build/build.sh"
OUT=$bin bash "$here/apiserver/kube/build.sh"
[ -x "$bin/helm" ] || GOBIN=$bin go install helm.sh/helm/v3/cmd/helm@v3.22.0
[ -x "$bin/kubeconform" ] ||
  GOBIN=$bin go install github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0
[ -x "$bin/actionlint" ] ||
  GOBIN=$bin go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
[ -x "$bin/victoria-logs" ] ||
  GOBIN=$bin go install github.com/VictoriaMetrics/VictoriaLogs/app/victoria-logs@v1.52.1

[ -x "$bin/datakit-pipeline" ] || (cd "$here/pipeline" && go build -o "$bin/datakit-pipeline" .)

if [ ! -x "$bin/promtool" ]; then # its module replaces others, so it is built as a dependency
  module=$(mktemp -d)
  (cd "$module" && go mod init promtool && go get github.com/prometheus/prometheus/cmd/promtool@v0.301.0 &&
    go build -o "$bin/promtool" github.com/prometheus/prometheus/cmd/promtool)
  rm -rf "$module"
fi

for pom in kafka/kafka stores/opensearch; do # without them their tests are left out
  name=${pom##*/}
  jars=$(dirname "$bin")/$name
  if command -v mvn >/dev/null && [ ! -d "$jars" ]; then
    if mvn -B -q -f "$here/$pom.pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
      -DoutputDirectory="$jars.new"; then mv "$jars.new" "$jars"; fi
  fi
done

clickhouse=$(dirname "$bin")/clickhouse
if [ ! -d "$clickhouse" ]; then
  if python3 -m pip install --quiet --no-deps --target "$clickhouse.new" chdb-core==26.9.0; then
    mv "$clickhouse.new" "$clickhouse"
  fi
fi

# The image is built without a daemon; where that cannot be installed its tests are left out.
if ! { command -v buildah && command -v mmdebstrap; } >/dev/null && [ "$(id -u)" = 0 ] &&
  command -v apt-get >/dev/null; then
  { apt-get update -qq && apt-get install -qq -y buildah mmdebstrap; } >/dev/null || true
fi

if [ -n "${K8S_AUDIT_OTLP_LOKI:-}" ] && [ ! -x "$bin/loki" ]; then
  work=$(mktemp -d)
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
  source=$(go mod download -json github.com/grafana/loki/v3@v3.7.8 | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
  cp -r "$source" "$work/loki"
  chmod -R u+w "$work/loki"
  cd "$work/loki"
  # A module's archive holds no nested modules: this one comes from the proxy instead.
  go mod edit -dropreplace github.com/grafana/loki/pkg/push
  GOFLAGS=-mod=mod go get github.com/grafana/loki/pkg/push@latest
  CGO_ENABLED=0 GOFLAGS=-mod=mod go build -o "$bin/loki" ./cmd/loki
fi
