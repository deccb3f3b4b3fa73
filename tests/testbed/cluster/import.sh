#!/usr/bin/env bash
# Imports one more image into the running cluster, under the name that the OCI archive holds.
# Usage: import.sh ARCHIVE
set -euo pipefail
part=cluster
. "$(dirname "$0")/place.sh"
archive=$(realpath "$1")
init=$(init_pid) || { echo "import: no cluster is up in $STATE" >&2; exit 1; }
# As standard input, because the archive's folder may be hidden inside.
in_cluster ctr -n k8s.io images import - <"$archive"
