#!/usr/bin/env bash
# Builds CoreDNS with few plugins: $CACHE/coredns/<version>/coredns.
# After a change of the version: `go get github.com/coredns/coredns@v… && go mod tidy` here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../cache.sh"

build() {
  grep -q "github.com/coredns/coredns v$COREDNS_VERSION\$" "$here/go.mod" ||
    { echo "go.mod is not of version $COREDNS_VERSION"; return 1; }
  CGO_ENABLED=0 go build -C "$here" -mod=readonly -trimpath -ldflags '-s -w' -o "$1" .
}

cached coredns "$COREDNS_VERSION" build "$here"/{build.sh,main.go,go.mod,go.sum}
