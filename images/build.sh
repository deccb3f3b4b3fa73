#!/usr/bin/env bash
# Builds the agent's image as an OCI archive, with buildah: no daemon, no registry.
# Writes target/image/firstlight.tar, named docker.io/library/firstlight:<version>; says its size and
# fails above 20 MiB. When nothing that goes into it has changed it is left as it is.
# Usage: build.sh
set -euo pipefail
cd "$(dirname "$0")/.."
limit=$((20 * 1024 * 1024))
target=x86_64-unknown-linux-musl
out=target/image

for command in cargo jq musl-gcc buildah; do
  command -v $command >/dev/null || { echo "image: the command $command is missing: run tests/testbed/install.sh" >&2; exit 1; }
done
metadata=$(cargo metadata --format-version 1 --no-deps)
version=$(jq -r '.packages[] | select(.name == "firstlight") | .version' <<<"$metadata")
binary=$(jq -r .target_directory <<<"$metadata")/$target/release/firstlight
reference=docker.io/library/firstlight:$version

rustup target list --installed 2>/dev/null | grep -qx $target || rustup target add $target
SECONDS=0
cargo build --release --locked --target $target --bin firstlight
echo "image: binary $(stat -c %s "$binary" | numfmt --to=iec-i --suffix=B), built in $SECONDS s"

mkdir -p $out
work=$(mktemp -d $out/.work.XXXXXX)
trap 'rm -rf --one-file-system "$work"' EXIT
images/agent/files.sh "$binary" "$work/files"

# What goes into it: each file's name, mode and content, and how they are put together.
key=$({ (cd "$work/files" && find . -type f -printf '%m ' -exec sha256sum {} \;) | sort -k 3; cat images/agent/Dockerfile; echo "$reference"; } | sha256sum)
if [ -e $out/firstlight.tar ] && [ "$(cat $out/firstlight.key 2>/dev/null)" = "$key" ]; then
  echo "image: unchanged"
else
  rm -f $out/firstlight.key
  # The storage is its own, so that nothing is left in the system's.
  buildah=(buildah --root "$PWD/$work/root" --runroot "$PWD/$work/run" --storage-driver overlay)
  "${buildah[@]}" build --quiet --isolation chroot --timestamp 0 --layers=false --build-context "files=$work/files" \
    -f images/agent/Dockerfile -t "$reference" "$work/files" >/dev/null
  "${buildah[@]}" push --quiet "$reference" "oci-archive:$work/image.tar:$reference"
  mv "$work/image.tar" $out/firstlight.tar
  echo "$key" >$out/firstlight.key
fi

size=$(stat -c %s $out/firstlight.tar)
echo "image: $reference in $out/firstlight.tar, $(numfmt --to=iec-i --suffix=B "$size")"
[ "$size" -le $limit ] || { echo "image: more than $(numfmt --to=iec-i --suffix=B $limit)" >&2; exit 1; }
