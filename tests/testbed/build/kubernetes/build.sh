#!/usr/bin/env bash
# Builds kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy and kubectl
# as one program that acts as what it is called as: $CACHE/kubernetes/<version>/kubernetes, with
# a link for each name in bin/ beside it.
# go.mod and go.sum are committed (mod.sh writes them), so nothing is resolved here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  local package=k8s.io/component-base/version
  grep -q "k8s.io/kubernetes v$KUBERNETES_VERSION\$" "$here/go.mod" ||
    { echo "go.mod is not of version $KUBERNETES_VERSION: run $here/mod.sh"; return 1; }
  CGO_ENABLED=0 go build -C "$here" -mod=readonly -trimpath -o "$1" -ldflags "-s -w \
    -X $package.gitVersion=v$KUBERNETES_VERSION -X $package.gitMajor=1 \
    -X $package.gitMinor=$(cut -d. -f2 <<<"$KUBERNETES_VERSION")" .
}

cached kubernetes "$KUBERNETES_VERSION" build "$here"/{build.sh,main.go,go.mod,go.sum}

# What it is called as. kubectl is for tests and for people too.
bin=$CACHE/kubernetes/$KUBERNETES_VERSION/bin
mkdir -p "$bin"
for name in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do
  ln -sfn ../kubernetes "$bin/$name"
done
