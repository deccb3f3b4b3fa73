#!/usr/bin/env bash
# The first process inside a cluster's new namespaces: makes them look like a machine of their own,
# then becomes the process that keeps them. Called by up.sh: inside.sh DIR NODE_IP PATH…
# where each PATH stays visible even where it lies below /var or /run.
set -euo pipefail
dir=$1 node_ip=$2
shift 2

mount -t proc proc /proc

# The sysfs of the new network namespace, with the cgroups of before in it.
mkdir -p "$dir/cgroups"
mount --rbind /sys/fs/cgroup "$dir/cgroups"
mount -t sysfs sysfs /sys
mount --rbind "$dir/cgroups" /sys/fs/cgroup
umount -R -l "$dir/cgroups"

# A /var and a /run of its own; what lies below the old ones and is needed is carried over.
mkdir -p "$dir/var"/{lib,log,tmp,cache,lib/kubelet} "$dir/run"
mount -t tmpfs -o mode=755 tmpfs "$dir/run"
for path; do
  case $path in
    /var/* | /run/*)
      mkdir -p "$dir$path"
      mount --rbind "$path" "$dir$path"
      ;;
  esac
done
mkdir -p "$dir/run"/{lock,netns,masks}
ln -sfn /run "$dir/var/run"
mount --rbind "$dir/var" /var
mount --rbind "$dir/run" /run

# The kubelet sets these for the whole machine; it gets files that already say what it wants.
mask() {
  echo "$2" >"/run/masks/${1##*/}"
  mount --bind "/run/masks/${1##*/}" "/proc/sys/$1"
}
mask vm/overcommit_memory 1
mask vm/panic_on_oom 0
mask kernel/panic 10
mask kernel/panic_on_oops 1
mask kernel/keys/root_maxkeys 1000000
mask kernel/keys/root_maxbytes 25000000
mount --make-rshared /

# The node's address is on a pair of links with both ends in here: nothing leads out. The default
# route only makes look-ups for Services' addresses succeed.
ip link set lo up
ip link add node0 type veth peer name node1
ip link set node1 up
ip addr add "$node_ip/24" dev node0
ip link set node0 up
ip route add default dev node0
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
exec "$dir/init"
