#!/usr/bin/env bash
# Builds the servers that have no package, two at once: all of them, or those named.
# Usage: all.sh [NAME…]. One line for each start and end; after a failure nothing new is started,
# and the exit code is 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# The longest first, so that the short ones fill the other place.
[ $# -gt 0 ] || set -- kubernetes jaeger opensearch otelcol coredns prometheus
for name; do
  [ -x "$here/$name/build.sh" ] || { echo "no such build: $name" >&2; exit 2; }
done
# xargs ends with 255 as soon as a command does, and starts nothing new then.
printf '%s\n' "$@" | xargs -P 2 -I {} sh -c '"$0/$1/build.sh" || exit 255' "$here" {} || exit 1
