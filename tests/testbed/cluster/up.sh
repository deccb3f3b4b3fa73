#!/usr/bin/env bash
# Brings up a one-node Kubernetes: etcd, control plane, containerd, kubelet and kube-proxy in network,
# process and mount namespaces of their own. Nothing leads out of them but the API server, which the
# machine reaches at 127.0.0.1:API_PORT. When the cluster is up already it only imports what is new.
#
# Usage: up.sh [ARCHIVE…]   OCI archives of the images it shall have; when none is named, all of
#                           images/build.sh (which must have been built)
# Environment: TESTBED_STATE, TESTBED_NAME (see place.sh), API_PORT (a free one when unset)
# Writes: $TESTBED_STATE/cluster/kubeconfig, log/<daemon>.log beside it
# Beside it: enter.sh, import.sh, forward.sh, memory.sh and down.sh work on what this one started.
#
# Runs with cgroup v1 and is written for v2 too; v2 was not tried.
set -euo pipefail
started=$(date +%s.%N)
part=cluster
. "$(dirname "$0")/place.sh"
. "$scripts/certificates.sh"
. "$scripts/config.sh"
. "$scripts/control-plane.sh"
. "$scripts/remove.sh"

is_up() {
  init=$(init_pid) && [ -e "$DIR/ready" ] && API_PORT=$(cat "$DIR/ready") && api /readyz >/dev/null
}

check_needs() {
  local command
  [ -x "$BIN/kubelet" ] || { echo "up: Kubernetes is not built: run build/all.sh kubernetes" >&2; exit 1; }
  for command in bc conntrack containerd ctr curl etcd ip nft nsenter openssl runc socat unshare; do
    command -v "$command" >/dev/null || { echo "up: the command $command is missing: run install.sh" >&2; exit 1; }
  done
  [ -e /proc/sys/net/bridge ] || modprobe br_netfilter || { echo "up: this kernel has no br_netfilter" >&2; exit 1; }
}

make_folders() {
  mkdir -p "$DIR"/{pki,etc/cni,log,pids,sockets,etcd,var/lib/{containerd,volumes/{1..16}}}
  "$scripts/store.sh" clone "$DIR/var/lib/containerd"
  # A copy, because by its path it is told from every other cluster's.
  cp "$CACHE/pause/$PAUSE_VERSION/pause" "$DIR/init"
  : >"$DIR/etc/resolv.conf"
}

write_configuration() {
  local user
  cd "$DIR/pki"
  api_certificates
  node_certificates
  for user in admin controllers scheduler proxy node; do
    kubeconfig $user "https://$NODE_IP:6443" "$DIR/etc/$user.kubeconfig"
  done
  kubeconfig admin "https://127.0.0.1:$API_PORT" "$DIR/kubeconfig"
  cd "$DIR"
  containerd_config >etc/containerd.toml
  cni_config >etc/cni/10-pods.conflist
  kubelet_config >etc/kubelet.yaml
  proxy_config >etc/proxy.yaml
}

# The parent of all pods' cgroups, in each hierarchy (v1) or in the only one (v2).
make_cgroups() {
  local root=/sys/fs/cgroup hierarchy
  if [ -e $root/cgroup.controllers ]; then
    mkdir -p "$root/$CGROUP"
    sed 's/\</+/g' "$root/$CGROUP/cgroup.controllers" >"$root/$CGROUP/cgroup.subtree_control"
    return
  fi
  for hierarchy in cpu cpuacct cpuset memory devices freezer blkio pids hugetlb systemd; do
    [ ! -d $root/$hierarchy ] || mkdir -p "$root/$hierarchy/$CGROUP"
  done
  # A new cpuset allows nothing.
  cat $root/cpuset/cpuset.cpus >"$root/cpuset/$CGROUP/cpuset.cpus"
  cat $root/cpuset/cpuset.mems >"$root/cpuset/$CGROUP/cpuset.mems"
}

# The first process inside becomes $DIR/init once everything is in place.
make_namespaces() {
  local outside
  daemon namespaces unshare --mount --pid --uts --ipc --net --fork --kill-child \
    bash "$scripts/inside.sh" "$DIR" "$NODE_IP" "$CACHE" "$STATE" "$scripts"
  outside=$(cat "$DIR/pids/namespaces")
  become_init() {
    tr -d ' ' <"/proc/$outside/task/$outside/children" >"$DIR/init.pid"
    init=$(init_pid)
  }
  wait_for "the cluster's namespaces" become_init
  nsenter -t "$init" -u hostname "$NAME"
}

start_all() {
  start_etcd inside_daemon 2379 2380
  inside_daemon containerd containerd --config "$DIR/etc/containerd.toml"
  start_apiserver inside_daemon 2379 6443 --advertise-address=$NODE_IP --allow-privileged=true \
    --kubelet-client-certificate="$DIR/pki/kubelet-client.crt" --kubelet-client-key="$DIR/pki/kubelet-client.key" \
    --kubelet-certificate-authority="$DIR/pki/ca.crt" --kubelet-preferred-address-types=InternalIP
  # The machine reaches the API server through a socket in the file system: no address is shared.
  inside_daemon api-inside socat UNIX-LISTEN:sockets/api,fork,unlink-early TCP:127.0.0.1:6443
  daemon api socat "TCP-LISTEN:$API_PORT,bind=127.0.0.1,fork,reuseaddr" UNIX-CONNECT:sockets/api
  wait_for "answer of the API server" api /readyz
  say "API server ready at 127.0.0.1:$API_PORT"
  start_controllers inside_daemon --allocate-node-cidrs=true --cluster-cidr=$POD_CIDR --service-cluster-ip-range=$SERVICE_CIDR \
    --cluster-signing-cert-file="$DIR/pki/ca.crt" --cluster-signing-key-file="$DIR/pki/ca.key"
  inside_daemon kube-scheduler kube-scheduler --kubeconfig="$DIR/etc/scheduler.kubeconfig" --leader-elect=false --bind-address=127.0.0.1
  wait_for "answer of containerd" in_cluster ctr version
  inside_daemon kubelet kubelet --config="$DIR/etc/kubelet.yaml" --kubeconfig="$DIR/etc/node.kubeconfig" \
    --hostname-override="$NAME" --node-ip=$NODE_IP --root-dir=/var/lib/kubelet
  inside_daemon kube-proxy kube-proxy --config="$DIR/etc/proxy.yaml"
}

# What runs in it from the start: DNS, and volumes to claim.
fill() {
  # shellcheck disable=SC2016 # only this name is to be replaced, by sed
  { sed 's/\$COREDNS_VERSION/'"$COREDNS_VERSION/" "$scripts/coredns.yaml" && echo --- && volumes 16; } |
    "$BIN/kubectl" --kubeconfig "$DIR/kubeconfig" create --validate=false -f - >"$DIR/log/objects.log"
  node_ready() { api "/api/v1/nodes/$NAME" | jq -e '.status.conditions[] | select(.type == "Ready") | .status == "True"'; }
  wait_for "Ready node" node_ready
  say "node ready"
  resolves() { in_cluster timeout 1 busybox nslookup kubernetes.default.svc.cluster.local $DNS_IP; }
  wait_for "answer of the cluster's DNS" resolves
  # Pods cannot be made before this is there.
  wait_for "default service account" api /api/v1/namespaces/default/serviceaccounts/default
  say "DNS ready"
}

# What was built since the cluster came up.
import_new() {
  local archive
  for archive; do
    grep -qxF "$archive" "$DIR/images" || { "$scripts/import.sh" "$archive" && echo "$archive" >>"$DIR/images"; }
  done
}

need_root
if [ $# -eq 0 ]; then
  archives=$("$scripts/../images/build.sh" --archives)
  mapfile -t archives <<<"$archives"
  set -- "${archives[@]}"
fi
lock
wanted_port=${API_PORT:-}
if is_up; then
  import_new "$@"
  echo "up already: KUBECONFIG=$DIR/kubeconfig"
  exit
fi
check_needs
remove
# With the mark, so that down.sh ends it too.
env "$MARK" "$scripts/store.sh" add "$@"
API_PORT=${wanted_port:-$(free_port)}
make_folders
write_configuration
make_cgroups
make_namespaces
say "namespaces made"
start_all
fill
printf '%s\n' "$@" >"$DIR/images"
echo "$API_PORT" >"$DIR/ready"
say "up: KUBECONFIG=$DIR/kubeconfig"
