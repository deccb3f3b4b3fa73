# The OpenTelemetry Collector as in the public image of its distribution for Kubernetes, without a shell.
# shellcheck shell=bash disable=SC2154,SC2034
reference=docker.io/otel/opentelemetry-collector-k8s:$OTELCOL_VERSION

inputs() {
  built otelcol "$OTELCOL_VERSION"
  package ca-certificates
}

context() {
  certificates_into "$1/rootfs"
  cp "$CACHE/otelcol/$OTELCOL_VERSION/otelcol" "$images/otelcol/config.yaml" "$1/"
}
