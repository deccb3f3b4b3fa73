# PostgreSQL from the files of Debian's package, as in the public image: entrypoint, variables,
# user 999, folders. It has one locale, C.UTF-8, and not the languages PL/Perl, PL/Python, PL/Tcl.
# shellcheck shell=bash disable=SC2154,SC2034
reference=docker.io/library/postgres:$POSTGRES_VERSION

inputs() { package "postgresql-$POSTGRES_VERSION" "postgresql-client-$POSTGRES_VERSION" busybox-static libc6 libssl3 libpq5 tzdata; }

context() {
  local root=$1/rootfs server=/usr/lib/postgresql/$POSTGRES_VERSION share=/usr/share/postgresql/$POSTGRES_VERSION
  skeleton "$root" postgres:999:/var/lib/postgresql
  mkdir -p "$root"{/usr/lib/postgresql,/usr/share/postgresql,/usr/share/zoneinfo,/usr/local/bin,/docker-entrypoint-initdb.d}
  cp -r "$server" "$root/usr/lib/postgresql/"
  cp -r "$share" "$root/usr/share/postgresql/"
  # The compiler for queries alone would bring 110 MB of LLVM.
  rm -rf "$root$server"/lib/{bitcode,llvmjit*,plperl*,plpython*,pltcl*}
  # Debian's server reads the system's time zones.
  cp -r /usr/share/zoneinfo/{UTC,Etc,Europe,America,Asia,Africa,Australia,Pacific} "$root/usr/share/zoneinfo/"
  listen_everywhere "$root$share/postgresql.conf.sample"
  install -m 755 "$images/postgres/entrypoint.sh" "$root/usr/local/bin/docker-entrypoint.sh"
  busybox_into "$root"
  locale_into "$root"
  mapfile -t programs < <(find "$root$server" -type f \( -path '*/bin/*' -o -name '*.so' \))
  libraries "$root" "${programs[@]}"
  mkdir -p "$1"/var/data "$1/run"
  chmod 1777 "$1"/var/data "$1/run"
}

# As the public image does, which clients outside the container need.
listen_everywhere() {
  sed -i -E "s/^#?(listen_addresses) = .*/\1 = '*'/; s,^#?(unix_socket_directories) = .*,\1 = '/var/run/postgresql'," "$1"
}
