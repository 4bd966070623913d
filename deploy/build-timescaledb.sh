#!/usr/bin/env bash
# Build TimescaleDB (Apache-2 edition) for a Debian release that has no package of it.
#
#   deploy/build-timescaledb.sh 15        # for PostgreSQL 15, as on Debian 12
#
# The source is Debian 13's own source package. It is fetched and its signature verified by apt,
# through a private apt state in a temporary folder: no suite is added to this system, and no
# binary of another release is installed. What comes out is an ordinary Debian package,
# postgresql-NN-timescaledb, so that `apt-get remove` takes it away again.
#
# Needs (deploy/setup.sh installs them): cmake make gcc libc6-dev xz-utils postgresql-NN.
# PostgreSQL's headers are unpacked beside the source and not installed, because their package
# would bring a whole LLVM along.
set -euo pipefail

SUITE=trixie
PG=${1:?usage: deploy/build-timescaledb.sh POSTGRESQL_VERSION}
BIN=/usr/lib/postgresql/$PG/bin
WORK=$(mktemp -d "${TMPDIR:-/tmp}/shudao-timescaledb.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

main() {
  cd "$WORK"
  fetch_source
  fetch_headers
  compile
  as_root dpkg --install "$(make_package)"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# apt, with its lists, cache and sources in the temporary folder; keys and proxies as configured.
private_apt() {
  mkdir -p "$WORK/lists/partial" "$WORK/cache/archives/partial"
  apt-get -o Dir::Etc::SourceList="$WORK/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::State::Lists="$WORK/lists" -o Dir::Cache="$WORK/cache" \
    -o APT::Sandbox::User=root -o Acquire::Retries=3 "$@"
}

fetch_source() {
  local mirror keyring
  # shellcheck disable=SC2016  # apt itself fills that in
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' 'Created-By: Packages' | head -n 1)
  [ -n "$mirror" ] || {
    echo "apt knows no Debian mirror: is one among its sources, and does 'apt-get update' reach it?" >&2
    return 1
  }
  as_root apt-get install --yes debian-archive-keyring # an old one does not know Debian 13's keys
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb-src [signed-by=$keyring] $mirror $SUITE main" >sources.list
  private_apt update
  private_apt source --download-only timescaledb
  # Debian's own patches to it only concern its tests.
  mkdir source
  tar --extract --xz --strip-components=1 --directory=source --file="$(echo timescaledb_*.orig.tar.xz)"
}

# Headers of the very server that is installed, if its version can still be had.
fetch_headers() {
  local installed package
  installed=$(dpkg-query --show --showformat='${Version}' "postgresql-$PG")
  for package in "postgresql-server-dev-$PG" libpq-dev; do
    apt-get -o APT::Sandbox::User=root download "$package=$installed" ||
      apt-get -o APT::Sandbox::User=root download "$package"
    dpkg-deb --extract "$(echo "$package"_*.deb)" headers
  done
  # A pg_config that answers as the real one, but with the unpacked headers.
  cat >pg_config <<SCRIPT
#!/bin/sh
exec "$BIN/pg_config" "\$@" | sed 's#/usr/include/postgresql#$WORK/headers&#g'
SCRIPT
  chmod +x pg_config
}

compile() {
  cmake -S source -B build -DPG_CONFIG="$WORK/pg_config" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_FLAGS_RELEASE="-O2 -g0 -DNDEBUG" \
    -DAPACHE_ONLY=1 -DREGRESS_CHECKS=OFF -DTAP_CHECKS=OFF -DUSE_TELEMETRY=OFF -DUSE_OPENSSL=OFF \
    -DWARNINGS_AS_ERRORS=OFF
  make --directory=build --jobs="$(nproc)"
  make --directory=build install DESTDIR="$WORK/package"
}

# Print the path of the finished .deb. A version ending in ~shudao gives way to any official one.
make_package() {
  local version deb
  version=$(sed -n 's/^default_version *= *'"'\(.*\)'"'/\1/p' \
    "package/usr/share/postgresql/$PG/extension/timescaledb.control")
  deb=postgresql-$PG-timescaledb.deb
  find package -name '*.so' -exec strip --strip-unneeded {} +
  mkdir -p "package/usr/share/doc/postgresql-$PG-timescaledb" package/DEBIAN
  cp source/LICENSE-APACHE source/NOTICE "package/usr/share/doc/postgresql-$PG-timescaledb/"
  cat >package/DEBIAN/control <<CONTROL
Package: postgresql-$PG-timescaledb
Version: ${version:?no version in timescaledb.control}~shudao
Architecture: $(dpkg --print-architecture)
Depends: postgresql-$PG
Section: database
Priority: optional
Maintainer: Shudao <root@localhost>
Description: TimescaleDB (Apache-2 edition), built here by Shudao
 Built on this machine by deploy/build-timescaledb.sh from Debian's source package.
CONTROL
  dpkg-deb --root-owner-group -Zgzip -z1 --build package "$deb" >&2
  echo "$WORK/$deb"
}

main
