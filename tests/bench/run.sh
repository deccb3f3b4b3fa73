#!/usr/bin/env bash
# Measures firstlight beside other tools, on the test bed. Usage: run.sh kubernetes [SIZE…]
# Writes target/bench/<what>.json, and its table into the README.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" = kubernetes ] || { echo "usage: make bench WHAT=kubernetes" >&2; exit 2; }

tests/testbed/install.sh
tests/testbed/build/helm/build.sh >&2
cargo build --quiet --locked --release --bin firstlight
cargo run --quiet --locked --package testbed -- up apiserver
target=$(cargo metadata --format-version 1 --no-deps | jq -r .target_directory)
cargo run --quiet --locked --package bench -- "$target/release/firstlight" target/bench "$@"
