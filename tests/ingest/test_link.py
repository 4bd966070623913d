"""What a connection to the database promises: done means committed, also after a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from ingest.link import Link
from tests.faults import proxy
from tests.ingest.test_health import link_to

DELAY_S = 0.02


@pytest.fixture
async def cable(database_url: str) -> AsyncIterator[tuple[proxy.Link, str]]:
    """A cable to the database, and the URL at its other end."""
    cable, url = await link_to(database_url)
    yield cable, url
    await cable.aclose()


@pytest.fixture
async def numbers(connection: asyncpg.Connection[Any]) -> AsyncIterator[None]:
    """A table to write to."""
    await connection.execute("CREATE TABLE number (n integer)")
    yield
    await connection.execute("DROP TABLE number")


async def write(connection: asyncpg.Connection[Any], number: int) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO number VALUES ($1)", number)


@pytest.mark.usefixtures("numbers")
async def test_what_follows_a_cancelled_transaction_is_committed(
    cable: tuple[proxy.Link, str], connection: asyncpg.Connection[Any]
) -> None:
    """Cancelled at its BEGIN, its statement or its COMMIT: the next one is no part of it."""
    wire, url = cable
    link: Link[Any] = Link(url, lambda made: made)
    await link.use(lambda c: write(c, -1))
    cancelled = 0
    for step in range(24):
        wire.delay_s = DELAY_S
        task = asyncio.create_task(link.use(lambda c: write(c, 1_000)))
        await asyncio.sleep(step * DELAY_S / 4)
        cancelled += task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        wire.delay_s = 0.0
        await link.use(lambda c, n=step: write(c, n))
        assert await connection.fetchval("SELECT count(*) FROM number WHERE n = $1", step) == 1
    await link.aclose()
    assert cancelled >= 10


@pytest.mark.usefixtures("numbers")
async def test_what_follows_a_refused_transaction_is_committed(
    cable: tuple[proxy.Link, str], connection: asyncpg.Connection[Any]
) -> None:
    """What the database refuses for good is raised, and the link works on."""
    link: Link[Any] = Link(cable[1], lambda made: made)
    with pytest.raises(asyncpg.UndefinedTableError):
        await link.use(lambda c: c.execute("SELECT * FROM nothing"))
    await link.use(lambda c: write(c, 7))
    await link.aclose()
    assert await connection.fetchval("SELECT n FROM number") == 7
