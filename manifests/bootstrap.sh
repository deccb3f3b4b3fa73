#!/usr/bin/env bash
# Renders manifests/bootstrap.yaml from the chart, after it put the bundle's schema of values into the
# chart's own, so that Helm refuses what the agent would refuse.
# Usage: bootstrap.sh [--check]
#   --check  changes nothing; exit 1 with the difference when one of the two files is stale
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
testbed=$here/../tests/testbed
"$testbed/build/helm/build.sh" >&2
# shellcheck source-path=SCRIPTDIR source=../tests/testbed/build/cache.sh
. "$testbed/build/cache.sh"
helm=$CACHE/helm/$HELM_VERSION/helm

# The chart's schema, with the bundle's where the bundle's values are. Definitions are found from a
# document's root, so they stand there.
schema() {
  jq --slurpfile bundle "$here/values.schema.json" '
    .properties.values = ($bundle[0] | del(.["$schema"], .["$defs"])) | .["$defs"] = $bundle[0]["$defs"]
  ' "$here/chart/values.schema.json"
}

bootstrap() {
  echo "# Everything for \`kubectl apply -f\`: the chart beside this file, rendered by bootstrap.sh."
  "$helm" template lens "$here/chart" --namespace lens --set createNamespace=true
}

# put FILE COMMAND: its output becomes the file, or is compared with it.
put() {
  local new
  new=$("$2")
  if [ -n "$check" ]; then
    diff -u --label "$1" --label "$1, made anew" "$here/$1" <(printf '%s\n' "$new") || {
      echo "manifests/$1 is stale: run manifests/bootstrap.sh" >&2
      exit 1
    }
  else
    printf '%s\n' "$new" >"$here/$1"
  fi
}

check=
[ "${1:-}" != --check ] || check=1
put chart/values.schema.json schema
put bootstrap.yaml bootstrap
