#!/bin/bash
# Installs what `make test-clients` runs, where it is missing: Debian's packages as root, npm's by the lock file.
set -euo pipefail
here=$(dirname "$0")

declare -A packages=(
  [postgresql-client-15]=/usr/bin/psql
  [postgresql-15]=/usr/lib/postgresql/15/bin/initdb
  [libpostgresql-jdbc-java]=/usr/share/java/postgresql.jar
  [openjdk-17-jdk-headless]=/usr/bin/javac
  [python3-psycopg2]=/usr/lib/python3/dist-packages/psycopg2
  [python3-psycopg]=/usr/lib/python3/dist-packages/psycopg
  [python3-sqlalchemy]=/usr/lib/python3/dist-packages/sqlalchemy
  [python3-pyodbc]=/usr/share/doc/python3-pyodbc
  [odbc-postgresql]=/usr/share/doc/odbc-postgresql
  [libdbd-pg-perl]=/usr/share/doc/libdbd-pg-perl
  [php8.2-cli]=/usr/bin/php8.2
  [php8.2-pgsql]=/usr/share/doc/php8.2-pgsql
  [ruby-pg]=/usr/share/doc/ruby-pg
  [r-cran-rpostgresql]=/usr/lib/R/site-library/RPostgreSQL
)
missing=()
for package in "${!packages[@]}"; do
  test -e "${packages[$package]}" || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  # Tests start servers of their own: Debian's package is kept from making and starting one.
  mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/broadsheet.conf
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-upgrade "${missing[@]}"
fi

modules=$here/../../.tools/clients
if ! cmp -s "$here/node/package-lock.json" "$modules/package-lock.json"; then
  mkdir -p "$modules"
  cp "$here/node/package.json" "$here/node/package-lock.json" "$modules/"
  (cd "$modules" && npm ci --silent --no-audit --no-fund --ignore-scripts) || { rm "$modules/package-lock.json"; exit 1; }
fi
