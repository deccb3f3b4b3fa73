#!/bin/sh
# Lays out the files of the agent's image: the binary, the certificate authorities of this machine,
# and the bundle with its three folders. Usage: files.sh BINARY FOLDER
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
binary=$1 files=$2
authorities=/etc/ssl/certs/ca-certificates.crt
[ -s $authorities ] || { echo "files: $authorities is missing: install the package ca-certificates" >&2; exit 1; }

mkdir -p "$files/etc/ssl/certs" "$files/bundle/manifests"
cp "$binary" "$files/firstlight"
cp -L $authorities "$files$authorities"
cd "$root"
cp -r sql dashboards "$files/bundle/"
# Without chart and bootstrap.yaml, which install the agent itself.
cp -r manifests/bundle.yaml manifests/values.yaml manifests/values.schema.json manifests/profiles \
  manifests/quickstart manifests/search "$files/bundle/manifests/"
# A clone's modes depend on who cloned it; the agent runs as another user.
chmod -R a+rX,go-w "$files"
