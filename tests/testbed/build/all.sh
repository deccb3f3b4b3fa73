#!/usr/bin/env bash
# Builds the servers that have no package, two at once: all of them, or those named.
# Usage: all.sh [NAME…]. One line for each start and end; after a failure nothing new is started,
# and the exit code is 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# The longest first, so that the short ones fill the other place.
[ $# -gt 0 ] || set -- kubernetes jaeger prometheus-operator opensearch otelcol helm coredns prometheus migrate opentelemetry-operator pause
for name; do
  [ -x "$here/$name/build.sh" ] || { echo "no such build: $name" >&2; exit 2; }
done
printf "$here/%s/build.sh\\0" "$@" | xargs -0 -P 2 -n 1 env || exit 1
