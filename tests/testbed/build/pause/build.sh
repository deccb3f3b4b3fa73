#!/usr/bin/env bash
# Compiles the program that keeps namespaces open: a pod's, and a cluster's own.
# $CACHE/pause/<version>/pause
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() { gcc -Os -static -s -o "$1" "$here/pause.c"; }

cached pause "$PAUSE_VERSION" build "$here"/{build.sh,pause.c}
