# Sourced by the scripts of this folder, after `part=cluster` or `part=apiserver`: where a cluster
# keeps its things, how its processes are started, marked and found again.
#
#   TESTBED_STATE  state folder, target/testbed of this checkout when unset; all is below $STATE/$part
#   TESTBED_NAME   name of the node, `firstlight` when unset
# shellcheck shell=bash disable=SC2154,SC2034
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$scripts/../build/cache.sh"
STATE=$(realpath -m "${TESTBED_STATE:-$scripts/../../../target/testbed}")
NAME=${TESTBED_NAME:-firstlight}
DIR=$STATE/$part
BIN=$CACHE/kubernetes/$KUBERNETES_VERSION/bin
# The only name that clusters of one machine share, so it tells two state folders apart.
CGROUP=$NAME-$(hash_of -- "$DIR" | cut -c1-8)
NODE_IP=10.240.0.10
POD_CIDR=10.244.0.0/16
SERVICE_CIDR=10.96.0.0/16
API_IP=10.96.0.1
DNS_IP=10.96.0.10
PAUSE_IMAGE=localhost/pause:$PAUSE_VERSION
# Every process of a cluster has this in its environment: it is how down.sh finds them all,
# whatever had been written down when `up` was killed.
MARK=FIRSTLIGHT_TESTBED=$DIR
# /var/tmp is the cluster's own inside, and there it is removed with the rest.
CLEAN=(env -i "$MARK" "PATH=$BIN:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root TMPDIR=/var/tmp)

say() { printf '%5.1f s  %s\n' "$(bc <<<"$(date +%s.%N)-$started")" "$*"; }

# The pid, seen from outside, of the first process inside; fails when there is none.
init_pid() {
  local pid
  pid=$(cat "$DIR/init.pid" 2>/dev/null) && [ "$(readlink "/proc/$pid/exe")" = "$DIR/init" ] && echo "$pid"
}

# in_cluster COMMAND…: runs it in the cluster's namespaces, as a daemon would see them.
in_cluster() { nsenter -t "$init" -m -n -p -u -i --wd=/ "${CLEAN[@]}" "$@"; }

# daemon NAME COMMAND…: starts it detached, its output in log/NAME.log.
# It must not inherit the lock (9): the lock is this script's, not the cluster's.
daemon() {
  local name=$1
  shift
  (cd "$DIR" && exec "${CLEAN[@]}" setsid "$@" >"$DIR/log/$name.log" 2>&1 </dev/null 9>&-) &
  echo $! >"$DIR/pids/$name"
}

# inside_daemon NAME COMMAND…: the same inside the cluster. Sockets are named from $DIR, because
# a socket's whole path may have 107 characters only.
inside_daemon() {
  local name=$1
  shift
  daemon "$name" nsenter -t "$init" -m -n -p -u -i --wd="$DIR" "$@"
}

# Is the process there that this file names? One that nobody has reaped has no program any more.
alive() { [ -e "$1" ] && [ -e "/proc/$(cat "$1")/exe" ]; }

# wait_for WHAT COMMAND…: until the command succeeds. Fails at once when a daemon has ended, and
# after WAIT seconds, in both cases with what there is to read.
wait_for() {
  local what=$1 deadline=$((SECONDS + ${WAIT:-120})) file
  shift
  until "$@" >/dev/null 2>&1; do
    for file in "$DIR"/pids/*; do
      alive "$file" || give_up "$(basename "$file") ended while waiting for $what" "$(basename "$file")"
    done
    [ $SECONDS -lt $deadline ] || give_up "no $what after ${WAIT:-120} s"
    sleep 0.05
  done
}

give_up() {
  echo "up: $1" >&2
  [ -z "${2:-}" ] || tail -n 20 "$DIR/log/$2.log" >&2
  echo "up: logs are in $DIR/log; down.sh removes everything" >&2
  exit 1
}

# api PATH: asks the API server, with the administrator's certificate.
api() {
  curl -sf --noproxy '*' --max-time 5 --cacert "$DIR/pki/ca.crt" --cert "$DIR/pki/admin.crt" --key "$DIR/pki/admin.key" \
    "https://127.0.0.1:$API_PORT$1"
}

# A port of 127.0.0.1 that nobody listens on, below those that the kernel gives to clients.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    [ -n "$(ss -Hltn "sport = :$port")" ] || { echo $port; return; }
  done
}

# One script at a time per cluster. The file is in the cache, because down.sh removes the state folder.
lock() {
  mkdir -p "$CACHE/locks"
  exec 9>"$CACHE/locks/$CGROUP"
  flock -n 9 && return
  echo "waiting for another up or down of $DIR" >&2
  flock -w 600 9 || { echo "it still has not ended after 600 s" >&2; exit 1; }
}

need_root() { [ "$(id -u)" = 0 ] || { echo "$(basename "$0"): run as root: it makes namespaces and mounts" >&2; exit 1; }; }
