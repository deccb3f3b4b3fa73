# Sourced by the images' own scripts: what a root filesystem made on scratch needs from this system.
# shellcheck shell=bash

# skeleton ROOT USER:UID:HOME: the folders, the users (root, nobody and the given one), names by DNS.
skeleton() {
  local root=$1 name uid home
  IFS=: read -r name uid home <<<"$2"
  mkdir -p "$root"/{bin,etc,run,tmp,usr/bin,usr/lib,usr/lib64,var}
  ln -s usr/lib "$root/lib"
  ln -s usr/lib64 "$root/lib64"
  ln -s ../run "$root/var/run"
  chmod 1777 "$root/tmp"
  printf '%s\n' root:x:0:0::/root:/bin/sh nobody:x:65534:65534::/:/bin/false "$name:x:$uid:$uid::$home:/bin/sh" >"$root/etc/passwd"
  printf '%s\n' root:x:0: nobody:x:65534: "$name:x:$uid:" >"$root/etc/group"
  printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' >"$root/etc/nsswitch.conf"
}

# busybox ROOT: a shell and the small tools, where nothing of the name is there yet.
busybox_into() {
  local root=$1 tool
  cp "$(command -v busybox)" "$root/bin/busybox"
  for tool in $(busybox --list); do
    [ -e "$root/bin/$tool" ] || ln -s busybox "$root/bin/$tool"
  done
  ln -sf ../../bin/env "$root/usr/bin/env"
}

# libraries ROOT FILE…: copies the shared libraries of these programs and libraries that are not below ROOT.
# Only what stands after `=>` and the loader are paths; ldd prints other lines that look like some.
libraries() {
  local root=$1 library
  shift
  for library in $(ldd "$@" 2>/dev/null | sed -nE 's,^\s.*=> (/[^ ]+) .*,\1,p; s,^\s+(/lib64[^ ]+) .*,\1,p' | sort -u); do
    case $library in "$root"/*) continue ;; esac
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
  done
}

# The one locale that needs no package of its own.
locale_into() {
  mkdir -p "$1/usr/lib/locale"
  cp -r /usr/lib/locale/C.utf8 "$1/usr/lib/locale/"
}

certificates_into() {
  mkdir -p "$1/etc/ssl/certs"
  cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
}
