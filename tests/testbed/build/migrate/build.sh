#!/usr/bin/env bash
# Builds golang-migrate from its Go module, to be measured and to write histories that are taken
# over: $CACHE/migrate/<version>/migrate.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  local source
  source=$(go_module_source github.com/golang-migrate/migrate/v4 "$MIGRATE_VERSION")
  cp -r --no-preserve=mode "$source" source
  CGO_ENABLED=0 GOWORK=off go build -C source -mod=readonly -trimpath -tags postgres -o "$1" \
    -ldflags "-s -w -X main.Version=$MIGRATE_VERSION" ./cmd/migrate
}

cached migrate "$MIGRATE_VERSION" build "$here/build.sh"
