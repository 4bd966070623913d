#!/usr/bin/env bash
# Set up what Shudao needs, and nothing that is there already: safe to run as often as you like.
#
#   deploy/setup.sh             # services and Python environment
#   deploy/setup.sh services    # only mosquitto, PostgreSQL and TimescaleDB
#   deploy/setup.sh python      # only .venv
#
# Debian 12, Debian 13, Ubuntu. Where TimescaleDB has a package that is installed; on Debian 12,
# which has none, it is built from Debian 13's source package (deploy/build-timescaledb.sh).
# No database and no broker is started: `shudao local up` runs private ones.
# With SHUDAO_DATABASE_URL and SHUDAO_MQTT_URL set, Shudao uses the services that they name, and
# none is installed. What was done is in .shudao/setup.log.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STATE=$ROOT/.shudao
LOG=$STATE/setup.log
STAMP=$ROOT/.venv/shudao-setup.stamp
PATH=$PATH:/usr/sbin:/sbin

main() {
  local part=${1:-all}
  case $part in
    all | services | python) ;;
    *) die "unknown part '$part'" "usage: deploy/setup.sh [services|python]" ;;
  esac
  mkdir -p "$STATE"
  if have flock; then exec 9>"$STATE/setup.lock"; flock 9; fi # two at once take turns
  if [ "$part" != python ]; then set_up_services; fi
  if [ "$part" != services ]; then set_up_python; fi
}

# ---------------------------------------------------------------- telling what happens

# die MESSAGE HINT: one line that says what to do.
die() {
  echo "error: $1 → $2" >&2
  exit 1
}

# step TEXT COMMAND…: run it with its output in the log, and print one line with its seconds.
step() {
  local text=$1 began=$SECONDS before code
  shift
  printf '  %-58s' "$text …"
  printf '\n== %s: %s\n' "$(date '+%F %T')" "$text" >>"$LOG"
  before=$(wc -l <"$LOG")
  set +e # a subshell of its own keeps -e alive inside the command, which `if` would switch off
  (set -e; "$@") >>"$LOG" 2>&1 </dev/null
  code=$?
  set -e
  if [ "$code" -eq 0 ]; then
    printf '%4d s\n' $((SECONDS - began))
    return
  fi
  printf 'failed\n'
  tail -n "+$((before + 1))" "$LOG" | tail -n 15 | sed 's/^/    | /' >&2
  die "'$text' failed, above are the last lines of $LOG" \
    "mend that and run deploy/setup.sh again; it goes on where it stopped"
}

have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# ---------------------------------------------------------------- services

set_up_services() {
  if [ -n "${SHUDAO_DATABASE_URL:-}" ] && [ -n "${SHUDAO_MQTT_URL:-}" ]; then return; fi
  if have mosquitto && [ -n "$(postgresql_with_timescaledb)" ]; then return; fi
  have apt-get || die "mosquitto and PostgreSQL with TimescaleDB are needed and apt is not here" \
    "$(other_ways)"
  [ "$(id -u)" -eq 0 ] || have sudo || die "installing packages needs root or sudo" \
    "run deploy/setup.sh services as root, or: $(other_ways)"
  if [ "$(id -u)" -ne 0 ]; then sudo -v; fi # asks for the password now, not into the log
  step "reading the package lists" as_root apt-get -o Acquire::Retries=3 update
  local version
  version=$(choose_postgresql)
  if has_package "postgresql-$version-timescaledb"; then
    step "installing mosquitto, PostgreSQL $version and TimescaleDB" \
      install_services "postgresql-$version" "postgresql-$version-timescaledb"
    return
  fi
  [[ $version =~ ^1[4567]$ ]] || die "there is no TimescaleDB package for PostgreSQL $version here" \
    "$(other_ways)"
  step "installing mosquitto, PostgreSQL $version and a C compiler" install_services \
    "postgresql-$version" cmake make gcc libc6-dev xz-utils
  step "building TimescaleDB from Debian 13's source package" \
    "$ROOT/deploy/build-timescaledb.sh" "$version"
}

other_ways() {
  echo "install mosquitto 2 and PostgreSQL 14 or later with TimescaleDB (docs.timescale.com)," \
    "or point SHUDAO_DATABASE_URL and SHUDAO_MQTT_URL at services that already run"
}

# Print the folder of a PostgreSQL server that has TimescaleDB, or nothing.
postgresql_with_timescaledb() {
  local bin
  for bin in /usr/lib/postgresql/*/bin "$(dirname "$(command -v pg_config || true)")"; do
    if [ ! -x "$bin/postgres" ] || [ ! -x "$bin/initdb" ]; then continue; fi
    if [ -e "${bin%/bin}/lib/timescaledb.so" ] ||
      { [ -x "$bin/pg_config" ] && [ -e "$("$bin/pg_config" --pkglibdir)/timescaledb.so" ]; }; then
      echo "$bin"
      return
    fi
  done
}

has_package() { [ -n "$(apt-cache search --names-only "^$1\$")" ]; }

# Print the PostgreSQL version to use: one that is here, else the newest that has a TimescaleDB
# package, else the system's own.
choose_postgresql() {
  local packaged bin version
  packaged=$(apt-cache search --names-only '^postgresql-[0-9]+-timescaledb$' |
    sed 's/^postgresql-\([0-9]*\)-.*/\1/' | sort --numeric-sort --reverse)
  for version in $packaged; do
    if [ -x "/usr/lib/postgresql/$version/bin/postgres" ]; then echo "$version"; return; fi
  done
  if [ -n "$packaged" ]; then echo "${packaged%%$'\n'*}"; return; fi
  for bin in /usr/lib/postgresql/*/bin/postgres; do
    if [ -x "$bin" ]; then basename "${bin%/bin/postgres}"; return; fi
  done
  apt-cache depends postgresql | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1
}

# Install the packages named, and mosquitto: no service is started or enabled, and PostgreSQL
# makes no cluster of its own, unless they were here before us.
install_services() {
  local packages=("$@") new_mosquitto=""
  have mosquitto || { packages+=(mosquitto); new_mosquitto=yes; }
  [ -n "$(find_python)" ] || packages+=(python3-venv) # needed next; saves a second round of apt
  hold_services
  trap release_services EXIT
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    install_packages postgresql-common
    as_root sed --in-place=.shudao 's/^#*create_main_cluster.*/create_main_cluster = false/' \
      /etc/postgresql-common/createcluster.conf
  fi
  install_packages "${packages[@]}"
  if [ -n "$new_mosquitto" ]; then as_root update-rc.d mosquitto disable; fi # systemd's too
}

install_packages() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    --no-upgrade -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

POLICY=/usr/sbin/policy-rc.d

# Debian's way to say "start nothing while packages are installed".
hold_services() {
  if [ -e $POLICY ]; then return; fi
  printf '#!/bin/sh\n# shudao setup\nexit 101\n' | as_root tee $POLICY
  as_root chmod +x $POLICY
}

release_services() {
  if grep -qs '^# shudao setup$' $POLICY; then as_root rm -f $POLICY; fi
  local config=/etc/postgresql-common/createcluster.conf
  if [ -e $config.shudao ]; then as_root mv $config.shudao $config; fi
}

# ---------------------------------------------------------------- Python

set_up_python() {
  local python wanted
  wanted="$ROOT $(cksum <"$ROOT/pyproject.toml")" # the folder too: a moved .venv does not work
  if [ -x "$ROOT/.venv/bin/python" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$wanted" ]; then return; fi
  python=$(find_python)
  if [ -z "$python" ]; then install_python; python=$(find_python); fi
  [ -n "$python" ] || die "Python 3.11 or later with its venv module is needed" \
    "install it (Debian, Ubuntu: apt-get install python3-venv) and run deploy/setup.sh again"
  if ! "$ROOT/.venv/bin/python" -m pip --version >/dev/null 2>&1; then
    step "creating .venv with $("$python" --version)" "$python" -m venv --clear "$ROOT/.venv"
  fi
  step "installing Shudao and its libraries into .venv" install_project
  echo "$wanted" >"$STAMP"
}

# Print a Python that is new enough and can make environments; python3 of the PATH comes first.
find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
      2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

install_python() {
  have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; } || return 0
  if ! has_package python3-venv; then step "reading the package lists" as_root apt-get update; fi
  step "installing python3-venv" install_packages python3-venv
}

# uv takes a fraction of pip's time; where it cannot do it, pip does.
install_project() {
  cd "$ROOT"
  local python=.venv/bin/python index
  index=$("$python" -m pip config get global.index-url 2>/dev/null || true) # uv ignores pip's mirror
  if "$python" -m pip install --quiet --disable-pip-version-check uv &&
    UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$index}} UV_LINK_MODE=copy \
      .venv/bin/uv pip install --python "$python" --editable '.[dev]'; then
    return
  fi
  echo "uv could not; trying pip"
  "$python" -m pip install --disable-pip-version-check --editable '.[dev]'
}

main "$@"
