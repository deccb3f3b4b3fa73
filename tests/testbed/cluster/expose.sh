#!/usr/bin/env bash
# Makes 127.0.0.1:PORT of this machine reachable inside the cluster, at the same address there, until
# down.sh: for a server of a test that the API server is to call. Usage: expose.sh PORT
# Repeating it is harmless.
set -euo pipefail
part=cluster
. "$(dirname "$0")/place.sh"
port=$1
init=$(init_pid) || { echo "expose: no cluster is up in $STATE" >&2; exit 1; }
lock
! alive "$DIR/pids/expose-$port" || exit 0
daemon "expose-$port" socat "UNIX-LISTEN:sockets/expose-$port,fork,unlink-early" "TCP:127.0.0.1:$port"
wait_for "socket for port $port" test -S "$DIR/sockets/expose-$port"
inside_daemon "expose-$port-inside" socat "TCP-LISTEN:$port,bind=127.0.0.1,fork,reuseaddr" "UNIX-CONNECT:sockets/expose-$port"
listening() { [ -n "$(in_cluster ss -Hltn "sport = :$port")" ]; }
wait_for "listener on port $port inside" listening
