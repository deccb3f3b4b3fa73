#!/usr/bin/env bash
# Takes the definitions of the OpenTelemetry operator's kinds from its Go module:
#   $CACHE/opentelemetry-operator/<version>/opentelemetry-operator/*.yaml
# No newer version is published as a module; that has more kinds, and conditions in their status.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  local source
  source=$(go_module_source github.com/open-telemetry/opentelemetry-operator "$OPENTELEMETRY_OPERATOR_VERSION")
  cp -r --no-preserve=mode "$source/config/crd/bases" "$1"
}

cached opentelemetry-operator "$OPENTELEMETRY_OPERATOR_VERSION" build "$here/build.sh"
