#!/usr/bin/env bash
# Builds Helm from its Go module, to render and check the chart: $CACHE/helm/<version>/helm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  local source
  source=$(go_module_source helm.sh/helm/v4 "$HELM_VERSION")
  cp -r --no-preserve=mode "$source" source
  CGO_ENABLED=0 GOWORK=off go build -C source -mod=readonly -trimpath -o "$1" -ldflags "-s -w \
    -X helm.sh/helm/v4/internal/version.version=v$HELM_VERSION" ./cmd/helm
}

cached helm "$HELM_VERSION" build "$here/build.sh"
