# Jaeger as in the public image: entrypoint, user and listening address; but without its web page.
# shellcheck shell=bash disable=SC2154,SC2034
reference=docker.io/jaegertracing/jaeger:$JAEGER_VERSION

inputs() {
  built jaeger "$JAEGER_VERSION"
  package busybox-static ca-certificates
}

context() {
  skeleton "$1/rootfs" jaeger:10001:/
  busybox_into "$1/rootfs"
  certificates_into "$1/rootfs"
  mkdir -p "$1/rootfs/cmd/jaeger"
  cp "$CACHE/jaeger/$JAEGER_VERSION/jaeger" "$1/rootfs/cmd/jaeger/jaeger-linux"
}
