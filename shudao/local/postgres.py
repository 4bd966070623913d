"""The private PostgreSQL cluster with TimescaleDB.

Guarantees: a commit is on disk when it is acknowledged (``synchronous_commit`` and ``fsync`` stay
on), so `kill -9` and a power cut lose nothing committed. It listens on loopback only, and asks for
a password that is kept readable to its owner alone.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from shudao.errors import ShudaoError
from shudao.local import process
from shudao.local.binaries import Postgres, find_postgres, reports_home
from shudao.local.place import Place

NAME = "postgres"
ROLE = DATABASE = "shudao"
START_PATIENCE_S = 120.0  # crash recovery replays up to max_wal_size
MIB = 1024 * 1024


def cluster(place: Place) -> Path:
    """The data directory."""
    return place.data / "postgres"


def running_pid(place: Place) -> int | None:
    """The pid of the cluster's postmaster if it runs."""
    lines = _pid_file(place)
    pid = int(lines[0]) if lines else None
    return pid if process.is_running(pid, cluster(place)) else None


def running_port(place: Place) -> int | None:
    """The port that the running cluster listens on."""
    lines = _pid_file(place)
    return int(lines[3]) if running_pid(place) and len(lines) > 3 else None


def database_url(place: Place, port: int) -> str:
    """The address of the database, password included."""
    password = (place.data / "password").read_text().strip()
    return f"postgresql://{ROLE}:{password}@{process.HOST}:{port}/{DATABASE}"


def start(place: Place, remembered_port: int | None) -> int:
    """Start the cluster, made now if there is none, unless it runs; return its port.

    Raises `ShudaoError` when the programs are missing or it does not come up.
    """
    if running_pid(place):
        _wait_ready(place, running_pid(place), log_offset=0)
        return _known_port(place)
    programs = _programs(place)
    if not cluster(place).exists():
        _initialise(place, programs)
    _remove_stale_pid_file(place)
    message = "no free port"
    for port in islice(process.free_ports(remembered_port, f"{place.home}/postgres"), 5):
        message = _try_start(place, programs, port)
        if not message:
            return port
        if "could not create any TCP/IP sockets" not in message:
            break  # only a port that was taken meanwhile is worth another try
    raise ShudaoError(f"PostgreSQL does not start: {message}", f"see {place.log(NAME)}")


def stop(place: Place) -> bool:
    """Stop it: sessions are ended, everything is checkpointed. False if it did not run."""
    pid = running_pid(place)
    if pid is None:
        return False
    process.stop(pid, cluster(place), name="PostgreSQL", by=signal.SIGINT, patience_s=120)
    return True


def _programs(place: Place) -> Postgres:
    version = cluster(place) / "PG_VERSION"
    if not version.exists():
        return find_postgres()
    try:
        return find_postgres(int(version.read_text()))
    except ShudaoError as error:
        raise ShudaoError(
            f"the data in {cluster(place)} was made by PostgreSQL"
            f" {version.read_text().strip()}: {error.message}",
            "install that version, or delete the data with `shudao local down --delete-data`",
        ) from error


def _initialise(place: Place, programs: Postgres) -> None:
    """Make the cluster beside its final place, then rename: a half-made one is never used."""
    unfinished = place.data / "postgres.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password = place.data / "password"
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(secrets.token_urlsafe(24) + "\n")
    process.give(password, place.user)
    access = ["--auth=scram-sha-256", f"--username={ROLE}", f"--pwfile={password}"]
    text = ["--encoding=UTF8", "--locale=C.UTF-8"]
    _run(place, [str(programs.bin / "initdb"), *text, *access, str(unfinished)])
    single = ["--single", "-D", str(unfinished), "postgres"]
    _run(place, [str(programs.bin / "postgres"), *single], feed=f"CREATE DATABASE {DATABASE}\n")
    with (unfinished / "postgresql.conf").open("a") as file:
        file.write("\ninclude 'shudao.conf'\n")
    unfinished.rename(cluster(place))


def _run(place: Place, command: Sequence[str], feed: str = "") -> None:
    with place.log(NAME).open("ab") as log:
        done = process.run(command, user=place.user, folder=place.data, feed=feed, errors=log)
    if done.returncode != 0:
        message = process.tail(place.log(NAME), lines=1)
        raise ShudaoError(f"the database could not be made: {message}", f"see {place.log(NAME)}")


def _try_start(place: Place, programs: Postgres, port: int) -> str:
    """Start once; return what went wrong, empty for nothing."""
    settings = configuration(port, memory_bytes(), telemetry=reports_home(programs))
    (cluster(place) / "shudao.conf").write_text(settings)
    log = place.log(NAME)
    deadline = time.monotonic() + 15
    while True:
        offset = log.stat().st_size if log.exists() else 0
        command = [str(programs.bin / "postgres"), "-D", str(cluster(place))]
        pid = process.start(command, log=log, folder=place.data, user=place.user)
        message = _wait_ready(place, pid, log_offset=offset)
        # After a kill -9 of the postmaster its children need a moment to notice and leave.
        orphans = "is still in use" in message or "Terminate any old server" in message
        if not orphans or time.monotonic() > deadline:
            return message
        time.sleep(0.2)


def _wait_ready(place: Place, pid: int | None, *, log_offset: int) -> str:
    """Wait until it takes connections; return the log's last lines if it gives up instead."""

    def is_ready() -> bool:
        lines = _pid_file(place)
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[0] == str(pid)

    def has_gone() -> bool:
        return not process.is_running(pid, cluster(place))

    process.wait_until(lambda: is_ready() or has_gone(), START_PATIENCE_S)
    return "" if is_ready() and not has_gone() else process.tail(place.log(NAME), log_offset)


def _known_port(place: Place) -> int:
    port = running_port(place)
    if port is None:
        raise ShudaoError("PostgreSQL stopped while it was looked at", "try again")
    return port


def _pid_file(place: Place) -> list[str]:
    """postmaster.pid's lines: pid, folder, start time, port, socket, host, memory, state."""
    try:
        return (cluster(place) / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def _remove_stale_pid_file(place: Place) -> None:
    """PostgreSQL itself would refuse if the pid now belonged to another process of its user."""
    if running_pid(place) is None:
        (cluster(place) / "postmaster.pid").unlink(missing_ok=True)


def memory_bytes() -> int:
    """The memory of this machine, or of the container that we are in if that has less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return total if text == "max" else min(total, int(text))


def configuration(port: int, memory: int, *, telemetry: bool = False) -> str:
    """The text of ``shudao.conf`` for a machine with that many bytes of memory.

    ``telemetry``: this TimescaleDB would report to its maker unless it is told not to.
    """
    silence = "timescaledb.telemetry_level = off\n" if telemetry else ""
    shared = min(max(memory // 8, 128 * MIB), 4096 * MIB) // MIB
    maintenance = min(max(memory // 32, 64 * MIB), 1024 * MIB) // MIB
    return f"""\
# Written by `shudao local up` at every start: changes here are lost.
listen_addresses = '{process.HOST}'
port = {port}
unix_socket_directories = ''
max_connections = 100
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'

shared_preload_libraries = 'timescaledb'
max_worker_processes = 32
{silence}timescaledb.max_background_workers = 16
max_locks_per_transaction = 256     # a query may touch many chunks

# A quarter or less for PostgreSQL: broker, ingester and API share the machine.
shared_buffers = {shared}MB
effective_cache_size = {memory // 2 // MIB}MB
maintenance_work_mem = {maintenance}MB
work_mem = 32MB

# A commit is on disk when it is acknowledged. Checkpoints are rare, so that pages are written
# in full to the log rarely; recovery after a crash replays at most max_wal_size.
fsync = on
synchronous_commit = on
wal_buffers = 64MB
checkpoint_timeout = 15min
checkpoint_completion_target = 0.9
min_wal_size = 512MB
max_wal_size = 4GB

# Solid-state disks; and our queries are short, so compiling them costs more than it saves.
random_page_cost = 1.1
effective_io_concurrency = 100
jit = off
"""
