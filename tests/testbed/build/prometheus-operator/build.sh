#!/usr/bin/env bash
# Builds the Prometheus operator and its admission webhook from their Go module, and puts the
# definitions of their kinds beside them:
#   $CACHE/prometheus-operator/<version>/prometheus-operator/{operator,admission-webhook,crds/*.yaml}
# The module takes its API types and its client from folders of its repository, which are modules
# of their own and not part of it: the published ones of the same version take their place.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"
module=github.com/prometheus-operator/prometheus-operator

build() {
  local source part program
  source=$(go_module_source "$module" "$PROMETHEUS_OPERATOR_VERSION")
  cp -r --no-preserve=mode "$source" source
  for part in pkg/apis/monitoring pkg/client; do
    go mod edit -dropreplace="$module/$part" -require="$module/$part@v$PROMETHEUS_OPERATOR_VERSION" source/go.mod
  done
  mkdir "$1"
  for program in operator admission-webhook; do
    CGO_ENABLED=0 GOWORK=off go build -C source -mod=mod -trimpath -o "$1/$program" -ldflags "-s -w \
      -X github.com/prometheus/common/version.Version=$PROMETHEUS_OPERATOR_VERSION" "./cmd/$program"
  done
  mkdir "$1/crds"
  cp source/example/prometheus-operator-crd/*.yaml "$1/crds/"
}

cached prometheus-operator "$PROMETHEUS_OPERATOR_VERSION" build "$here/build.sh"
