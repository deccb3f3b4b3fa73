#!/usr/bin/env bash
# Writes go.mod and go.sum anew for KUBERNETES_VERSION. Run it after changing the version, and
# commit the result. Kubernetes replaces its staging modules by folders that its module does not
# carry; they are published as v0.<minor>.<patch>, and a replacement holds in the main module only.
set -euo pipefail
cd "$(dirname "$0")"
. ../cache.sh
printf 'module firstlight.dev/testbed/kubernetes\n\ngo 1.25.0\n\nrequire k8s.io/kubernetes v%s\n' "$KUBERNETES_VERSION" >go.mod
source=$(go_module_source k8s.io/kubernetes "$KUBERNETES_VERSION")
sed -nE 's,^\s+(k8s\.io/[a-z0-9.-]+) => \./staging.*,\1,p' "$source/go.mod" | while read -r module; do
  echo "replace $module => $module v0.${KUBERNETES_VERSION#1.}"
done >>go.mod
go mod tidy
