#!/usr/bin/env bash
# Builds an OpenTelemetry Collector of few components: $CACHE/otelcol/<version>/otelcol.
# The Go files, go.mod and go.sum are committed (mod.sh writes them), so nothing is resolved here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  grep -q "go.opentelemetry.io/collector/otelcol v$OTELCOL_VERSION\$" "$here/go.mod" ||
    { echo "go.mod is not of version $OTELCOL_VERSION: run $here/mod.sh"; return 1; }
  CGO_ENABLED=0 go build -C "$here" -mod=readonly -trimpath -ldflags '-s -w' -o "$1" .
}

cached otelcol "$OTELCOL_VERSION" build "$here"/{build.sh,go.mod,go.sum} "$here"/*.go
