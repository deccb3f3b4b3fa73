#!/usr/bin/env bash
# Builds Prometheus from its Go module, without service discovery and without its web page (the
# module does not carry it): $CACHE/prometheus/<version>/prometheus.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  local source
  source=$(go_module_source github.com/prometheus/prometheus "$PROMETHEUS_MODULE_VERSION")
  cp -r --no-preserve=mode "$source" source
  CGO_ENABLED=0 GOWORK=off go build -C source -mod=readonly -trimpath -tags remove_all_sd -o "$1" -ldflags "-s -w \
    -X github.com/prometheus/common/version.Version=$PROMETHEUS_VERSION" ./cmd/prometheus
}

cached prometheus "$PROMETHEUS_VERSION" build "$here/build.sh"
