#!/bin/sh
# The public image's way to be started. The first start makes the database from POSTGRES_USER,
# POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD (or these with
# _FILE) and runs /docker-entrypoint-initdb.d/*.{sh,sql}; root becomes the user postgres.
set -eu

case ${1:-} in
  -*) set -- postgres "$@" ;;
esac
[ "${1:-}" = postgres ] || exec "$@"

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chmod 700 "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /run/postgresql
  # shellcheck disable=SC2016 # the inner shell expands
  exec su postgres -s /bin/sh -c 'exec "$0" "$@"' -- "$0" "$@"
fi

# from_file NAME DEFAULT: takes NAME from the file that NAME_FILE names, if it does.
from_file() {
  eval "file=\${${1}_FILE:-} value=\${$1:-}"
  if [ -n "$file" ] && [ -n "$value" ]; then
    echo "$1 and ${1}_FILE are both set: set one" >&2
    exit 1
  fi
  [ -z "$file" ] || value=$(cat "$file")
  [ -n "$value" ] || value=$2
  export "$1=$value"
  unset "${1}_FILE"
}

# The database is made in a folder inside its place and moved up, PG_VERSION last: a start that was
# killed leaves that folder, and the next one begins anew.
make_database() {
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
    echo "no database yet, and no superuser password for it: set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE" >&2
    exit 1
  fi
  [ ! -d "$PGDATA/.making" ] || find "$PGDATA" -mindepth 1 -delete
  # shellcheck disable=SC2086 # several arguments in one variable
  printf '%s\n' "$POSTGRES_PASSWORD" | initdb -D "$PGDATA/.making" -U "$POSTGRES_USER" --pwfile=/dev/stdin \
    --auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/.making/pg_hba.conf"
  pg_ctl -D "$PGDATA/.making" -o "-c listen_addresses=''" -w start
  sql() { psql -v ON_ERROR_STOP=1 --no-psqlrc -q -U "$POSTGRES_USER" -d "$@"; }
  [ "$POSTGRES_DB" = postgres ] || echo 'CREATE DATABASE :"db"' | sql postgres -v db="$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*; do
    # shellcheck disable=SC1090 # the user's own
    case $script in
      *.sh) . "$script" ;;
      *.sql) sql "$POSTGRES_DB" -f "$script" ;;
    esac
  done
  pg_ctl -D "$PGDATA/.making" -m fast -w stop
  mv "$PGDATA/.making/PG_VERSION" "$PGDATA/.making.version"
  mv "$PGDATA/.making/"* "$PGDATA/"
  mv "$PGDATA/.making.version" "$PGDATA/PG_VERSION"
  rmdir "$PGDATA/.making"
}

from_file POSTGRES_USER postgres
from_file POSTGRES_PASSWORD ''
from_file POSTGRES_DB "$POSTGRES_USER"
from_file POSTGRES_INITDB_ARGS ''
from_file POSTGRES_HOST_AUTH_METHOD scram-sha-256
# Each start: a volume's fsGroup gives the group rights that the server refuses to see.
mkdir -p "$PGDATA"
chmod 700 "$PGDATA" 2>/dev/null || true
[ -s "$PGDATA/PG_VERSION" ] || make_database
exec "$@"
