#!/usr/bin/env bash
# Ends the API server that apiserver-up.sh started, as a crash does, or starts it again on the same
# port and store. Usage: apiserver-again.sh stop|start      Environment: as apiserver-up.sh
set -euo pipefail
started=$(date +%s.%N)
part=apiserver
. "$(dirname "$0")/place.sh"
. "$scripts/control-plane.sh"
API_PORT=$(cat "$DIR/ready")

case $1 in
  stop)
    kill -9 "$(cat "$DIR/pids/kube-apiserver")"
    while alive "$DIR/pids/kube-apiserver"; do sleep 0.01; done
    ;;
  start)
    start_lone_apiserver "$(cat "$DIR/etcd-port")"
    say "up again"
    ;;
esac
