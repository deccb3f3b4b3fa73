#!/usr/bin/env bash
# Brings up a cluster that is an API server only, for tests that need no pods: etcd, kube-apiserver
# and the controllers that clean up (namespaces, garbage, service accounts) as plain processes on
# free ports of 127.0.0.1. RBAC is on; the administrator has a client certificate, and further users
# are service accounts with tokens (`kubectl create token`). Needs no root. Returns at once when it is up.
#
# Usage: apiserver-up.sh      Environment: TESTBED_STATE, TESTBED_NAME (see place.sh)
# Writes: $TESTBED_STATE/apiserver/kubeconfig, log/<daemon>.log beside it; down.sh ends it.
set -euo pipefail
started=$(date +%s.%N)
part=apiserver
. "$(dirname "$0")/place.sh"
. "$scripts/certificates.sh"
. "$scripts/control-plane.sh"
. "$scripts/remove.sh"

is_up() { [ -e "$DIR/ready" ] && API_PORT=$(cat "$DIR/ready") && api /readyz >/dev/null; }

check_needs() {
  local command
  [ -x "$BIN/kube-apiserver" ] || { echo "up: Kubernetes is not built: run build/all.sh kubernetes" >&2; exit 1; }
  for command in bc curl etcd openssl ss; do
    command -v "$command" >/dev/null || { echo "up: the command $command is missing: run install.sh" >&2; exit 1; }
  done
}

write_configuration() {
  mkdir -p "$DIR"/{pki,etc,log,pids,etcd}
  chmod 700 "$DIR/etcd"
  cd "$DIR/pki"
  api_certificates
  cd "$DIR"
  (cd pki && kubeconfig controllers "https://127.0.0.1:$API_PORT" "$DIR/etc/controllers.kubeconfig")
  (cd pki && kubeconfig admin "https://127.0.0.1:$API_PORT" "$DIR/kubeconfig")
}

start_all() {
  local etcd_port controllers=namespace-controller,garbage-collector-controller,serviceaccount-controller
  controllers+=,serviceaccount-token-controller,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller
  etcd_port=$(free_port)
  start_etcd daemon "$etcd_port" "$(free_port)"
  echo "$etcd_port" >"$DIR/etcd-port"
  start_lone_apiserver "$etcd_port"
  start_controllers daemon --controllers="$controllers" --secure-port=0
  wait_for "default service account" api /api/v1/namespaces/default/serviceaccounts/default
}

# Each certificate and folder is made anew: what a killed `up` left is of no use.
lock
! is_up || { echo "up already: KUBECONFIG=$DIR/kubeconfig"; exit 0; }
check_needs
remove
API_PORT=$(free_port)
write_configuration
start_all
echo "$API_PORT" >"$DIR/ready"
say "up: KUBECONFIG=$DIR/kubeconfig"
