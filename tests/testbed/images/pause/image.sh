# The sandbox of a pod.
# shellcheck shell=bash disable=SC2154,SC2034
reference=localhost/pause:1

inputs() { built pause 1; }

context() { cp "$CACHE/pause/1/pause" "$1/"; }
