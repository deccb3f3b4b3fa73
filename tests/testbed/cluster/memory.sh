#!/usr/bin/env bash
# Prints the memory of every process of the running cluster, pods and daemons alike, and the sums.
# RSS counts pages of files that several processes share each time; PSS does not.
set -euo pipefail
part=cluster
. "$(dirname "$0")/place.sh"
init=$(init_pid) || { echo "memory: no cluster is up in $STATE" >&2; exit 1; }
# shellcheck disable=SC2016 # awk and the inner shell expand
in_cluster bash -c 'for p in /proc/[0-9]*; do
  [ "${p#/proc/}" != $$ ] || continue
  awk -v name="$(tr "\0\n" "  " <$p/cmdline 2>/dev/null | cut -c1-70)" "
    /^Rss/ { r = \$2 } /^Pss:/ { p = \$2 } /^Pss_Anon/ { a = \$2 }
    END { if (r) printf \"%8.1f %8.1f %8.1f  %s\n\", r / 1024, p / 1024, a / 1024, name }" $p/smaps_rollup 2>/dev/null
done' | sort -rn | awk '
  BEGIN { print "     RSS      PSS     anon  MiB" }
  { print; r += $1; p += $2; a += $3 }
  END { printf "%8.1f %8.1f %8.1f  in all\n", r, p, a }'
