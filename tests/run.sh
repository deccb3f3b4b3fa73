#!/usr/bin/env bash
# The test command: installs what is missing, checks the code, brings up the servers, runs all
# tests on them and ends the servers. Servers of failed tests stay, to be looked at.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s\n' "$*"; }

step "packages"
tests/testbed/install.sh
step "formatting and lints"
make --no-print-directory check
step "licences and sources"
tests/deny.sh
step "image"
images/build.sh
step "servers"
cargo run --quiet --locked --package testbed -- up
step "tests"
# Most of them wait for servers, or for time to pass, longer than they work.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}
if ! cargo test --locked --workspace --no-fail-fast; then
  echo "The servers are still up: cargo run -p testbed -- status; end them with: cargo run -p testbed -- down" >&2
  exit 1
fi
step "end"
cargo run --quiet --locked --package testbed -- down
