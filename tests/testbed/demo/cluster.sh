#!/usr/bin/env bash
# Brings up the demo's cluster, with the agent's image in it. Run by up.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
. "$here/place.sh"
cd "$root"
archive=target/image/firstlight.tar
if [ "$flavour" = kind ]; then
  mkdir -p "$TESTBED_STATE"
  kind get clusters 2>/dev/null | grep -qx firstlight-demo ||
    kind create cluster --name firstlight-demo --config kind-config.yaml --kubeconfig "$KUBECONFIG"
  kind load image-archive --name firstlight-demo "$archive"
  exit
fi
cargo run --quiet --package testbed -- up cluster
tests/testbed/cluster/import.sh "$archive"
