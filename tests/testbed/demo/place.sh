# Sourced by the scripts of this folder: which cluster the demo uses, and how to reach things in it.
# shellcheck shell=bash disable=SC2034,SC2154
NAMESPACE=lens
JAEGER_PORT=${JAEGER_PORT:-16686}
GRAFANA_PORT=${GRAFANA_PORT:-3000}
PROMETHEUS_PORT=${PROMETHEUS_PORT:-9090}
OPENSEARCH_PORT=${OPENSEARCH_PORT:-9200}
. "$here/../build/cache.sh"

if command -v kind >/dev/null && docker info >/dev/null 2>&1; then
  flavour=kind
  export KUBECONFIG=$TESTBED_STATE/kubeconfig
else
  flavour=testbed
  export KUBECONFIG=$TESTBED_STATE/cluster/kubeconfig
  PATH=$CACHE/kubernetes/$KUBERNETES_VERSION/bin:$PATH
fi
export KUBECACHEDIR=$TESTBED_STATE/kubectl

# forward PORT SERVICE PORT: makes a Service reachable at 127.0.0.1:PORT (or at a free port, if
# that one is taken by others) and prints the port.
forward() {
  if [ "$flavour" = testbed ]; then
    "$here/../cluster/forward.sh" "$1" "$NAMESPACE/$2" "$3" 2>/dev/null ||
      "$here/../cluster/forward.sh" 0 "$NAMESPACE/$2" "$3"
    return
  fi
  local port=$1 found="" log=$TESTBED_STATE/forward-$2.log
  [ -z "$(ss -Hltn "sport = :$port")" ] || port=0
  kubectl -n "$NAMESPACE" port-forward --address 127.0.0.1 "service/$2" "$port:$3" >"$log" 2>&1 </dev/null &
  echo $! >>"$TESTBED_STATE/forwards"
  # kubectl prints the port that it listens on as its first line.
  for _ in $(seq 100); do
    found=$(sed -nE '/^Forwarding from 127\.0\.0\.1:/{s/.*127\.0\.0\.1:([0-9]+) .*/\1/p;q}' "$log")
    [ -z "$found" ] || break
    sleep 0.2
  done
  [ -n "$found" ] || { cat "$log" >&2; return 1; }
  echo "$found"
}
