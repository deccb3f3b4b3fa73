#!/usr/bin/env bash
# Forwards 127.0.0.1:HOST_PORT of this machine to an address inside the cluster, until down.sh.
# Usage: forward.sh HOST_PORT ADDRESS PORT
#   HOST_PORT  0 chooses a free one
#   ADDRESS    a ClusterIP, a pod's address, NAMESPACE/SERVICE, or `node` (for a NodePort)
# Prints the port. Repeating it is harmless.
set -euo pipefail
part=cluster
. "$(dirname "$0")/place.sh"
host_port=$1 address=$2 port=$3
init=$(init_pid) || { echo "forward: no cluster is up in $STATE" >&2; exit 1; }
lock
case $address in
  node) address=$NODE_IP ;;
  */*) address=$("$BIN/kubectl" --kubeconfig "$DIR/kubeconfig" -n "${address%/*}" get service "${address#*/}" -o 'jsonpath={.spec.clusterIP}') ;;
esac
name=forward-$host_port-$address-$port
if [ "$host_port" != 0 ] && alive "$DIR/pids/$name"; then
  echo "$host_port"
  exit
fi
[ "$host_port" != 0 ] || host_port=$(free_port)
name=forward-$host_port-$address-$port
[ -z "$(ss -Hltn "sport = :$host_port")" ] || { echo "forward: port $host_port of this machine is in use" >&2; exit 1; }
inside_daemon "$name-inside" socat "UNIX-LISTEN:sockets/$host_port,fork,unlink-early" "TCP:$address:$port"
daemon "$name" socat "TCP-LISTEN:$host_port,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:sockets/$host_port"
wait_for "socket for port $host_port" test -S "$DIR/sockets/$host_port"
listening() { [ -n "$(ss -Hltn "sport = :$host_port")" ]; }
wait_for "listener on port $host_port" listening
echo "$host_port"
