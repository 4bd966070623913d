"""Real services for every test: a private TimescaleDB and a private mosquitto.

They are started by ``shudao.local`` under ``.shudao/test`` (kept between runs, stopped at the
end of the session), unless SHUDAO_DATABASE_URL and SHUDAO_MQTT_URL name some that already run.
Databases are made afresh for each session, so nothing that a user stored is ever touched.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest

from shudao.database.migrate import migrate
from shudao.local import down, status, up
from shudao.registry.load import load_registry
from shudao.registry.tree import VINTAGES

HOME = Path(__file__).parents[1] / ".shudao" / "test"
ROLLUPS_AND_SAMPLES = (
    "radio_sample, broadband_sample, reading, rollup_journal, coverage_minute, coverage_hour,"
    " ingest_minute, quarantine, place_state, goal_progress, device, device_seen"
)


@pytest.fixture(scope="session")
def services() -> Iterator[tuple[str, str]]:
    """Database server's URL and broker's URL."""
    given = os.environ.get("SHUDAO_DATABASE_URL", ""), os.environ.get("SHUDAO_MQTT_URL", "")
    if all(given):
        yield given
        return
    used_by_another_session = all(s.running for s in status(HOME))
    local = up(HOME)
    yield local.database_url, local.mqtt_url
    if not used_by_another_session:
        down(HOME)


@pytest.fixture(scope="session")
def mqtt_url(services: tuple[str, str]) -> str:
    """A real mosquitto."""
    return services[1]


def with_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def _create(server: str, name: str, template: str = "template0") -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")  # type: ignore[arg-type]
    return with_database(server, name)


def _drop(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")  # type: ignore[arg-type]


@pytest.fixture
def bare_database_url(services: tuple[str, str]) -> Iterator[str]:
    """A database without a schema."""
    name = f"shudao_bare_{os.getpid()}"
    yield _create(services[0], name)
    _drop(services[0], name)


@pytest.fixture
def empty_database_url(bare_database_url: str) -> str:
    """A migrated database without registry or samples."""
    migrate(bare_database_url)
    return bare_database_url


@pytest.fixture(scope="session")
def database_url(services: tuple[str, str]) -> Iterator[str]:
    """A migrated database with both vintages, shared by the session's tests."""
    name = f"shudao_test_{os.getpid()}"
    url = _create(services[0], name)
    migrate(url)

    async def load() -> None:
        connection = await asyncpg.connect(url)
        try:
            await load_registry(connection, vintages=VINTAGES)
        finally:
            await connection.close()

    asyncio.run(load())
    yield url
    _drop(services[0], name)


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to the shared database, which holds only the registry before and after."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(f"TRUNCATE {ROLLUPS_AND_SAMPLES} RESTART IDENTITY")
    await connection.execute("DELETE FROM place WHERE source = 'simulated'")
    yield connection
    await connection.execute(f"TRUNCATE {ROLLUPS_AND_SAMPLES} RESTART IDENTITY")
    await connection.execute("DELETE FROM place WHERE source = 'simulated'")
    await connection.close()
