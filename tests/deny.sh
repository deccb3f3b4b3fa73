#!/usr/bin/env bash
# Checks deny.toml with cargo-deny, which is built once a machine. Advisories are left out: they
# need a database from the network.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/testbed/build/cache.sh
root=$CACHE/cargo-deny/$CARGO_DENY_VERSION
if [ ! -x "$root/bin/cargo-deny" ]; then
  echo "building cargo-deny, once a machine"
  cargo install --quiet --locked --root "$root" --version "$CARGO_DENY_VERSION" cargo-deny
fi
"$root/bin/cargo-deny" --locked check --hide-inclusion-graph bans licenses sources
