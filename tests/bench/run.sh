#!/usr/bin/env bash
# Measures firstlight beside other tools, on the test bed. Usage: run.sh kubernetes|postgres|telemetry [SIZE…]
# Writes target/bench/<what>.json, and its table into the README.
set -euo pipefail
cd "$(dirname "$0")/../.."
case ${1:-} in
  kubernetes) peer=helm servers=(apiserver) ;;
  postgres) peer=migrate servers=(apiserver postgres) ;;
  telemetry) peer=otelcol servers=(apiserver otelcol cluster) ;;
  *) echo "usage: make bench WHAT=kubernetes, WHAT=postgres or WHAT=telemetry" >&2; exit 2 ;;
esac

tests/testbed/install.sh
tests/testbed/build/$peer/build.sh >&2
cargo build --quiet --locked --release --bin firstlight
[ "$1" != telemetry ] || images/build.sh >&2 # for the quickstart
cargo run --quiet --locked --package testbed -- up "${servers[@]}"
target=$(cargo metadata --format-version 1 --no-deps | jq -r .target_directory)
cargo run --quiet --locked --release --package bench -- "$target/release/firstlight" target/bench "$@"
