# The cluster's DNS server.
# shellcheck shell=bash disable=SC2154,SC2034
reference=localhost/coredns:$COREDNS_VERSION

inputs() { built coredns "$COREDNS_VERSION"; }

context() { cp "$CACHE/coredns/$COREDNS_VERSION/coredns" "$1/"; }
