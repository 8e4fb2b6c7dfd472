#!/usr/bin/env bash
# Builds etcd, kube-apiserver and the generator `load` into $OUT, from the versions that the go.mod
# files name. What is there already is left alone. Cold it takes about ten minutes on two cores.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
OUT=${OUT:-$HOME/.cache/k8s-audit-otlp/bin}
mkdir -p "$OUT"
export CGO_ENABLED=0 GOFLAGS=-mod=mod

version=k8s.io/component-base/version
flags="-s -w -X $version.gitVersion=v1.37.2 -X $version.gitMajor=1 -X $version.gitMinor=37"

build() { # name, folder of its module, package, flags
  [ -x "$OUT/$1" ] || (cd "$2" && go build -trimpath -ldflags="$4" -o "$OUT/$1" "$3")
}

build etcd "$here/etcd" . "-s -w"
build kube-apiserver "$here" ./cmd/kube-apiserver "$flags"
build load "$here" ./cmd/load "-s -w"
