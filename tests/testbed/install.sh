#!/usr/bin/env bash
# Installs what the test bed needs of the system: the Debian packages that are missing, and only
# those. Services do not start: the test bed runs its own, in their own namespaces.
# Then checks for Go and a JDK, which Debian may not have new enough. Safe to repeat: when nothing
# is missing it takes under a second and needs no root.
# Usage: install.sh [--check]   --check changes nothing; exit 1 and the names when something is missing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/versions.env"
. "$here/build/opensearch/java.sh"

packages=(
  # the cluster
  etcd-server containerd runc containernetworking-plugins iptables nftables conntrack ethtool
  iproute2 socat util-linux openssl
  # the images, and the servers that they are made from
  buildah busybox-static gcc libc6-dev maven unzip "postgresql-$POSTGRES_VERSION" pgbouncer
  # the agent's static binary; tests and scripts
  musl-tools curl jq shellcheck
  # the page of a run is looked at in a browser, with a font to measure by
  chromium fonts-dejavu-core
)

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# The first package with a JDK that is new enough and that this system's sources have.
jdk_package() {
  local package
  for package in openjdk-25-jdk-headless openjdk-21-jdk-headless temurin-25-jdk temurin-21-jdk; do
    apt-cache policy "$package" 2>/dev/null | grep -qE 'Candidate: [0-9]' && { echo "$package"; return; }
  done
  return 1
}

# Denies every service its start while packages are configured, as containers' base images do.
deny_services() {
  local policy=/usr/sbin/policy-rc.d
  [ -e $policy ] && return
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
}

# A service that came with a package would start with the machine's next boot.
disable_services() {
  local package
  command -v systemctl >/dev/null || return 0
  for package; do
    case $package in
      containerd) systemctl --quiet disable containerd ;;
      etcd-server) systemctl --quiet disable etcd ;;
      pgbouncer) systemctl --quiet disable pgbouncer ;;
      "postgresql-$POSTGRES_VERSION") systemctl --quiet disable postgresql ;;
    esac
  done
}

install_packages() {
  local package
  command -v apt-get >/dev/null || { echo "install: this needs a Debian or Ubuntu system; missing here: $*" >&2; exit 1; }
  [ "$(id -u)" = 0 ] || { echo "install: run as root to install: $*" >&2; exit 1; }
  # Package lists older than the sources they come from, or none at all, are of no use.
  for package; do
    apt-cache policy "$package" 2>/dev/null | grep -qE 'Candidate: [0-9]' && continue
    apt-get -qq update
    break
  done
  deny_services
  echo "install: $*"
  apt_install "$@" || {
    echo "install: the package lists may be old; trying once more with new ones" >&2
    apt-get -qq update
    apt_install "$@"
  }
  disable_services "$@"
}

# Quiet but for warnings and errors.
apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >/dev/null
}

# Asks Go itself, in the module that needs the newest one: with GOTOOLCHAIN=auto it fetches that.
check_go() {
  local wanted said
  wanted=$(sed -n 's/^go //p' "$here/build/coredns/go.mod")
  command -v go >/dev/null || { echo "install: Go is missing: install Go $wanted or newer and put it on PATH" >&2; return 1; }
  said=$(cd "$here/build/coredns" && go list -m 2>&1) || {
    echo "install: this Go is too old ($said): install Go $wanted or newer, or set GOTOOLCHAIN=auto" >&2
    return 1
  }
}

check_java() {
  java_home 21 99 jlink >/dev/null || {
    echo "install: OpenSearch $OPENSEARCH_VERSION needs a JDK 21 or newer: install one below /usr/lib/jvm or name it in JAVA_HOME" >&2
    return 1
  }
  java_home 11 23 java >/dev/null || {
    echo "install: OpenSearch $OPENSEARCH_2_VERSION needs a Java of 11 to 23: install one below /usr/lib/jvm" >&2
    return 1
  }
}

mapfile -t missing < <(missing_packages)
if [ "${1:-}" = --check ]; then
  [ ${#missing[@]} -eq 0 ] || echo "install: missing packages: ${missing[*]}" >&2
  check_go && check_java && [ ${#missing[@]} -eq 0 ]
  exit
fi
java_home 21 99 jlink 2>/dev/null >&2 || mapfile -t -O ${#missing[@]} missing < <(jdk_package)
java_home 11 23 java 2>/dev/null >&2 || missing+=(default-jre-headless)
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
check_go || failed=1
check_java || failed=1
exit "${failed:-0}"
