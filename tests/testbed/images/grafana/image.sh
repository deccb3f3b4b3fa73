# Not Grafana: a stand-in that keeps the part of its API contract that the project uses. It has the
# name that manifests use, so that they need not know, and a label that says what it is.
# shellcheck shell=bash disable=SC2154,SC2034
reference=docker.io/grafana/grafana:$GRAFANA_VERSION

inputs() {
  [ -f "${GRAFANA_STAND_IN:-}" ] || { echo "image grafana: GRAFANA_STAND_IN names no file: '${GRAFANA_STAND_IN:-}'" >&2; return 1; }
  sha256sum <"$GRAFANA_STAND_IN"
  package busybox-static
}

context() {
  # Of a static program ldd says so, with or without an error.
  ! ldd "$GRAFANA_STAND_IN" 2>/dev/null | grep -q "=>" || { echo "image grafana: $GRAFANA_STAND_IN is not a static binary" >&2; return 1; }
  skeleton "$1/rootfs" grafana:472:/var/lib/grafana
  busybox_into "$1/rootfs"
  mkdir "$1/data"
  cp "$GRAFANA_STAND_IN" "$1/grafana-stand-in"
}
