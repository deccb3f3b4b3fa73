#!/usr/bin/env bash
# Keeps the unpacked images of all clusters of this machine, because importing OpenSearch alone
# takes longer than starting a cluster: a containerd root folder in the cache, which is only added to.
# A cluster gets its own databases, and links to these blobs and snapshots (they are only read).
# Usage: store.sh add ARCHIVE…    unpacks the archives that are not in it yet
#        store.sh clone ROOT      makes ROOT a containerd root folder with all images
set -euo pipefail
. "$(dirname "$0")/../build/cache.sh"
store=$CACHE/store/$(dpkg-query -W -f '${Version}' containerd | tr -c 'A-Za-z0-9.+~\n' _)
bolt=io.containerd.metadata.v1.bolt overlay=io.containerd.snapshotter.v1.overlayfs content=io.containerd.content.v1.content

# Archives whose image is not in the store, or is there as something else. Names are <image>-<key>.tar.
missing() {
  local archive file
  for archive; do
    file=$(basename "$archive")
    [ "$(cat "$store/has/${file%-*}" 2>/dev/null)" = "$file" ] || echo "$archive"
  done
}

# Runs in namespaces of its own: a containerd that only unpacks. It never collects garbage, because
# running clusters may still read what a newer image replaced.
unpack() {
  mount -t tmpfs tmpfs /run
  cat >/run/containerd.toml <<C
version = 2
root = "$store/root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "/run/containerd.sock"
[plugins."io.containerd.gc.v1.scheduler"]
startup_delay = "8760h"
mutation_threshold = 0
deletion_threshold = 0
C
  TMPDIR=/run containerd --config /run/containerd.toml >"$store/containerd.log" 2>&1 &
  until ctr -a /run/containerd.sock version >/dev/null 2>&1; do
    kill -0 $! 2>/dev/null || { tail -n 20 "$store/containerd.log" >&2; exit 1; }
    sleep 0.05
  done
  local archive file
  for archive; do
    file=$(basename "$archive")
    SECONDS=0
    ctr -a /run/containerd.sock -n k8s.io images import "$archive" >"$store/import.log" 2>&1 || {
      echo "store: cannot import $archive" >&2
      tail -n 20 "$store/import.log" >&2
      exit 1
    }
    echo "$file" >"$store/has/${file%-*}"
    echo "image ${file%-*}: unpacked in $SECONDS s"
  done
  kill %1 && wait
}

clone() {
  local root=$1 unpacked=$store/root
  mkdir -p "$root/$bolt" "$root/$overlay/snapshots" "$root/$content/blobs/sha256"
  cp "$unpacked/$bolt/meta.db" "$root/$bolt/"
  cp "$unpacked/$overlay/metadata.db" "$root/$overlay/"
  ln -s -t "$root/$overlay/snapshots" "$unpacked/$overlay/snapshots"/*
  ln -s -t "$root/$content/blobs/sha256" "$unpacked/$content/blobs/sha256"/*
}

mkdir -p "$store/has"
case $1 in
  add)
    shift
    exec 9>"$store/lock"
    flock 9
    mapfile -t archives < <(missing "$@")
    [ ${#archives[@]} -eq 0 ] || unshare --mount --pid --fork --kill-child --mount-proc "$0" unpack "${archives[@]}"
    ;;
  unpack) shift && unpack "$@" ;;
  clone)
    exec 9>"$store/lock"
    flock -s 9
    clone "$2"
    ;;
esac
