#!/usr/bin/env bash
# Writes the collector's Go files, go.mod and go.sum anew from builder.yaml. Run it after a change
# of the version there and in versions.env, and commit the result. `go get` stands where the
# builder would tidy: some modules that only tests need are not published.
set -euo pipefail
cd "$(dirname "$0")"
. ../cache.sh
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
GOBIN=$tools go install "go.opentelemetry.io/collector/cmd/builder@v$OTELCOL_VERSION"
rm -f ./*.go go.mod go.sum
"$tools/builder" --skip-get-modules --skip-compilation --config builder.yaml
rm -f go.mod main_windows.go
go mod init firstlight.dev/testbed/otelcol
mapfile -t modules < <(sed -nE 's/^ *- gomod: ([^ ]+) (v.*)$/\1@\2/p' builder.yaml)
go get "go.opentelemetry.io/collector/otelcol@v$OTELCOL_VERSION" "${modules[@]}"
go get ./...
