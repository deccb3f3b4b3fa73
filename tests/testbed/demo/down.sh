#!/usr/bin/env bash
# Ends what up.sh started and removes its data; what was built stays in the cache.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
cd "$root"
export TESTBED_STATE=${TESTBED_STATE:-$root/target/demo} TESTBED_NAME=demo
. "$here/place.sh"
if [ "$flavour" = kind ]; then
  while read -r pid; do
    # Only if it is still ours: pids are used again.
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q port-forward && kill "$pid"
  done < <(cat "$TESTBED_STATE/forwards" 2>/dev/null || true)
  kind delete cluster --name firstlight-demo
  rm -rf "$TESTBED_STATE"
  exit
fi
cargo run --quiet --package testbed -- down
