#!/usr/bin/env bash
# Builds Jaeger from its Go module: $CACHE/jaeger/<version>/jaeger. The module has no web page in
# it, only its API. It is built inside a copy of its source, because its replacements hold only there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  local source package=github.com/jaegertracing/jaeger/internal/version
  source=$(go_module_source github.com/jaegertracing/jaeger "$JAEGER_MODULE_VERSION")
  cp -r --no-preserve=mode "$source" source
  CGO_ENABLED=0 GOWORK=off go build -C source -mod=readonly -trimpath -o "$1" -ldflags "-s -w \
    -X $package.latestVersion=v$JAEGER_VERSION -X $package.commitSHA=v$JAEGER_MODULE_VERSION" ./cmd/jaeger
}

cached jaeger "$JAEGER_VERSION" build "$here/build.sh"
