#!/usr/bin/env bash
# Builds the images of the test bed as OCI archives, with buildah from scratch: no daemon, no registry.
# Usage: build.sh [--archives] [NAME…]    all of them when none is named
#   --archives  builds nothing: prints the archives' paths; exit 1 when one is not built yet
# An archive is $CACHE/images/<name>-<key>.tar; its key is a hash of what goes into it.
# `grafana` needs GRAFANA_STAND_IN, the path of the static stand-in binary; without it that image
# is left out of "all", which is said, and --archives prints the one that was built last.
#
# Each folder has a Containerfile and an image.sh, which defines
#   reference       the name that manifests use
#   inputs          prints everything of this machine that the image depends on
#   context FOLDER  fills the folder that the Containerfile copies from
# shellcheck disable=SC2154 # image.sh sets reference
set -euo pipefail
images=$(cd "$(dirname "$0")" && pwd)
. "$images/../build/cache.sh"
. "$images/rootfs.sh"

all_names() {
  local name
  for name in pause busybox coredns postgres opensearch prometheus jaeger otelcol grafana; do
    if [ $name = grafana ] && [ -z "${GRAFANA_STAND_IN:-}" ]; then
      [ -n "$print_only" ] || echo "image grafana: left out, GRAFANA_STAND_IN names no binary" >&2
    else
      echo $name
    fi
  done
}

# Asked once: dpkg reads its whole database each time.
# shellcheck disable=SC2016 # dpkg's own variables
installed=$(dpkg-query -W -f '${Package} ${Version}\n')

# The versions of installed packages, as an input.
package() {
  local one
  for one; do
    grep -m1 "^$one " <<<"$installed" || { echo "image $name: the package $one is not installed: run install.sh" >&2; return 1; }
  done
}

# What a cached build was made from, as an input; fails when it is not built.
built() {
  cat "$CACHE/$1/$2/inputs" 2>/dev/null || { echo "image $name: $1 $2 is not built: run build/all.sh $1" >&2; return 1; }
}

archive_of() {
  local words
  words=$(inputs) || return 1
  echo "$CACHE/images/$name-$(hash_of "$images/rootfs.sh" "$images/$name"/* -- "$words").tar"
}

# One image, in a subshell of its own: image.sh defines functions.
image() {
  local name=$1 archive work
  # shellcheck source=/dev/null
  . "$images/$name/image.sh"
  archive=$(archive_of)
  if [ -n "$print_only" ]; then
    [ -e "$archive" ] || { echo "image $name: not built: run images/build.sh $name" >&2; return 1; }
    echo "$archive"
    return
  fi
  exec 9>"$CACHE/images/$name.lock"
  flock 9
  if [ -e "$archive" ]; then
    touch "$archive"
    echo "image $reference: cached"
    return
  fi
  SECONDS=0
  work=$(mktemp -d "$CACHE/images/.work-$name.XXXXXX")
  # shellcheck disable=SC2064 # the folder is a local variable
  trap "rm -rf --one-file-system '$work'" EXIT
  mkdir "$work/context"
  logged "image $reference" "$CACHE/images/$name.log" make_archive "$work"
  mv "$work/image.tar" "$archive"
  # The last three used stay: checkouts of several revisions share the cache.
  find "$CACHE/images" -name "$name-*.tar" -printf '%T@ %p\n' | sort -rn | tail -n +4 | cut -d' ' -f2- | xargs -r -d '\n' rm -f
  echo "image $reference: built in $SECONDS s, $(du -h "$archive" | cut -f1)"
}

# The storage is its own, so that nothing is left in the system's.
make_archive() {
  context "$1/context"
  local buildah=(buildah --root "$1/root" --runroot "$1/run" --storage-driver overlay)
  "${buildah[@]}" build --isolation chroot --timestamp 0 --layers=false \
    --build-arg "POSTGRES_VERSION=$POSTGRES_VERSION" -f "$images/$name/Containerfile" -t "$reference" "$1/context"
  "${buildah[@]}" push "$reference" "oci-archive:$1/image.tar:$reference"
}

print_only=
if [ "${1:-}" = --archives ]; then
  print_only=1
  shift
fi
mkdir -p "$CACHE/images"
if [ $# -eq 0 ]; then
  mapfile -t names < <(all_names)
  set -- "${names[@]}"
  [ -z "$print_only" ] || [ -n "${GRAFANA_STAND_IN:-}" ] || find "$CACHE/images" -maxdepth 1 -name 'grafana-*.tar'
fi
for name; do
  [ -e "$images/$name/image.sh" ] || { echo "no such image: $name" >&2; exit 2; }
  (image "$name")
done
