# The sandbox of a pod.
# shellcheck shell=bash disable=SC2154,SC2034
reference=localhost/pause:$PAUSE_VERSION

inputs() { built pause "$PAUSE_VERSION"; }

context() { cp "$CACHE/pause/$PAUSE_VERSION/pause" "$1/"; }
