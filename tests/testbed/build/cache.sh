# Sourced by the build scripts: where built things live, and how one is built at most once.
#
#   $CACHE/<name>/<version>/<name>     the result
#   $CACHE/<name>/<version>/inputs     the hash of what it was built from
#   $CACHE/<name>/<version>/build.log  the last build's output
#
# CACHE is $FIRSTLIGHT_CACHE, else $XDG_CACHE_HOME/firstlight, else ~/.cache/firstlight.
# shellcheck shell=bash
TESTBED=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../versions.env
. "$TESTBED/versions.env"
CACHE=${FIRSTLIGHT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/firstlight}
# Git may refuse to be asked about a checkout of another user, and what it says is not needed.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# Prints one hash for the contents of the files given, and for the words given after `--`.
hash_of() {
  { while [ $# -gt 0 ] && [ "$1" != -- ]; do sha256sum <"$1"; shift; done; printf '%s\n' "$@"; } | sha256sum | cut -c1-16
}

# cached NAME VERSION FUNCTION INPUT...
# Runs `FUNCTION OUT` in an empty work folder unless NAME was already built from these INPUT files.
# The result appears by a rename, so a killed build leaves nothing that looks finished. Two callers
# at once build once: the second waits for the first.
cached() {
  local name=$1 version=$2 function=$3 dir key
  shift 3
  dir=$CACHE/$name/$version
  key=$(hash_of "$@" -- "$version")
  mkdir -p "$dir"
  exec 9>"$dir/lock"
  flock -n 9 || { echo "$name $version: waiting for another build"; flock 9; }
  if [ -e "$dir/$name" ] && [ "$(cat "$dir/inputs" 2>/dev/null)" = "$key" ]; then
    echo "$name $version: cached"
  else
    build_into "$name" "$version" "$function" "$dir"
    echo "$key" >"$dir/inputs"
  fi
  exec 9>&-
}

# The part of `cached` that builds: one line at the start, one at the end, the rest into the log.
build_into() {
  local name=$1 version=$2 function=$3 dir=$4 new=$4/work
  rm -rf "$new" "$dir/inputs"
  mkdir "$new"
  echo "$name $version: building, log in $dir/build.log"
  SECONDS=0
  cd "$new"
  logged "$name $version" "$dir/build.log" "$function" "$new/$name"
  cd "$dir"
  rm -rf "${dir:?}/$name"
  mv "$new/$name" "$dir/$name"
  rm -rf "$new"
  echo "$name $version: built in $SECONDS s, $(du -sh "$dir/$name" | cut -f1)"
}

# logged WHAT LOG COMMAND…: runs it with its output in LOG; when it fails, shows the end of that.
logged() {
  local what=$1 log=$2 status
  shift 2
  # Not `if (…)`: bash would then ignore `set -e` inside.
  set +e
  (set -e; "$@") >"$log" 2>&1
  status=$?
  set -e
  [ $status -ne 0 ] || return 0
  echo "$what: failed after $SECONDS s; the end of $log:" >&2
  tail -n 25 "$log" >&2
  exit 255 # tells xargs in all.sh to start nothing more
}

# go_module_source MODULE VERSION: prints the folder with the unpacked source of a Go module.
go_module_source() {
  go mod download -json "$1@v$2" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p'
}
