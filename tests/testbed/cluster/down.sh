#!/usr/bin/env bash
# Ends what up.sh and apiserver-up.sh started and removes what they made, also when they were killed
# half-way. Safe to repeat. Usage: down.sh [cluster|apiserver]    both when none is named
set -euo pipefail

down() {
  part=$1
  . "$(dirname "$0")/place.sh"
  . "$scripts/remove.sh"
  lock
  remove
}

[ $# -gt 0 ] || set -- cluster apiserver
for name; do
  (down "$name")
done
