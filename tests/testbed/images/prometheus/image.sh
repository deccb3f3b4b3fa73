# Prometheus as in the public image; but without its web page and without service discovery.
# shellcheck shell=bash disable=SC2154,SC2034
reference=docker.io/prom/prometheus:v$PROMETHEUS_VERSION

inputs() {
  built prometheus "$PROMETHEUS_VERSION"
  package busybox-static ca-certificates
}

context() {
  skeleton "$1/rootfs" nobody:65534:/
  busybox_into "$1/rootfs"
  certificates_into "$1/rootfs"
  mkdir -m 775 "$1/data"
  cp "$CACHE/prometheus/$PROMETHEUS_VERSION/prometheus" "$1/"
  printf '%s\n' 'global: { scrape_interval: 15s }' 'scrape_configs:' \
    '  - { job_name: prometheus, static_configs: [{ targets: ["localhost:9090"] }] }' >"$1/prometheus.yml"
}
