"""The private services, for real: started, stopped, killed, and looked at from outside."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiomqtt
import psycopg
import pytest

from shudao.errors import ShudaoError
from shudao.local import LocalServices, ServiceStatus, down, status, up
from shudao.local.place import prepare
from shudao.local.process import is_free, wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs services as another user")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for the tests below: each leaves it with data, running or not."""
    path = tmp_path_factory.mktemp("local")
    yield path
    down(path, delete_data=True)


@pytest.fixture
def services(home: Path) -> LocalServices:
    """The services of that home, running."""
    return up(home)


def look(home: Path) -> dict[str, ServiceStatus]:
    return {service.name: service for service in status(home)}


def pids(home: Path) -> list[int]:
    return [service.pid for service in status(home) if service.pid is not None]


def kill_all(home: Path) -> None:
    """kill -9 of broker and database, and wait until both have gone."""
    for pid in pids(home):
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not pids(home), 10)


def execute(services: LocalServices, *statements: str) -> list[tuple[object, ...]]:
    """Run statements; return the rows of the last one."""
    with psycopg.connect(services.database_url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def client(services: LocalServices, identifier: str, *, clean: bool = False) -> aiomqtt.Client:
    url = urlsplit(services.mqtt_url)
    return aiomqtt.Client(
        str(url.hostname), url.port or 1883, identifier=identifier, clean_session=clean
    )


async def subscribe(services: LocalServices, identifier: str, topic: str) -> None:
    """Open a session that the broker keeps, then leave."""
    async with client(services, identifier) as session:
        await session.subscribe(topic, qos=1)


async def publish(services: LocalServices, topic: str, count: int) -> None:
    """Publish 0 … count - 1 and wait for each acknowledgement."""
    async with client(services, f"{topic}-sender", clean=True) as sender:
        for first in range(0, count, 100):
            numbers = range(first, min(first + 100, count))
            await asyncio.gather(*(sender.publish(topic, str(n), qos=1) for n in numbers))


async def receive(services: LocalServices, identifier: str, count: int) -> list[int]:
    """What the broker kept for that session, in order; fails when it is less than ``count``."""
    received: list[int] = []
    async with asyncio.timeout(10), client(services, identifier) as session:
        async for message in session.messages:
            received.append(int(bytes(message.payload)))
            if len(received) == count:
                return received
    return received


def test_up_twice_starts_once(home: Path, services: LocalServices) -> None:
    """The second `up` finds everything running and changes neither addresses nor processes."""
    before = pids(home)
    assert len(before) == 2
    assert up(home) == services
    assert pids(home) == before


def test_two_ups_at_once_start_once(home: Path, services: LocalServices) -> None:
    """Processes that start the same home at the same time agree on one pair of services."""
    down(home)
    code = f"from pathlib import Path; from shudao.local import up; print(up(Path({str(home)!r})))"
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    first, second = (process.communicate(timeout=60)[0] for process in both)
    assert first == second == f"{services}\n"


def test_timescaledb_works(services: LocalServices) -> None:
    """The extension can be created and makes hypertables."""
    rows = execute(
        services,
        "CREATE EXTENSION IF NOT EXISTS timescaledb",
        "DROP TABLE IF EXISTS instant",
        "CREATE TABLE instant (time timestamptz NOT NULL)",
        "SELECT create_hypertable('instant', 'time')",
        "INSERT INTO instant SELECT now() - n * interval '8 days' FROM generate_series(0, 2) n",
        "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'instant'",
    )
    assert rows == [(3,)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("listen_addresses", "127.0.0.1"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ],
)
def test_database_setting(services: LocalServices, setting: str, value: str) -> None:
    """What the guarantees rest on is really in force."""
    assert execute(services, f"SHOW {setting}") == [(value,)]


def test_down_leaves_nothing_running(home: Path, services: LocalServices) -> None:
    """After `down` both ports are free, and a second `down` has nothing to do."""
    assert sorted(down(home)) == ["mosquitto", "postgres"]
    assert not any(service.running for service in status(home))
    ports = (urlsplit(services.database_url).port, urlsplit(services.mqtt_url).port)
    assert all(port is not None and is_free(port) for port in ports)
    assert down(home) == []


def test_restart_keeps_rows_and_addresses(home: Path, services: LocalServices) -> None:
    """What was committed, and where to find it, is the same after a restart."""
    execute(services, "CREATE TABLE kept AS SELECT 蜀道.* FROM (VALUES ('蜀道')) AS 蜀道 (name)")
    down(home)
    again = up(home)
    assert again == services
    assert execute(again, "SELECT name FROM kept") == [("蜀道",)]


async def test_restart_keeps_queued_and_retained_messages(
    home: Path, services: LocalServices
) -> None:
    """A clean restart of the broker loses neither what it queues nor what it retains."""
    await subscribe(services, "restart", "restart")
    await publish(services, "restart", 10)
    async with client(services, "restart-sender", clean=True) as sender:
        await sender.publish("state", "1", qos=1, retain=True)
    down(home)
    again = up(home)
    assert await receive(again, "restart", 10) == list(range(10))
    async with asyncio.timeout(10), client(again, "late", clean=True) as late:
        await late.subscribe("state", qos=1)
        message = await anext(aiter(late.messages))
    assert (message.payload, message.retain) == (b"1", True)


async def test_more_than_a_thousand_messages_are_queued(services: LocalServices) -> None:
    """An absent subscriber gets all of them later; mosquitto's default drops beyond 1,000."""
    await subscribe(services, "absent", "queue")
    await publish(services, "queue", 3_000)
    assert await receive(services, "absent", 3_000) == list(range(3_000))


async def test_killed_broker_loses_no_message_older_than_a_second(
    home: Path, services: LocalServices
) -> None:
    """The default profile saves every second: after that a kill -9 loses nothing."""
    await subscribe(services, "second", "second")
    await publish(services, "second", 10)
    await asyncio.sleep(2.5)  # the interval, and the broker's loop that notices its end
    kill_all(home)
    assert await receive(up(home), "second", 10) == list(range(10))


async def test_strict_broker_loses_nothing_when_killed(home: Path, services: LocalServices) -> None:
    """The strict profile has every acknowledged message on disk, and stays until changed."""
    strict = up(home, strict=True)
    await subscribe(strict, "strict", "strict")
    await publish(strict, "strict", 10)
    kill_all(home)
    assert await receive(up(home), "strict", 10) == list(range(10))
    assert up(home, strict=False) == services


def test_killed_database_keeps_what_was_committed(home: Path, services: LocalServices) -> None:
    """`up` recovers from a kill -9 right after a commit, stale pid file and all."""
    execute(services, "CREATE TABLE committed AS SELECT 42 AS answer")
    kill_all(home)
    assert (services.data / "postgres/postmaster.pid").exists()
    assert execute(up(home), "SELECT answer FROM committed") == [(42,)]


def test_pid_of_another_process_is_not_taken_for_ours(home: Path, services: LocalServices) -> None:
    """After a reboot a pid file may name a stranger: it is neither trusted nor signalled."""
    kill_all(home)
    stranger = subprocess.Popen(["sleep", "60"])
    data = services.data
    text = (data / "postgres/postmaster.pid").read_text().split("\n", 1)[1]
    (data / "postgres/postmaster.pid").write_text(f"{stranger.pid}\n{text}")
    (data / "mosquitto/pid").write_text(f"{stranger.pid}\n")
    assert not any(service.running for service in status(home))
    assert down(home) == []
    assert up(home) == services
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_taken_port_is_replaced(home: Path, services: LocalServices) -> None:
    """When another program listens on our ports, both services move and say where."""
    down(home)
    ports = [urlsplit(url).port for url in (services.database_url, services.mqtt_url)]
    listeners = [socket.create_server(("127.0.0.1", port or 0)) for port in ports]
    moved = up(home)
    for listener in listeners:
        listener.close()
    assert not {urlsplit(moved.database_url).port, urlsplit(moved.mqtt_url).port} & set(ports)
    assert execute(moved, "SELECT 1") == [(1,)]
    assert {s.port for s in status(home)} == {
        urlsplit(url).port for url in (moved.database_url, moved.mqtt_url)
    }


def test_password_is_needed_and_kept_private(home: Path, services: LocalServices) -> None:
    """Another user of the machine reads no address file, and a wrong password is refused."""
    assert stat.S_IMODE((home / "local.json").stat().st_mode) == 0o600
    url = urlsplit(services.database_url)
    wrong = url._replace(netloc=f"shudao:guessed@{url.hostname}:{url.port}").geturl()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_lost_address_file_is_written_again(home: Path, services: LocalServices) -> None:
    """Deleting local.json locks nobody out: it is made again from what runs."""
    (home / "local.json").unlink()
    assert execute(up(home), "SELECT 1") == [(1,)]


@as_root
def test_services_run_unprivileged(home: Path, services: LocalServices) -> None:
    """Started by root they are not root, and keep their data where their user reaches it."""
    for pid in pids(home):
        assert Path(f"/proc/{pid}").stat().st_uid != 0
    assert services.data.is_relative_to("/var/lib/shudao"), "pytest's own folder has mode 700"
    assert (home / "data").resolve() == services.data
    assert stat.S_IMODE(services.data.stat().st_mode) == 0o700


def test_interrupted_creation_is_done_again(tmp_path: Path) -> None:
    """A cluster that was only half made (killed initdb) is thrown away and made anew."""
    data = prepare(tmp_path).data
    (data / "postgres.new").mkdir()
    (data / "postgres.new/PG_VERSION").write_text("15\n")
    try:
        assert execute(up(tmp_path), "SELECT 1") == [(1,)]
        assert not (data / "postgres.new").exists()
    finally:
        down(tmp_path, delete_data=True)
    assert not data.exists()


def test_deleted_data_is_made_again(tmp_path: Path) -> None:
    """A link to data that someone deleted does not stand in the way of new data."""
    (tmp_path / "data").symlink_to(tmp_path / "deleted")
    place = prepare(tmp_path)
    assert place.data.is_dir()
    place.data.rmdir()


def test_home_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    """A home below a file is refused with what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(ShudaoError, match=r"not permitted to write .* → .*SHUDAO_HOME"):
        up(tmp_path / "file" / "home")
