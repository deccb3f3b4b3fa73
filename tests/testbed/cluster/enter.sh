#!/usr/bin/env bash
# Runs a command inside the cluster: its network, its processes, its mounts, with ctr and kubectl.
# Usage: enter.sh COMMAND…
set -euo pipefail
part=cluster
. "$(dirname "$0")/place.sh"
init=$(init_pid) || { echo "enter: no cluster is up in $STATE" >&2; exit 1; }
in_cluster env "KUBECONFIG=$DIR/etc/admin.kubeconfig" "TERM=${TERM:-dumb}" "$@"
