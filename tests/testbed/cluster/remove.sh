# Sourced by down.sh, and by what starts a cluster, after place.sh and with the lock: removes what is
# there of it, finished or not.
# shellcheck shell=bash disable=SC2154

# The processes with a cluster's mark in their environment.
marked() { grep -lzxF "$MARK" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 || true; }

# Killing the first process of the process namespace ends every daemon, shim and pod in it.
end_processes() {
  local pids deadline=$((SECONDS + 60))
  while pids=$(marked) && [ -n "$pids" ]; do
    # shellcheck disable=SC2086 # several pids
    kill -9 $pids 2>/dev/null || true
    [ $SECONDS -lt $deadline ] || { echo "down: these do not end: $pids" >&2; return 1; }
    sleep 0.05
  done
}

# Pods' cgroups are empty a moment after their processes have ended.
remove_cgroups() {
  local group deadline=$((SECONDS + 30))
  for group in /sys/fs/cgroup/"$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
    while [ -d "$group" ]; do
      find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.05
      [ $SECONDS -lt $deadline ] || { echo "down: cgroup $group is not empty" >&2; return 1; }
    done
  done
}

remove() {
  end_processes
  remove_cgroups
  rm -rf --one-file-system "$DIR"
  # The state folder itself, when nothing else is kept in it.
  rmdir "$STATE" 2>/dev/null || true
}
